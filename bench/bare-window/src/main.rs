//! A Tauri window with one empty page, for `./dev bench footprint` to measure beside the app's own.

fn main() -> tauri::Result<()> {
    tauri::Builder::default().run(tauri::generate_context!())
}
