//! File modes and signals, where the system has them.

#[cfg_attr(unix, path = "platform/unix.rs")]
#[cfg_attr(not(unix), path = "platform/other.rs")]
mod imp;

pub(crate) use imp::{Signals, with_mode};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Interrupt,
    #[cfg_attr(not(unix), expect(dead_code, reason = "only Unix has this signal"))]
    Terminate,
    #[cfg_attr(not(unix), expect(dead_code, reason = "only Unix has this signal"))]
    Hangup,
}
