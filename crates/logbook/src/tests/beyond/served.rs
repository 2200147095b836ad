//! Who answers beyond the door, and the line to them, which a test can cut anywhere.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread::JoinHandle;

use ionet_foreign::{Roots, Waits, serve};
use rustix::net::{Shutdown, shutdown};

use super::*;

/// What a busy machine never needs.
const LONG: Waits = Waits { answer: Duration::from_secs(20), turn: Duration::from_secs(60) };

pub(in crate::tests) struct Served {
    folder: PathBuf,
    roots: Roots,
    server: Option<Listening>,
    _line: Listening,
    /// Bytes from there until it is cut.
    left: Arc<Mutex<Option<usize>>>,
}

impl Served {
    pub(super) fn start(folder: &Path, agent: PathBuf, allocations: PathBuf) -> Self {
        let left = Arc::<Mutex<Option<usize>>>::default();
        let (asked, server) = (left.clone(), folder.join("server.sock"));
        let line = Listening::start(&folder.join("files.sock"), move |listener| {
            while let Ok((near, _)) = listener.accept() {
                if let Ok(far) = UnixStream::connect(&server) {
                    carried(near, far, &asked);
                }
            }
        });
        let roots = Roots { agent, allocations };
        let mut served = Self { folder: folder.to_owned(), roots, server: None, _line: line, left };
        served.begin();
        served
    }

    pub(super) fn door(&self) -> Door {
        Door::with(self.folder.join("files.sock"), LONG)
    }

    /// As when its capsule is started again.
    pub(super) fn begin(&mut self) {
        let roots = self.roots.clone();
        let serving = move |listener: UnixListener| drop(serve(&listener, &roots));
        self.server = Some(Listening::start(&self.folder.join("server.sock"), serving));
    }

    /// As when its capsule is ended.
    pub(super) fn end(&mut self) {
        self.server = None;
    }

    /// After so many bytes more from there the line is cut, once.
    pub(super) fn cut_after(&self, bytes: usize) {
        *self.left.lock().unwrap() = Some(bytes);
    }

    pub(super) fn mend(&self) {
        *self.left.lock().unwrap() = None;
    }
}

/// A listener and its thread, ended together.
struct Listening {
    listener: UnixListener,
    thread: Option<JoinHandle<()>>,
}

impl Listening {
    fn start(socket: &Path, live: impl FnOnce(UnixListener) + Send + 'static) -> Self {
        let _ = fs::remove_file(socket);
        let listener = UnixListener::bind(socket).unwrap();
        let theirs = listener.try_clone().unwrap();
        Self { listener, thread: Some(std::thread::spawn(move || live(theirs))) }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        shutdown(&self.listener, Shutdown::Both).unwrap();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn carried(near: UnixStream, far: UnixStream, left: &Arc<Mutex<Option<usize>>>) {
    let ends = || (near.try_clone().unwrap(), far.try_clone().unwrap());
    let ((mut near, mut far), left) = (ends(), left.clone());
    std::thread::spawn(move || {
        let mut piece = [0; 8192];
        while let Ok(read @ 1..) = far.read(&mut piece) {
            let mut left = left.lock().unwrap();
            let passed = left.map_or(read, |left| left.min(read));
            let _ = near.write_all(&piece[..passed]);
            if passed < read {
                *left = None;
                break;
            }
            *left = left.map(|left| left - passed);
        }
        let _ = (near.shutdown(std::net::Shutdown::Both), far.shutdown(std::net::Shutdown::Both));
    });
    let (mut near, mut far) = ends();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut near, &mut far);
        let _ = (near.shutdown(std::net::Shutdown::Both), far.shutdown(std::net::Shutdown::Both));
    });
}
