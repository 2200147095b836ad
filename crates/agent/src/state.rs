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
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(DATABASE) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// A node's id or secret that was torn or filled with zeros would be refused by the region for ever. The agent makes
/// new ones where there are none.
pub(crate) fn mend(data_dir: &Path) {
    for name in ["client-id", "secret-id"] {
        let file = folder(data_dir).join(name);
        let damaged = fs::read(&file).is_ok_and(|bytes| !bytes.is_empty() && !is_id(&bytes));
        if damaged {
            tracing::warn!(name, "damaged, and set aside: this PC becomes a new node");
            let _ = aside(data_dir, name);
        }
    }
}

const DATABASE: &str = "state.db";

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
    fn ids_that_are_none_are_set_aside_and_good_ones_stay() {
        let data = client(&[("client-id", &[0; 36]), ("secret-id", ID.as_bytes())]);

        mend(data.path());

        assert!(!folder(data.path()).join("client-id").exists());
        assert!(folder(data.path()).join("secret-id").exists());
    }
}
