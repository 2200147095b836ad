//! Both ends, over a socket of the test's.
#![cfg(unix)]

mod client;
mod server;

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::{Shutdown, shutdown};
use tempfile::TempDir;

use super::*;

/// What a busy machine never needs.
const LONG: Waits = Waits { answer: Duration::from_secs(20), turn: Duration::from_secs(60) };

/// Two trees, and who serves them until it is dropped.
struct Served {
    dir: TempDir,
    listener: UnixListener,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let path = |name: &str| dir.path().join(name);
        let roots = Roots { agent: path("agent"), allocations: path("alloc") };
        fs::create_dir(&roots.agent).unwrap();
        fs::create_dir(&roots.allocations).unwrap();
        let listener = UnixListener::bind(path("files.sock")).unwrap();
        let theirs = listener.try_clone().unwrap();
        let thread = std::thread::spawn(move || drop(serve(&theirs, &roots)));
        Self { dir, listener, thread: Some(thread) }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("files.sock")
    }

    /// In the tree that is read.
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("agent").join(name)
    }

    fn door(&self) -> Door {
        let door = Door::with(self.socket(), LONG);
        assert_eq!(door.knock(), Answered::Anew);
        door
    }

    fn folder(&self) -> Folder {
        Source::Beyond(self.door(), Root::Agent).open().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        shutdown(&self.listener, Shutdown::Both).unwrap();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn here(path: &Path) -> Folder {
    Source::Here(path.to_owned()).open().unwrap()
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

fn is_away<T>(asked: &io::Result<T>) -> bool {
    asked.as_ref().is_err_and(|error| Unheard::of(error) == Some(Unheard::Away))
}
