//! The settings file: what the owner wants, as JSON, replaced whole.

use std::path::Path;

use ionet_core::Saved;
use ionet_core::fault::SettingsFault;
use ionet_private::LoadError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Raised when the file changes its meaning; older ones are then migrated by number.
const VERSION: u32 = 1;

/// The file has a few hundred bytes.
const LONGEST: u64 = 64 << 10;

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    #[serde(flatten)]
    saved: Saved,
}

/// A missing file is a PC that has never run the app. Anything that cannot be understood is [`SettingsFault::Damaged`]: it
/// is set aside and kept, the safe value takes its place, and so it is said once. A file that cannot be read now is left as
/// it is. Blocks.
pub fn load(path: &Path) -> Result<Saved, SettingsFault> {
    match ionet_private::load_json::<Value>(path, LONGEST) {
        Ok(None) => Ok(Saved::default()),
        Ok(Some(content)) => understood(content).or_else(|why| damaged(path, &why)),
        Err(LoadError::Damaged(damage)) => damaged(path, &damage.to_string()),
        Err(LoadError::File(error)) => {
            tracing::warn!(%error, "settings cannot be read: staying paused");
            Err(SettingsFault::Unreadable)
        }
    }
}

/// Written beside, flushed to the disk, then moved into place: a crash leaves the old or the new file, never half. Blocks.
pub fn save(path: &Path, saved: &Saved) -> Result<(), SettingsFault> {
    let file = File { version: VERSION, saved: saved.clone() };
    let mut content =
        serde_json::to_vec_pretty(&file).map_err(|error| SettingsFault::CannotWrite(error.to_string()))?;
    content.push(b'\n');
    ionet_private::replace(path, &content)
        .inspect_err(|error| tracing::warn!(%error, "settings cannot be saved"))
        .map_err(|error| SettingsFault::CannotWrite(error.trouble.to_string()))
}

/// The number comes first: a newer version may mean something else by the same words.
fn understood(content: Value) -> Result<Saved, String> {
    match content.get("version").and_then(Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => {
            serde_json::from_value::<File>(content).map(|file| file.saved).map_err(|error| error.to_string())
        }
        Some(version) => Err(format!("it is of version {version}, this app reads {VERSION}")),
        None => Err("it has no version".to_owned()),
    }
}

fn damaged(path: &Path, why: &str) -> Result<Saved, SettingsFault> {
    match ionet_private::set_aside(path) {
        Ok(kept) => {
            tracing::warn!(why, kept = %kept.display(), "settings are damaged: set aside, staying paused");
            // Where that cannot be written, the next start finds none, and nothing runs before the owner has agreed anew.
            let _ = save(path, &Saved::safe());
        }
        Err(error) => {
            tracing::warn!(why, %error, "settings are damaged and stay where they are: staying paused")
        }
    }
    Err(SettingsFault::Damaged)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use ionet_core::Target;
    use ionet_core::share::Share;
    use ionet_core::target::{Agreement, PauseEnd};
    use ionet_core::time::{Gigabytes, Megabits, UnixMs};

    use super::*;

    fn file() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.json");
        (folder, path)
    }

    fn set_aside(folder: &Path) -> Vec<PathBuf> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        names.filter(|path| path.to_string_lossy().contains("settings.json.damaged-")).collect()
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let (_folder, path) = file();
        let saved = Saved {
            target: Target::Paused { until: PauseEnd::At { at: UnixMs(5) } },
            agreed: Some(Agreement { version: 1, at: UnixMs(4) }),
            share: Share { disk: Some(Gigabytes(80)), rate: Some(Megabits(50)) },
            ..Saved::default()
        };

        save(&path, &saved).unwrap();

        assert_eq!(load(&path), Ok(saved));
    }

    #[test]
    fn a_file_of_before_what_jobs_get_was_a_choice_is_read_with_nothing_chosen() {
        let (_folder, path) = file();
        fs::write(&path, r#"{"version":1,"target":{"want":"earning"},"agreed":null,"account":null}"#)
            .unwrap();

        assert_eq!(load(&path), Ok(Saved::default()));
    }

    #[test]
    fn a_missing_file_is_a_new_pc() {
        let (_folder, path) = file();

        assert_eq!(load(&path), Ok(Saved::default()));
    }

    #[test]
    fn a_damaged_file_is_said_once_and_kept_whatever_is_in_it() {
        let (_good, good) = file();
        save(&good, &Saved::default()).unwrap();
        let good = fs::read(good).unwrap();
        let torn = &good[..good.len() / 2];
        let contents: [&[u8]; 11] = [
            b"",
            b"{",
            b"[]",
            b"{\"version\":1}",
            b"{\"version\":\"1\",\"target\":{\"want\":\"earning\"}}",
            b"{\"version\":2,\"target\":{\"want\":\"earning\"}}",
            b"{\"version\":18446744073709551616}",
            &[0; 412],
            b"\xff\xfe{\0}\0",
            torn,
            &[b' '; 100_000],
        ];
        for content in contents {
            let (folder, path) = file();
            fs::write(&path, content).unwrap();

            let (first, second) = (load(&path), load(&path));

            assert_eq!(first, Err(SettingsFault::Damaged), "{content:.40?}");
            assert_eq!(second, Ok(Saved::safe()), "the next start is paused, and says nothing");
            let kept = set_aside(folder.path());
            assert_eq!(kept.len(), 1);
            assert_eq!(fs::read(&kept[0]).unwrap(), content);
        }
    }

    #[test]
    fn a_folder_or_a_link_in_its_place_is_damage_and_nothing_is_written_through_it() {
        let (folder, path) = file();
        fs::create_dir(&path).unwrap();
        assert_eq!(load(&path), Err(SettingsFault::Damaged));
        fs::remove_file(&path).unwrap();
        let theirs = folder.path().join("theirs");
        fs::write(&theirs, "theirs").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(&theirs, &path).unwrap();
        #[cfg(unix)]
        assert_eq!(load(&path), Err(SettingsFault::Damaged));

        assert_eq!(load(&path).map(|saved| saved.target), Ok(Target::SAFE));
        assert_eq!(fs::read_to_string(theirs).unwrap(), "theirs");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_said_with_the_reason() {
        let (folder, _) = file();

        let refused = save(&folder.path().join("no/such/settings.json"), &Saved::default());

        assert_eq!(refused, Err(SettingsFault::CannotWrite("the disk or folder is gone".to_owned())));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_cannot_be_read_now_is_no_damage() {
        // Its first page is never there: reading it is answered as by a failing disk.
        assert_eq!(load(Path::new("/proc/self/mem")), Err(SettingsFault::Unreadable));
    }
}
