//! What is mounted below a folder. Nomad gives every task two small file systems of its own.

use std::path::{Path, PathBuf};

use rustix::mount::{UnmountFlags, unmount};

/// The mount points below `folder`, the deepest first.
pub fn below(folder: &Path) -> Vec<PathBuf> {
    let table = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let point = |line: &str| line.split(' ').nth(1).map(PathBuf::from);
    let mut found: Vec<PathBuf> =
        table.lines().filter_map(point).filter(|point| point.starts_with(folder)).collect();
    found.sort();
    found.reverse();
    found
}

/// Takes away every mount below `folder`.
pub fn clear(folder: &Path) {
    for point in below(folder) {
        if let Err(error) = unmount(&point, UnmountFlags::DETACH) {
            tracing::warn!(point = %point.display(), %error, "a mount stays");
        }
    }
}
