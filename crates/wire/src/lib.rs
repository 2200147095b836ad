//! Between the resident program and whoever shows it: whole snapshots and live figures one way, intents the other, and
//! questions with their answers.
//!
//! A local socket of one user; JSON, one message a line. Both ends greet first, at once, and look at nothing else before
//! they know that they speak the same protocol. Then the resident program sends its snapshot, and again whenever it
//! changes. Both ends check that the other runs as the same user.

pub mod client;
pub mod meeting;
pub mod message;
pub mod paths;
pub mod server;

pub use meeting::Meeting;

use ionet_core::question::Refused;
use ionet_private::{SocketError, SocketId};
use message::LetGo;

/// Raised when a message changes its form or its meaning. Two programs of different protocols do not talk.
pub const PROTOCOL: u32 = 2;

#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("nothing answers at {0}")]
    NobodyThere(SocketId),
    #[error("the app belongs to another user of this PC")]
    WrongUser,
    #[error("{}", other_protocol(*theirs))]
    OtherProtocol { theirs: u32 },
    #[error("the other end went away")]
    Closed,
    #[error("the other end does not answer")]
    Silent,
    #[error("not a message: {0}")]
    NotAMessage(String),
    #[error("the app let go of this program: {0}")]
    LetGo(LetGo),
    #[error(transparent)]
    Refused(Refused),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

fn other_protocol(theirs: u32) -> String {
    let (older, deed) = if theirs < PROTOCOL {
        ("the other end is of an older version", "quit the app and start it again")
    } else {
        ("this program is of an older version", "close it and start it again")
    };
    format!("{older} (protocol {theirs} there, {PROTOCOL} here): {deed}")
}

impl From<SocketError> for WireError {
    fn from(error: SocketError) -> Self {
        match error {
            SocketError::NobodyThere(at) | SocketError::TooLong(at) | SocketError::Taken(at) => {
                Self::NobodyThere(at)
            }
            SocketError::WrongUser => Self::WrongUser,
            SocketError::Io(error) => Self::Io(error),
        }
    }
}
