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
pub mod disk;
mod engine;
pub mod files;
mod groups;
mod groups_inside;
mod hold;
mod ids;
pub mod init;
mod loops;
pub mod moat;
mod network;
pub mod resolver;
mod root;
mod said;
mod talk;
mod tools;
mod way;

pub use hold::Here;
pub use way::way;
