//! macOS: there is no driver of NVIDIA's.

use std::path::Path;

use super::gpu::{OnBus, Presence};

pub(crate) const NVML: &[&str] = &[];
pub(crate) const ROOT: &str = "";
pub(crate) const NOT_DISKS: &[&str] = &["autofs", "devfs", "smbfs", "nfs"];

pub(crate) fn on_bus(_root: &Path) -> Vec<OnBus> {
    Vec::new()
}

pub(crate) fn presence(_root: &Path) -> Presence {
    Presence::Absent
}

/// What mounts of one disk have in common. The system lists each volume once, by a name that need not be its own.
pub(crate) fn volume(_device: &str, mount: &str) -> String {
    mount.to_owned()
}
