//! Starting the resident program.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Starts `ionet-supplier run` beside this executable. It outlives the window.
pub(crate) fn start() -> io::Result<()> {
    let program = find(&std::env::current_exe()?)?;
    let mut command = tokio::process::Command::new(program);
    command.arg("run").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    platform::let_go(&mut command);
    // Dropped unwaited: the runtime reaps it, and nothing kills it.
    command.spawn().map(drop)
}

/// Beside the window, or, in a macOS bundle, two folders above the nested one.
fn find(window: &Path) -> io::Result<PathBuf> {
    let name = format!("ionet-supplier{}", std::env::consts::EXE_SUFFIX);
    let folder = window.parent().unwrap_or(window);
    let places = [folder.join(&name), folder.join("../../../../MacOS").join(&name)];
    places.into_iter().find(|place| place.is_file()).ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, format!("{name} is not in {}", folder.display()))
    })
}

#[cfg(unix)]
mod platform {
    /// Out of the terminal's group: Ctrl-C on the window is not meant for it.
    pub(super) fn let_go(command: &mut tokio::process::Command) {
        command.process_group(0);
    }
}

#[cfg(not(unix))]
mod platform {
    /// CREATE_NO_WINDOW | CREATE_NEW_PROCESS_GROUP.
    pub(super) fn let_go(command: &mut tokio::process::Command) {
        command.creation_flags(0x0800_0000 | 0x0000_0200);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resident_program_is_found_beside_the_window() {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("ionet-supplier{}", std::env::consts::EXE_SUFFIX);
        std::fs::write(folder.path().join(&name), "").unwrap();

        let found = find(&folder.path().join("ionet-supplier-window")).unwrap();

        assert_eq!(found, folder.path().join(name));
    }

    #[test]
    fn a_missing_resident_program_is_named_with_the_folder_it_should_be_in() {
        let folder = tempfile::tempdir().unwrap();

        let missing = find(&folder.path().join("ionet-supplier-window")).unwrap_err();

        assert!(missing.to_string().contains(&folder.path().display().to_string()), "{missing}");
    }
}
