//! What differs between operating systems: process groups, signals and local sockets.

#[cfg(unix)]
#[path = "platform/unix.rs"]
mod here;
#[cfg(not(unix))]
#[path = "platform/elsewhere.rs"]
mod here;

pub use here::asked_to_end;
pub(crate) use here::{Signal, connect, own_group, signal_group, wait_without_reaping};
