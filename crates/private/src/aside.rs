//! A damaged file is evidence, and may be all that is left of something: it is kept beside, not overwritten.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use time::OffsetDateTime;
use time::macros::format_description;

use crate::error::FileError;

/// So many of one file are kept; the oldest go first.
pub const KEPT: usize = 3;

const MARK: &str = ".damaged-";

/// Moves the file (a link itself, a folder whole) to `NAME.damaged-TIME` beside it, and says where it lies now. At most
/// [`KEPT`] of one name stay.
pub fn set_aside(path: &Path) -> Result<PathBuf, FileError> {
    let kept = free_name(path);
    fs::rename(path, &kept).map_err(FileError::of(path))?;
    forget_older(path, &kept);
    Ok(kept)
}

/// The same with a folder in the place of a file, so that the file can be made.
pub fn make_way(path: &Path) -> Result<(), FileError> {
    if fs::symlink_metadata(path).is_ok_and(|found| found.is_dir()) {
        let kept = set_aside(path)?;
        tracing::warn!(kept = %kept.display(), "a folder lay in the place of a file and is set aside");
    }
    Ok(())
}

fn free_name(path: &Path) -> PathBuf {
    let shape = format_description!("[year][month][day]T[hour][minute][second]");
    let now = OffsetDateTime::now_utc().format(&shape).unwrap_or_default();
    let named = |number: u32| {
        let mut name = marked(path);
        name.push(format!("{now}-{number}"));
        path.with_file_name(name)
    };
    (1..).map(named).find(|name| fs::symlink_metadata(name).is_err()).unwrap_or_else(|| named(1))
}

fn marked(path: &Path) -> OsString {
    let mut name = path.file_name().unwrap_or(OsStr::new("file")).to_owned();
    name.push(MARK);
    name
}

/// The newest by what their names say; the one of now stays, also after the clock was set back.
fn forget_older(path: &Path, newest: &Path) {
    let mark = marked(path);
    let Some(Ok(entries)) = path.parent().map(fs::read_dir) else { return };
    let mut others: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(mark.as_encoded_bytes()))
        .map(|entry| entry.path())
        .filter(|found| found != newest)
        .collect();
    others.sort();
    others.reverse();
    for old in others.into_iter().skip(KEPT - 1) {
        let removed =
            if old.is_dir() && !old.is_symlink() { fs::remove_dir_all(&old) } else { fs::remove_file(&old) };
        if let Err(error) = removed {
            tracing::debug!(%error, "an old damaged file stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_moved_beside_with_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.json");
        fs::write(&path, "\0\0\0").unwrap();

        let kept = set_aside(&path).unwrap();

        assert!(!path.exists());
        assert_eq!(fs::read(&kept).unwrap(), b"\0\0\0");
        assert!(kept.file_name().unwrap().to_str().unwrap().starts_with("settings.json.damaged-20"));
    }

    #[test]
    fn a_few_are_kept_and_the_newest_is_among_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.json");
        fs::write(folder.path().join("settings.json.damaged-99991231T000000-1"), "of a clock set wrong")
            .unwrap();
        fs::write(folder.path().join("endpoints.json.damaged-20200101T000000-1"), "another's").unwrap();

        let mut last = PathBuf::new();
        for round in 0..6 {
            fs::write(&path, round.to_string()).unwrap();
            last = set_aside(&path).unwrap();
        }

        assert_eq!(fs::read_to_string(last).unwrap(), "5");
        let names = names(folder.path());
        assert_eq!(names.iter().filter(|name| name.starts_with("settings")).count(), KEPT);
        assert_eq!(names.len(), KEPT + 1, "{names:?}");
    }

    #[test]
    fn a_folder_is_moved_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent");
        for _ in 0..=KEPT {
            fs::create_dir_all(path.join("client")).unwrap();
            fs::write(path.join("client/state.db"), "torn").unwrap();

            let kept = set_aside(&path).unwrap();

            assert_eq!(fs::read_to_string(kept.join("client/state.db")).unwrap(), "torn");
        }
        assert_eq!(names(folder.path()).len(), KEPT);
    }

    #[cfg(unix)]
    #[test]
    fn of_a_link_the_link_is_moved_and_what_it_leads_to_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("settings.json"), folder.path().join("theirs"));
        fs::write(&other, "theirs").unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();

        let kept = set_aside(&path).unwrap();

        assert!(kept.is_symlink());
        assert_eq!(fs::read_to_string(&other).unwrap(), "theirs");
    }
}
