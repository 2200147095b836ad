//! Numbers that this PC's parts carry from the factory.

#[cfg(target_os = "linux")]
#[path = "hardware/linux.rs"]
mod platform;
#[cfg(not(target_os = "linux"))]
#[path = "hardware/other.rs"]
mod platform;

/// The firmware's id of the PC and the mainboard's serial number. On Linux only root may read them.
pub(super) fn boards() -> Vec<String> {
    let board = sysinfo::Motherboard::new().ok().and_then(|board| board.serial_number());
    let product = sysinfo::Product::uuid().ok();
    [product, board].into_iter().flatten().collect()
}

/// Addresses of the network cards that are really there, `aa:bb:cc:dd:ee:ff`: no bridges, tunnels or containers.
pub(super) fn network_cards() -> Vec<String> {
    platform::network_cards()
}

/// The UUIDs of the NVIDIA cards that the driver knows, without asking a card that sleeps.
pub(super) fn gpus() -> Vec<String> {
    platform::gpus()
}

/// The id that the operating system was given when it was installed.
pub(super) fn system() -> Option<String> {
    platform::system()
}
