//! What this PC is made of and what its cards are doing.
//!
//! One facade file per sense, the same functions on every OS; what differs lies in `platform/`. Everything here blocks
//! (a driver that is waking a card takes a second): call it from a blocking thread.

mod gpu;
mod machine;
#[cfg_attr(target_os = "linux", path = "platform/linux.rs")]
#[cfg_attr(target_os = "windows", path = "platform/windows.rs")]
#[cfg_attr(target_os = "macos", path = "platform/macos.rs")]
mod platform;

use ionet_core::fault::GpuFault;
use ionet_core::hardware::Hardware;

pub use gpu::{Gpus, MINIMUM_DRIVER, Search};

/// Looks at the whole PC once. Takes up to a few seconds on a driver that was asleep.
///
/// # Errors
/// As [`Gpus::open`]: without a usable card there is nothing to earn with.
pub fn detect() -> Result<Hardware, GpuFault> {
    Gpus::open()?.hardware()
}

/// What this PC is called on its network; the fallback label of a device. Empty where the system does not say.
pub fn host_name() -> String {
    sysinfo::System::host_name().unwrap_or_default()
}
