//! macOS: there is no driver of NVIDIA's.

pub(crate) const NVML: &str = "";
pub(crate) const PCI: &str = "";
pub(crate) const NOT_DISKS: &[&str] = &["autofs", "devfs", "smbfs", "nfs"];

/// What mounts of one disk have in common. The system lists each volume once, by a name that need not be its own.
pub(crate) fn volume(_device: &str, mount: &str) -> String {
    mount.to_owned()
}
