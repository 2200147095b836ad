//! Between the resident program and whoever shows it: whole snapshots one way, intents the other.
//!
//! A local socket of the same user; JSON, one message a line. The resident greets first, then sends its snapshot
//! at once and again whenever it changes. Both ends check that the other runs as the same user.

pub mod client;
pub mod message;
pub mod paths;
mod peer;
pub mod server;

/// Raised when a message changes its meaning. Two programs of different protocols do not talk.
pub const PROTOCOL: u32 = 1;

/// A snapshot is a few kilobytes; what is longer than this is not one of ours.
const MAX_LINE: usize = 4 << 20;

#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("nothing answers at {0}")]
    NobodyThere(std::path::PathBuf),
    #[error("the other end runs as another user")]
    Stranger,
    #[error("the other end speaks protocol {theirs}, this one {PROTOCOL}: restart the app")]
    OtherProtocol { theirs: u32 },
    #[error("the other end went away")]
    Closed,
    #[error("not a message: {0}")]
    NotAMessage(String),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
