//! The folder that a stage stands on: one stage holds it at a time.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

const LOCK: &str = "stage.lock";

/// Makes sure that the folder is ours alone, and empties it of an earlier stage. Gives its real path, and what holds it.
pub(crate) fn take_over(dir: &Path) -> Result<(PathBuf, File)> {
    std::fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    let dir = dir.canonicalize()?;
    let lock_file = dir.join(LOCK);
    let mut entries = std::fs::read_dir(&dir)?.peekable();
    if entries.peek().is_some() && !lock_file.is_file() {
        bail!("{} is not empty and was not made by a stage", dir.display());
    }
    let lock = File::create(&lock_file)?;
    if lock.try_lock().is_err() {
        bail!("another stage runs in {}", dir.display());
    }
    for entry in entries {
        let path = entry?.path();
        if path == lock_file {
            continue;
        }
        let removed =
            if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        removed.with_context(|| format!("{} cannot be removed", path.display()))?;
    }
    // Not before: a folder that is refused is left as it is.
    ionet_private::folder(&dir)?;
    Ok((dir, lock))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_somebodys_files_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("thesis.txt"), "years of work").unwrap();

        assert!(take_over(dir.path()).is_err());

        assert!(dir.path().join("thesis.txt").exists());
    }

    #[test]
    fn what_an_earlier_stage_left_is_cleared_away() {
        let dir = tempfile::tempdir().unwrap();
        drop(take_over(dir.path()).unwrap());
        std::fs::create_dir(dir.path().join("nomad")).unwrap();

        let _lock = take_over(dir.path()).unwrap();

        assert!(!dir.path().join("nomad").exists());
    }

    #[test]
    fn two_stages_cannot_share_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let _first = take_over(dir.path()).unwrap();

        assert!(take_over(dir.path()).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn the_folder_is_its_owners_alone_and_one_that_is_refused_is_left_as_it_was() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        std::fs::create_dir(&theirs).unwrap();
        std::fs::write(theirs.join("thesis.txt"), "years of work").unwrap();
        std::fs::set_permissions(&theirs, std::fs::Permissions::from_mode(0o755)).unwrap();

        let _ours = take_over(&ours).unwrap();

        assert!(take_over(&theirs).is_err());
        assert_eq!((mode(&ours), mode(&theirs)), (0o700, 0o755));
    }
}
