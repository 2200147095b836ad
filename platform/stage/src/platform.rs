//! What differs between operating systems: process groups, signals and private files.

#[cfg(unix)]
#[path = "platform/unix.rs"]
mod here;
#[cfg(not(unix))]
#[path = "platform/elsewhere.rs"]
mod here;

pub use here::asked_to_end;
pub(crate) use here::{Signal, own_group, private_folder, signal_group, wait_without_reaping, write_private};
