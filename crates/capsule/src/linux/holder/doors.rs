//! The holder's ends of a capsule's doors: sockets in its folder that lead inside, and what leads back out.

use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::unix::uid_t;
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::fault::Fault;
use crate::holder::DOORS;
use crate::link::{self, Conversation, Link};

/// The doors of one capsule, open until this is dropped. Their sockets go with them.
#[derive(Debug)]
pub struct Doors {
    open: Vec<(PathBuf, JoinHandle<()>)>,
    guarded: watch::Receiver<usize>,
}

impl Doors {
    /// In that folder, for that user and root.
    ///
    /// # Errors
    /// A socket cannot be made there.
    pub fn open(link: &Link, run: &Path, owner: uid_t) -> Result<Self, Fault> {
        let (guards, guarded) = watch::channel(0);
        let guards = Arc::new(guards);
        let mut open = Vec::new();
        for door in DOORS {
            let socket = socket(run, door);
            let listener = listen(&socket, owner)?;
            let counted = (door == "guard").then(|| guards.clone());
            open.push((socket, tokio::spawn(lead(link.clone(), door, listener, owner, counted))));
        }
        Ok(Self { open, guarded })
    }

    /// How many speak with the guard now.
    pub fn guarded(&self) -> watch::Receiver<usize> {
        self.guarded.clone()
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        for (socket, door) in &self.open {
            door.abort();
            let _ = std::fs::remove_file(socket);
        }
    }
}

/// Where a door is.
pub fn socket(run: &Path, door: &str) -> PathBuf {
    run.join(door).with_extension("sock")
}

/// A socket that its owner alone may come to.
///
/// # Errors
/// It cannot be made there.
pub fn listen(socket: &Path, owner: uid_t) -> Result<UnixListener, Fault> {
    let made = || -> io::Result<UnixListener> {
        let _ = std::fs::remove_file(socket);
        let listener = UnixListener::bind(socket)?;
        std::os::unix::fs::chown(socket, Some(owner), None)?;
        std::fs::set_permissions(socket, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        Ok(listener)
    };
    made().map_err(|error| Fault::at("socket", error))
}

/// Whether whoever came may: the owner, or root, who may anyway.
pub fn may(stream: &UnixStream, owner: uid_t) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == owner || peer.uid() == 0)
}

async fn lead(
    link: Link,
    door: &'static str,
    listener: UnixListener,
    owner: uid_t,
    counted: Option<Arc<watch::Sender<usize>>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        if !may(&stream, owner) {
            continue;
        }
        let (link, counted) = (link.clone(), counted.clone());
        tokio::spawn(async move {
            if let Some(counted) = &counted {
                counted.send_modify(|guards| *guards += 1);
            }
            link.lead(door.to_owned(), stream).await;
            if let Some(counted) = &counted {
                counted.send_modify(|guards| *guards -= 1);
            }
        });
    }
}

/// Whoever inside asks for a port of this PC's is led to one of those that were named, and to no other.
pub async fn back(mut talk: Conversation, led: Vec<u16>) {
    let Ok(name) = link::asked(&mut talk).await else { return };
    let port = name.strip_prefix("port ").and_then(|port| port.parse().ok());
    let behind = match port.filter(|port| led.contains(port)) {
        Some(port) => TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await,
        None => Err(io::ErrorKind::PermissionDenied.into()),
    };
    // Either may break off; nobody else is concerned.
    let _ = link::answer(talk, behind).await;
}
