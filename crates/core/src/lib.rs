//! What the supplier app decides, without doing any of it.
//!
//! One owner of all state ([`State`]), one way in ([`step`]), one way out ([`Effect`] and [`Snapshot`]).
//! Nothing here reads a clock, a file, a random number or a socket: time, ids and entropy arrive in events.

pub mod agent;
pub mod can;
pub mod earnings;
pub mod effect;
pub mod event;
pub mod fault;
pub mod giving_back;
pub mod hardware;
pub mod money;
pub mod phase;
pub mod problem;
pub mod question;
pub mod region;
pub mod share;
pub mod snapshot;
pub mod start;
pub mod state;
pub mod step;
pub mod target;
mod tasks;
pub mod time;
pub mod wall;
mod wanted;

pub use can::Verb;
pub use effect::Effect;
pub use event::{Event, Intent, Outcome, Signal};
pub use money::Money;
pub use phase::Phase;
pub use problem::{Problem, ProblemCode};
pub use question::{Answer, Question, Refused};
pub use snapshot::{Snapshot, view};
pub use start::StartId;
pub use state::State;
pub use step::{step, wake_at};
pub use target::{Saved, Target};
pub use time::{Bytes, Now, UnixMs};
