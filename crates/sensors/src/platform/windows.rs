//! Windows.

use std::path::{Path, PathBuf};

use super::gpu::{OnBus, Presence};

pub(crate) const NVML: &[&str] = &["nvml.dll"];
pub(crate) const ROOT: &str = "";
pub(crate) const NOT_DISKS: &[&str] = &["CDFS", "UDF"];

/// The system wakes a card and lets it sleep behind the driver's back; nobody is told.
pub(crate) fn on_bus(_root: &Path) -> Vec<OnBus> {
    Vec::new()
}

/// Not looked up yet: the answer is that it cannot be known.
pub(crate) fn presence(_root: &Path) -> Presence {
    Presence::Unknown
}

/// A library that is loaded cannot be replaced here.
pub(crate) fn loaded(_name: &Path) -> Option<PathBuf> {
    None
}

/// What mounts of one disk have in common. A device's name is only its label here, and is often empty.
pub(crate) fn volume(_device: &str, mount: &str) -> String {
    mount.to_owned()
}
