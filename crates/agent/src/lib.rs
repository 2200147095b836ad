//! The Nomad client agent as this PC runs it: its plan, its start and stop under the guard, the work it brings, and
//! leaving nothing behind.
//!
//! Linux is real. On Windows and macOS the pure parts (plan, log lines, decisions) work; everything that starts,
//! finds or stops a process answers with a typed fault, because no agent can be started there yet.

#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, unused_imports, reason = "containers run on Linux alone until now")
)]
mod admission;
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "no agent prints anything elsewhere until now")
)]
mod agent_log;
pub mod api;
pub mod config;
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "nothing is swept elsewhere until now"))]
pub mod disk;
#[cfg(unix)]
pub mod engine;
#[cfg(not(unix))]
#[path = "engine_elsewhere.rs"]
pub mod engine;
pub mod find;
pub mod guard;
mod http;
pub mod images;
pub mod introduction;
pub mod ports;
pub mod program;
pub mod registration;
pub mod startup;
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "no agent runs elsewhere until now"))]
pub mod state;
pub mod supervisor;
pub mod teardown;

#[cfg_attr(unix, path = "files/unix.rs")]
#[cfg_attr(windows, path = "files/windows.rs")]
mod files;

#[cfg_attr(target_os = "linux", path = "platform/linux/mod.rs")]
#[cfg_attr(not(target_os = "linux"), path = "platform/none.rs")]
mod platform;

pub use config::{Drivers, Plan};
pub use guard::{Guard, GuardEvent, Place, Running, Start};
pub use ports::Ports;
pub use program::{OwnProgram, own_program};
