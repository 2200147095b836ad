//! Windows.

use std::path::Path;

pub(crate) const NVML: &str = "nvml.dll";
pub(crate) const PCI: &str = "";
pub(crate) const NOT_DISKS: &[&str] = &["CDFS", "UDF"];

/// Not looked up yet: the answer is that it cannot be known.
pub(crate) fn nvidia_card(_pci: &Path) -> Option<bool> {
    None
}

/// What mounts of one disk have in common. A device's name is only its label here, and is often empty.
pub(crate) fn volume(_device: &str, mount: &str) -> String {
    mount.to_owned()
}
