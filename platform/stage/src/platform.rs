//! What differs between operating systems: process groups, signals, private files and local sockets.

#[cfg(unix)]
#[path = "platform/unix.rs"]
mod here;
#[cfg(not(unix))]
#[path = "platform/elsewhere.rs"]
mod here;

pub use here::asked_to_end;
pub(crate) use here::{
    Signal, connect, own_group, private_folder, signal_group, wait_without_reaping, write_private,
};
