use std::io;
use std::os::windows::ffi::OsStrExt as _;
use std::os::windows::io::AsHandle as _;
use std::path::{Path, PathBuf};

use interprocess::local_socket::{ListenerOptions, tokio::Stream};
use interprocess::os::windows::local_socket::ListenerOptionsExt as _;
use interprocess::os::windows::security_descriptor::SecurityDescriptor;
use sha2::{Digest as _, Sha256};
use widestring::U16CString;

use super::SocketError;
use crate::platform::{owner, user};

/// Pipes have no folders: their names lie side by side, those of every user, so the folder becomes a part of the name.
pub(super) fn place(folder: &Path, name: &str) -> PathBuf {
    let mut hash = Sha256::new();
    for unit in folder.as_os_str().encode_wide() {
        hash.update(unit.to_le_bytes());
    }
    let folder: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    PathBuf::from(format!(r"\\.\pipe\ionet-supplier-{folder}-{name}"))
}

pub(super) fn folder(_: &Path) -> Option<&Path> {
    None
}

pub(super) fn fits(path: &Path) -> bool {
    path.as_os_str().len() <= 256
}

/// Listening asks to be the first, so the system answers this.
pub(super) fn is_answered(_: &Path) -> bool {
    false
}

/// A pipe goes with the program that listened.
pub(super) fn clear(_: &Path) -> io::Result<bool> {
    Ok(true)
}

/// Owned by this user and open to this user alone. The first instance is demanded by the library: where a stranger has
/// made a pipe of this name before, listening fails.
pub(super) fn for_owner(options: ListenerOptions<'_>) -> io::Result<ListenerOptions<'_>> {
    let user = user()?;
    let text = U16CString::from_str(format!("O:{user}D:P(A;;GA;;;{user})"))
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(options.security_descriptor(SecurityDescriptor::deserialize(&text)?))
}

/// A pipe that belongs to this user was made by this user.
pub(super) fn check_listener(stream: &Stream) -> Result<(), SocketError> {
    let owner = match stream {
        Stream::NamedPipe(pipe) => owner(pipe.as_handle())?,
    };
    if owner == user()? { Ok(()) } else { Err(SocketError::WrongUser) }
}

/// The descriptor of [`for_owner`] lets nobody else come this far.
pub(super) fn check_guest(_: &Stream) -> Result<(), SocketError> {
    Ok(())
}

#[derive(Debug, Clone)]
pub(super) struct Mark;

impl Mark {
    pub(super) fn of(_: &Path) -> io::Result<Self> {
        Ok(Self)
    }

    /// Nothing takes a pipe's name away while it is open.
    pub(super) fn is_there(&self) -> bool {
        true
    }

    pub(super) fn remove(&self) {}
}
