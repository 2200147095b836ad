//! A Tauri window with one empty page, for `./dev bench footprint` to measure beside the app's own.

#[expect(clippy::disallowed_methods, reason = "tauri ends the program so where it cannot go on")]
fn main() -> tauri::Result<()> {
    tauri::Builder::default().run(tauri::generate_context!())
}
