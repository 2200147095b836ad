//! What is this user's alone on a PC: folders, files, locks and local sockets.
//!
//! Everything about folders, files and locks blocks, and on a disk or a network mount that hangs it blocks for as long
//! as that hangs. Inside a runtime it belongs into `spawn_blocking`, and whoever waits for it waits with a limit.

mod aside;
mod content;
mod error;
mod files;
mod lock;
pub mod socket;

#[cfg(unix)]
#[path = "platform/unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "platform/windows.rs"]
mod platform;

pub use aside::{KEPT, make_way, set_aside};
pub use content::{Damage, LoadError, load_json, parse_json};
pub use error::{FileError, Trouble};
pub use files::{folder, jot, read, remove, replace};
pub use lock::{Lock, LockError};
pub use socket::{SocketError, SocketId};
