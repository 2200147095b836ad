//! Linux: namespaces.
//!
//! ```text
//! holder ── control ── moat ── parent of ── init ── guard ── agent
//!    │      socket      │                     └────── engine ── jobs
//!    │                  │ user, mount,        │ user, PID, mount, network,
//!    │                  │ network namespace   │ IPC, UTS, control group namespace
//!    └─ pasta ──────────┘ filter, cap         │ no capability over the moat
//!    └──────────────── one byte stream ───────┘
//! ```
//!
//! Each has a room here: `holder`, `moat`, and `inside` for whoever is in the capsule. What they say to each other is in `control`; what is
//! theirs together in `groups` and `disk`.

mod control;
pub mod disk;
mod groups;
pub mod holder;
mod ids;
pub mod inside;
pub mod moat;
mod tools;

pub use holder::hold::Here;
pub use holder::way::way;
