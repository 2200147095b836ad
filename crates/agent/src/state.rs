//! What Nomad keeps about itself and its jobs below its data folder, `client/`: its node's id and secret, and a
//! database with its node identity and the whole specification of every job it has had.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::files;

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
        if entry.file_name().to_string_lossy().starts_with(DATABASE) {
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
    let known = match fs::read(&mark) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        known => Some(known?),
    };
    if known.as_deref() == Some(device.as_bytes()) {
        return Ok(());
    }
    // Without a mark it is of a version that made none, which knew one device.
    if known.is_some() {
        tracing::info!("another device's node is forgotten: this PC becomes a new one");
        forget(data_dir)?;
        for name in IDS {
            ionet_private::remove(&folder(data_dir).join(name))?;
        }
    }
    Ok(ionet_private::replace(&mark, device.as_bytes())?)
}

/// A node's id or secret that was torn or filled with zeros would be refused by the region for ever. The agent makes
/// new ones where there are none.
pub(crate) fn mend(data_dir: &Path) {
    for name in IDS {
        let file = folder(data_dir).join(name);
        let damaged = fs::read(&file).is_ok_and(|bytes| !bytes.is_empty() && !is_id(&bytes));
        if damaged {
            tracing::warn!(name, "damaged, and set aside: this PC becomes a new node");
            let _ = aside(data_dir, name);
        }
    }
}

const DATABASE: &str = "state.db";
const IDS: [&str; 2] = ["client-id", "secret-id"];

fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("client")
}

fn aside(data_dir: &Path, name: &str) -> io::Result<()> {
    let damaged = data_dir.join("damaged");
    files::private_folder(&damaged)?;
    match fs::rename(folder(data_dir).join(name), damaged.join(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
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

        let mark = data.path().join("node-of");
        fs::remove_file(&mark).unwrap();
        fs::create_dir(&mark).unwrap();
        assert!(belong_to(data.path(), "d-carol").is_err(), "whose it is is not known");
    }

    #[test]
    fn ids_that_are_none_are_set_aside_and_good_ones_stay() {
        let data = client(&[("client-id", &[0; 36]), ("secret-id", ID.as_bytes())]);

        mend(data.path());

        assert!(!folder(data.path()).join("client-id").exists());
        assert!(folder(data.path()).join("secret-id").exists());
    }
}
