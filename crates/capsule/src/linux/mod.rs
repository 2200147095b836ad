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

mod calls;
mod children;
mod clone;
mod control;
mod delegation;
pub mod disk;
pub mod doors;
mod drive;
mod edition;
mod engine;
pub mod files;
mod filled;
mod freezer;
mod groups;
mod groups_inside;
pub mod guard;
mod hold;
pub mod holder;
mod ids;
pub mod init;
mod loops;
pub mod moat;
mod network;
mod probe;
pub mod resolver;
mod root;
mod said;
mod share;
mod talk;
mod tools;
mod way;

pub use hold::Here;
pub use way::way;
