//! Whoever is in the capsule: its first process, and whom that keeps running.

mod calls;
mod children;
mod engine;
pub mod files;
pub mod guard;
pub mod init;
mod probe;
