//! Linux.

use std::fs;
use std::path::Path;

pub(crate) const NVML: &str = "libnvidia-ml.so.1";
pub(crate) const PCI: &str = "/sys/bus/pci/devices";

/// File systems that show in the table of mounts and are no disk of this PC.
pub(crate) const NOT_DISKS: &[&str] =
    &["tmpfs", "overlay", "squashfs", "iso9660", "nfs", "nfs4", "cifs", "fuse", "9p", "virtiofs"];

const NVIDIA: &str = "0x10de";
/// VGA and 3D controllers. NVIDIA's sound and USB functions have other classes.
const DISPLAY: &str = "0x03";

/// Whether a card of NVIDIA's is on the PCI bus; `None` when that cannot be known.
pub(crate) fn nvidia_card(pci: &Path) -> Option<bool> {
    let devices = fs::read_dir(pci).ok()?;
    Some(devices.flatten().any(|device| {
        let says = |file, start| {
            fs::read_to_string(device.path().join(file)).is_ok_and(|text: String| text.starts_with(start))
        };
        says("vendor", NVIDIA) && says("class", DISPLAY)
    }))
}

/// What mounts of one disk have in common.
pub(crate) fn volume(device: &str, _mount: &str) -> String {
    device.to_owned()
}
