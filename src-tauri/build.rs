//! Checks that the page is there, then lets Tauri make its context and the commands' permissions.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=../ui/dist");
    if !Path::new("../ui/dist/index.html").exists() {
        println!("cargo::error=The window's page is not built. Run `npm ci && npm run build` in ui/ first.");
        return;
    }
    let commands = tauri_build::AppManifest::new().commands(&["view", "intent", "start"]);
    tauri_build::try_build(tauri_build::Attributes::new().app_manifest(commands))
        .expect("tauri.conf.json and capabilities/ are valid");
}
