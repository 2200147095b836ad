//! The note: a line of JSON that says who wrote it, and the socket's address as the system spells it, which need not be
//! text.

use std::path::Path;

use ionet_private::{FileError, SocketId};
use serde::{Deserialize, Serialize};

/// An address is at most a hundred bytes or so.
const LONGEST: u64 = 4096;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) pid: u32,
    pub(super) host: String,
    pub(super) socket: SocketId,
}

#[derive(Serialize, Deserialize)]
struct Head {
    pid: u32,
    host: String,
}

pub(super) fn write(path: &Path, note: &Note) -> Result<(), FileError> {
    let head = Head { pid: note.pid, host: note.host.clone() };
    // Two plain fields always become JSON.
    let mut content = serde_json::to_vec(&head).unwrap_or_default();
    content.push(b'\n');
    content.extend_from_slice(note.socket.as_os_str().as_encoded_bytes());
    // The socket is gone with the system that it was made on.
    ionet_private::jot(path, &content)
}

/// None where there is none that can be read: then nothing is known, and the usual places are looked at.
pub(super) fn read(path: &Path) -> Option<Note> {
    let content =
        ionet_private::read(path, LONGEST).inspect_err(|error| tracing::debug!(%error, "no note")).ok()??;
    let cut = content.iter().position(|byte| *byte == b'\n')?;
    let (head, address) = content.split_at(cut);
    let head: Head = ionet_private::parse_json(head).ok()?;
    let socket = SocketId::from_os_str(&spelled(&address[1..])?);
    Some(Note { pid: head.pid, host: head.host, socket })
}

#[cfg(unix)]
fn spelled(address: &[u8]) -> Option<std::ffi::OsString> {
    use std::os::unix::ffi::OsStrExt as _;
    (address.starts_with(b"/") && !address.contains(&0))
        .then(|| std::ffi::OsStr::from_bytes(address).to_owned())
}

/// Pipes of ours have plain names.
#[cfg(not(unix))]
fn spelled(address: &[u8]) -> Option<std::ffi::OsString> {
    std::str::from_utf8(address).ok().map(Into::into)
}
