//! Tells Nomad which cards there are, and gives a job those that the scheduler chose for it and no other.
//!
//! It is a device plugin: the agent starts it, asks it over a socket, and ends it. What it says of the cards comes from the same
//! sensor as everything else that the app says of them.

#![cfg(target_os = "linux")]

mod base;
mod desk;
mod device;
mod handshake;
mod offer;
pub mod protocol;
mod serve;
mod stats;

pub use handshake::{COOKIE, Handshake};
pub use serve::run;

/// The program's file, which is what the agent's configuration calls the plugin.
pub const NAME: &str = "ionet-card-plugin";
