//! From sysfs, procfs and `/etc`: nothing is asked that could wake a part up.

use std::fs;
use std::path::{Path, PathBuf};

pub(super) fn network_cards() -> Vec<String> {
    entries("/sys/class/net").flat_map(|interface| addresses(&interface)).collect()
}

pub(super) fn gpus() -> Vec<String> {
    let cards = entries("/proc/driver/nvidia/gpus");
    cards.filter_map(|card| uuid(&fs::read_to_string(card.join("information")).ok()?)).collect()
}

pub(super) fn system() -> Option<String> {
    ["/etc/machine-id", "/var/lib/dbus/machine-id"].iter().find_map(|file| read(Path::new(file)))
}

/// An interface with a device behind it: the address that was not made up, and a radio's own, which stands beside a made-up one.
fn addresses(interface: &Path) -> Vec<String> {
    if !interface.join("device").exists() {
        return Vec::new();
    }
    let permanent = read(&interface.join("addr_assign_type")).is_some_and(|kind| kind == "0");
    let wired = read(&interface.join("address")).filter(|_| permanent);
    wired.into_iter().chain(read(&interface.join("phy80211/macaddress"))).collect()
}

/// A card that the driver has not opened yet shows question marks.
fn uuid(information: &str) -> Option<String> {
    let line = information.lines().find_map(|line| line.strip_prefix("GPU UUID:"))?;
    Some(line.trim().to_owned()).filter(|uuid| !uuid.is_empty() && !uuid.contains('?'))
}

fn entries(folder: &str) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn read(file: &Path) -> Option<String> {
    fs::read_to_string(file).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_that_the_driver_has_opened_tells_its_uuid() {
        let text = |uuid: &str| {
            format!("Model: \t\t NVIDIA RTX\nIRQ:   \t\t 61\nGPU UUID: \t {uuid}\nBus Type: \t PCIe\n")
        };

        assert_eq!(uuid(&text("GPU-1b2c-3d")).as_deref(), Some("GPU-1b2c-3d"));
        assert_eq!(uuid(&text("GPU-????????-????-????-????-????????????")), None);
        assert_eq!(uuid("Model: NVIDIA"), None);
    }

    #[test]
    fn a_radio_tells_its_own_address_beside_a_made_up_one() {
        let interface = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = interface.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("addr_assign_type", "3\n");
        write("address", "02:11:22:33:44:55\n");
        write("phy80211/macaddress", "3c:a8:2a:44:55:66\n");

        let virtual_one = addresses(interface.path());
        write("device/vendor", "0x8086\n");

        assert_eq!(
            (virtual_one, addresses(interface.path())),
            (vec![], vec!["3c:a8:2a:44:55:66".to_owned()])
        );
    }
}
