//! The journeys: the real built programs, walked from a first start to a paid job with nobody there.
//!
//! Every step reads what a person would see (the window by WebDriver, the tray item by D-Bus) and then asks the
//! other side: the region, the gateway, the bucket, the process table.

#![cfg(target_os = "linux")]

pub mod account;
pub mod audit;
pub mod bench;
pub mod breaks;
pub mod capsule;
pub mod card;
pub mod certificate;
pub mod command;
#[path = "../doubles/desktop/mod.rs"]
pub mod desktop;
pub mod files;
pub mod freeze_watch;
pub mod impostor;
pub mod leavings;
pub mod machine;
pub mod mounts;
pub mod needs;
pub mod pc;
pub mod processes;
pub mod read;
pub mod region;
pub mod report;
mod root;
pub mod site;
pub mod step;
pub mod steps;
pub mod wait;
pub mod window;
pub mod world;
