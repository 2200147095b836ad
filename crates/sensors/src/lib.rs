//! What this PC is made of and what its cards are doing.
//!
//! One facade file per sense, the same functions on every OS; what differs lies in `platform/`. Everything here blocks
//! (a driver that is waking a card takes a second): call it from a blocking thread. It never blocks for longer than the
//! patience of [`Search`], and what hangs behind it is one thread, however often it is asked.

mod gpu;
mod machine;
#[cfg_attr(target_os = "linux", path = "platform/linux.rs")]
#[cfg_attr(target_os = "windows", path = "platform/windows.rs")]
#[cfg_attr(target_os = "macos", path = "platform/macos.rs")]
mod platform;
mod worker;

pub use gpu::{Cards, MINIMUM_DRIVER, Presence, Search};

/// What this PC is called on its network; the fallback label of a device. Empty where the system does not say.
pub fn host_name() -> String {
    sysinfo::System::host_name().unwrap_or_default()
}
