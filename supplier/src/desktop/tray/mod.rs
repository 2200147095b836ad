//! The tray item: a picture and a menu, both made from the snapshot alone.

pub mod icon;
pub mod menu;

#[cfg(target_os = "linux")]
#[path = "platform/linux.rs"]
mod platform;
#[cfg(not(target_os = "linux"))]
#[path = "platform/elsewhere.rs"]
mod platform;

pub use platform::run;
