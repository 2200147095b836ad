//! What Nomad keeps about itself and its jobs below its data folder, `client/`: its node's id and secret, and a
//! database with its node identity and the whole specification of every job it has had.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Has an agent that does not run forget its jobs, and with them its node identity, which lies in the same file: with
/// one, it never shows its introduction, also when the servers take the identity no longer. The node keeps its id.
pub(crate) fn forget(data_dir: &Path) -> io::Result<()> {
    let folder = folder(data_dir);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    // One that stays keeps no other.
    let mut all = Ok(());
    for entry in entries {
        let entry = entry?;
        if entry.file_name() == DATABASE {
            all = all.and(remove(&entry.path()));
        } else if entry.file_name().to_string_lossy().starts_with(DATABASE) {
            all = all.and(fs::remove_file(entry.path()));
        }
    }
    all
}

/// Has the next agent of this data folder be `device`'s node. An id of another device's, before a hand-over or on a disk that was
/// copied, is forgotten: the region and its ledger go by it, and whoever had it keeps what was earned by it.
///
/// # Errors
/// The folder cannot be read or written: whose node it is stays open.
pub fn belong_to(data_dir: &Path, device: &str) -> io::Result<()> {
    let mark = data_dir.join("node-of");
    let known = match ionet_private::read(&mark, LONGEST) {
        // What is no file of ours does not say whose node it was.
        Err(error) if error.trouble.is_foreign() => Some(Vec::new()),
        known => known?,
    };
    if known.as_deref() == Some(device.as_bytes()) {
        return Ok(());
    }
    // Without a mark it is of a version that made none, which knew one device.
    if known.is_some() {
        tracing::info!("another device's node is forgotten: this PC becomes a new one");
        forget(data_dir)?;
        for name in IDS {
            remove(&folder(data_dir).join(name))?;
        }
    }
    Ok(ionet_private::replace(&mark, device.as_bytes())?)
}

/// A node's id or secret that was torn or filled with zeros would be refused by the region for ever, and in the place of a folder
/// or a pipe no agent makes new ones, nor a database.
pub(crate) fn mend(data_dir: &Path) {
    for name in IDS {
        let file = folder(data_dir).join(name);
        let damaged = match ionet_private::read(&file, LONGEST) {
            Ok(found) => found.is_some_and(|bytes| !bytes.is_empty() && !is_id(&bytes)),
            Err(error) => error.trouble.is_foreign(),
        };
        if damaged {
            tracing::warn!(name, "damaged, and set aside: this PC becomes a new node");
            let _ = ionet_private::set_aside(&file);
        }
    }
    let database = folder(data_dir).join(DATABASE);
    if fs::symlink_metadata(&database).is_ok_and(|found| !found.is_file() && !found.is_symlink()) {
        tracing::warn!("something else lies in the place of the agent's state, and is removed");
        let _ = remove(&database);
    }
}

const DATABASE: &str = "state.db";
const IDS: [&str; 2] = ["client-id", "secret-id"];
/// An id of a node's or of a device's has some forty bytes.
const LONGEST: u64 = 1024;

fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("client")
}

fn remove(path: &Path) -> io::Result<()> {
    let is_folder = fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    if is_folder { fs::remove_dir_all(path) } else { Ok(ionet_private::remove(path)?) }
}

fn is_id(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii();
    text.len() == 36 && text.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    const ID: &str = "4ad47f55-ee63-ee37-3ddc-c634161a981a";

    fn client(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let data = tempfile::tempdir().unwrap();
        fs::create_dir(folder(data.path())).unwrap();
        for (name, content) in files {
            fs::write(folder(data.path()).join(name), content).unwrap();
        }
        data
    }

    #[test]
    fn forgetting_takes_the_jobs_and_leaves_the_nodes_id() {
        let data = client(&[("state.db", b"x"), ("state.db.backup", b"x"), ("client-id", ID.as_bytes())]);

        forget(data.path()).unwrap();
        forget(data.path()).unwrap();

        let left: Vec<_> =
            fs::read_dir(folder(data.path())).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["client-id"]);
        forget(&data.path().join("nowhere")).unwrap();
    }

    #[test]
    fn another_device_is_another_node_and_the_same_one_stays_it() {
        let data = client(&[("state.db", b"x"), ("client-id", ID.as_bytes()), ("secret-id", ID.as_bytes())]);
        let ids = || IDS.map(|name| folder(data.path()).join(name).exists());

        belong_to(data.path(), "d-alice").unwrap();
        belong_to(data.path(), "d-alice").unwrap();
        let kept = ids();
        belong_to(data.path(), "d-bob").unwrap();
        assert_eq!((kept, ids()), ([true; 2], [false; 2]));
        assert!(!folder(data.path()).join("state.db").exists());

        let nowhere = data.path().join("node-of");
        assert!(belong_to(&nowhere, "d-carol").is_err(), "whose it is is not known");
    }

    /// Against a test that waits for a pipe.
    fn in_time(what: impl FnOnce() + Send + 'static) {
        let (say, heard) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            what();
            say.send(())
        });
        heard.recv_timeout(std::time::Duration::from_secs(20)).expect("it broke off, or waits for a pipe");
    }

    type Foreign = (&'static str, fn(&Path));

    /// What may lie in the place of a file.
    const FOREIGN: [Foreign; 4] = [
        ("a folder", |path| {
            fs::create_dir(path).unwrap();
            fs::write(path.join("notes"), "theirs").unwrap();
        }),
        ("a pipe", |path| {
            use rustix::fs::{CWD, FileType, Mode, mknodat};
            mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        }),
        ("a socket", |path| drop(std::os::unix::net::UnixListener::bind(path).unwrap())),
        ("a file without end", |path| fs::File::create(path).unwrap().set_len(1 << 40).unwrap()),
    ];

    #[test]
    fn in_the_place_of_whatever_is_no_file_of_nomads_an_agent_makes_its_own() {
        for (name, (what, put)) in
            IDS.into_iter().chain([DATABASE]).flat_map(|name| FOREIGN.map(|it| (name, it)))
        {
            // How long a database is its own program knows.
            if name == DATABASE && what == "a file without end" {
                continue;
            }
            let data = client(&[]);
            let place = folder(data.path()).join(name);
            put(&place);

            let there = data.path().to_owned();
            in_time(move || mend(&there));

            assert!(!place.exists(), "{name}: {what}");
        }
    }

    #[test]
    fn a_mark_that_is_no_file_of_ours_makes_a_new_node_and_is_one_again() {
        for (what, put) in FOREIGN {
            let data = client(&[("client-id", ID.as_bytes())]);
            put(&data.path().join("node-of"));

            for _ in 0..2 {
                let there = data.path().to_owned();
                in_time(move || belong_to(&there, "d-alice").unwrap());
                let id = folder(data.path()).join("client-id");
                assert!(!id.exists(), "{what}");
            }

            assert_eq!(fs::read(data.path().join("node-of")).unwrap(), b"d-alice");
        }
    }

    #[test]
    fn forgetting_takes_a_folder_in_the_jobs_place_too() {
        let data = client(&[]);
        FOREIGN[0].1(&folder(data.path()).join("state.db"));

        forget(data.path()).unwrap();

        assert!(!folder(data.path()).join("state.db").exists());
    }

    #[test]
    fn ids_that_are_none_are_set_aside_and_good_ones_stay() {
        let data = client(&[("client-id", &[0; 36]), ("secret-id", ID.as_bytes())]);

        mend(data.path());

        assert!(!folder(data.path()).join("client-id").exists());
        assert!(folder(data.path()).join("secret-id").exists());
    }
}
