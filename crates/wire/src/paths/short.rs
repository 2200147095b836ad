//! A folder whose path is short, for sockets that would lie too deep: the systems take about a hundred bytes.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// Of this user and this data folder, however it is reached. None where pipes are no files.
pub(super) fn folder(data: &Path) -> Option<PathBuf> {
    user().map(|user| PathBuf::from(format!("/tmp/ionet-supplier-{user}-{}", key(data))))
}

/// Tells this data folder from others.
pub(super) fn key(data: &Path) -> String {
    let hash = Sha256::digest(data.as_os_str().as_encoded_bytes());
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(unix)]
fn user() -> Option<u32> {
    Some(rustix::process::geteuid().as_raw())
}

#[cfg(not(unix))]
fn user() -> Option<u32> {
    None
}
