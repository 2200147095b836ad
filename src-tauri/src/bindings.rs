//! The page's TypeScript types, made from the Rust ones.

use std::path::Path;

use anyhow::Context as _;
use specta_typescript::Typescript;
use tauri_specta::{Builder, ErrorHandlingMode, collect_commands, collect_events};

use crate::commands;
use crate::link::{Live, View};

/// Commands and events as both the window and the page know them.
pub(crate) fn builder() -> Builder<tauri::Wry> {
    Builder::new()
        .commands(collect_commands![commands::view, commands::intent, commands::ask, commands::start])
        .events(collect_events![View, Live])
        .error_handling(ErrorHandlingMode::Throw)
        .disable_serde_phases()
}

/// `ui/src/bindings.ts`.
pub(crate) fn write(path: &Path) -> anyhow::Result<()> {
    let header = "// Made by `ionet-supplier-window --write-bindings`; do not edit.\n";
    builder()
        .export(Typescript::default().header(header), path)
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_types_are_those_of_this_build() {
        let folder = tempfile::tempdir().unwrap();
        let made = folder.path().join("bindings.ts");
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ui/src/bindings.ts");

        write(&made).unwrap();

        let same =
            std::fs::read_to_string(&made).unwrap() == std::fs::read_to_string(&kept).unwrap_or_default();
        assert!(
            same,
            "stale: run `cargo run -p ionet-supplier-window -- --write-bindings ui/src/bindings.ts`"
        );
    }
}
