//! Linux, in WSL too.

use std::fs;
use std::path::{Path, PathBuf};

use super::gpu::{OnBus, Presence};

/// Where the loader looks; then where WSL and NixOS keep it, which not every loader knows.
pub(crate) const NVML: &[&str] =
    &["libnvidia-ml.so.1", "/usr/lib/wsl/lib/libnvidia-ml.so.1", "/run/opengl-driver/lib/libnvidia-ml.so.1"];
pub(crate) const ROOT: &str = "/";

/// File systems that show in the table of mounts and are no disk of this PC.
pub(crate) const NOT_DISKS: &[&str] =
    &["tmpfs", "overlay", "squashfs", "iso9660", "nfs", "nfs4", "cifs", "fuse", "9p", "virtiofs"];

const NVIDIA: &str = "0x10de";
/// VGA and 3D controllers. NVIDIA's sound and USB functions have other classes.
const DISPLAY: &str = "0x03";

/// NVIDIA's cards on the PCI bus, by address. Reading this wakes none.
pub(crate) fn on_bus(root: &Path) -> Vec<OnBus> {
    let devices = fs::read_dir(root.join("sys/bus/pci/devices")).into_iter().flatten().flatten();
    let mut cards: Vec<_> = devices
        .filter_map(|device| {
            let says = |file: &str| fs::read_to_string(device.path().join(file)).unwrap_or_default();
            let is_card = says("vendor").starts_with(NVIDIA) && says("class").starts_with(DISPLAY);
            let address = device.file_name().to_string_lossy().into_owned();
            is_card.then(|| OnBus {
                // One that is on its way there would be woken as well.
                asleep: says("power/runtime_status").starts_with("suspend"),
                may_sleep: says("power/control").trim() == "auto" && driver_lets_sleep(root, &address),
                address,
            })
        })
        .collect();
    cards.sort_by(|a, b| a.address.cmp(&b.address));
    cards
}

/// On most desktops and servers the system would let a card sleep, and its driver never does. A driver that does not say
/// may.
fn driver_lets_sleep(root: &Path, address: &str) -> bool {
    let about = fs::read_to_string(root.join("proc/driver/nvidia/gpus").join(address).join("power"));
    let about = about.unwrap_or_default();
    let status = about.lines().find_map(|line| line.strip_prefix("Runtime D3 status:")).unwrap_or_default();
    !["Disabled", "Not supported"].iter().any(|never| status.trim().starts_with(never))
}

/// Whether there is a card of NVIDIA's. In WSL it is behind a device of Microsoft's, and on Tegra on no PCI bus.
pub(crate) fn presence(root: &Path) -> Presence {
    let tegra = || {
        let compatible = fs::read_to_string(root.join("proc/device-tree/compatible"));
        compatible.is_ok_and(|names| names.contains("nvidia,tegra"))
    };
    if !on_bus(root).is_empty() || tegra() {
        Presence::Present
    } else if root.join("dev/dxg").exists() || !root.join("sys/bus/pci/devices").exists() {
        Presence::Unknown
    } else {
        Presence::Absent
    }
}

/// The file that the loader found for this name, by the name that an update would put another file under.
pub(crate) fn loaded(name: &Path) -> Option<PathBuf> {
    let wanted = name.file_name()?.to_str()?;
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let stem = wanted.split_inclusive(".so").next()?;
    let mapped = maps.lines().filter_map(|line| line.find('/').map(|start| Path::new(&line[start..])));
    let mut named = mapped.filter(|file| {
        file.file_name().is_some_and(|file| file.to_str().is_some_and(|file| file.starts_with(stem)))
    });
    named.next().map(|file| file.with_file_name(wanted))
}

/// What mounts of one disk have in common.
pub(crate) fn volume(device: &str, _mount: &str) -> String {
    device.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loaded_library_is_found_by_the_name_that_the_loader_was_given() {
        let file = loaded(Path::new("libc.so.6")).unwrap();
        assert!(file.is_file() && file.ends_with("libc.so.6"), "{}", file.display());
        assert_eq!(loaded(Path::new("libnvidia-ml-nobody-has.so.1")), None);
    }
}
