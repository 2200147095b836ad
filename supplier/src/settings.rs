//! The settings file: what the owner wants, as JSON, replaced whole.

use std::io::Write as _;
use std::path::Path;

use ionet_core::Saved;
use ionet_core::fault::SettingsFault;
use serde::{Deserialize, Serialize};

/// Raised when the file changes its meaning; older ones are then migrated by number.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    #[serde(flatten)]
    saved: Saved,
}

/// A missing file is a PC that has never run the app; anything that cannot be understood is
/// [`SettingsFault::Damaged`], is kept beside as `settings.damaged.json`, and reads back as paused.
pub fn load(path: &Path) -> Result<Saved, SettingsFault> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Saved::default()),
        Err(error) => {
            tracing::warn!(%error, "settings cannot be read");
            return Err(SettingsFault::Damaged);
        }
    };
    match serde_json::from_str::<File>(&text) {
        Ok(file) if file.version == VERSION => Ok(file.saved),
        Ok(file) => damaged(path, &format!("version {}", file.version)),
        Err(error) => damaged(path, &error.to_string()),
    }
}

fn damaged(path: &Path, why: &str) -> Result<Saved, SettingsFault> {
    let kept = path.with_extension("damaged.json");
    let copied = std::fs::copy(path, &kept).is_ok();
    tracing::warn!(why, copied, "settings are damaged: staying paused");
    Err(SettingsFault::Damaged)
}

/// Written beside, flushed to the disk, then moved into place: a crash leaves the old or the new file, never half.
pub fn save(path: &Path, saved: &Saved) -> Result<(), SettingsFault> {
    write(path, saved).map_err(|error| SettingsFault::CannotWrite(error.kind().to_string()))
}

fn write(path: &Path, saved: &Saved) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut beside = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer_pretty(&mut beside, &File { version: VERSION, saved: saved.clone() })?;
    beside.write_all(b"\n")?;
    beside.as_file().sync_all()?;
    beside.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use ionet_core::Target;
    use ionet_core::target::{Agreement, PauseEnd};
    use ionet_core::time::UnixMs;

    use super::*;

    fn file() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.json");
        (folder, path)
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let (_folder, path) = file();
        let saved = Saved {
            target: Target::Paused { until: PauseEnd::At { at: UnixMs(5) } },
            agreed: Some(Agreement { version: 1, at: UnixMs(4) }),
            account: None,
        };

        save(&path, &saved).unwrap();

        assert_eq!(load(&path), Ok(saved));
    }

    #[test]
    fn a_missing_file_is_a_new_pc() {
        let (_folder, path) = file();

        assert_eq!(load(&path), Ok(Saved::default()));
    }

    #[test]
    fn a_damaged_file_is_said_and_kept_whatever_is_in_it() {
        for text in
            ["", "{", "[]", r#"{"version":1}"#, r#"{"version":2,"target":{"want":"earning"}}"#, "\u{0}"]
        {
            let (_folder, path) = file();
            std::fs::write(&path, text).unwrap();

            assert_eq!(load(&path), Err(SettingsFault::Damaged), "{text:?}");
            assert_eq!(std::fs::read_to_string(path.with_extension("damaged.json")).unwrap(), text);
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_said() {
        let (folder, _) = file();

        let refused = save(&folder.path().join("no/such/settings.json"), &Saved::default());

        assert!(matches!(refused, Err(SettingsFault::CannotWrite(_))));
    }
}
