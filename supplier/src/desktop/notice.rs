//! A sentence that the desktop shows outside the window.

#[cfg(target_os = "linux")]
#[path = "notice/linux.rs"]
mod platform;
#[cfg(not(target_os = "linux"))]
#[path = "notice/elsewhere.rs"]
mod platform;

pub(super) use platform::show;
