//! Linux: `/proc`, pidfds (kernel 5.3 and newer), the engine's socket.

mod admit;
mod allocations;
mod beside;
mod child;
mod clear;
mod conversation;
mod engine;
mod gate;
pub(crate) mod guard;
mod guard_log;
mod guard_side;
pub(crate) mod images;
pub(crate) mod keeper;
mod lay_out;
mod leftovers;
mod listing;
mod log_file;
mod news;
mod output;
mod processes;
mod progress;
mod protocol;
mod questions;
mod refused;
mod remove;
mod serve;
mod signals;
mod socket;
mod sources;
pub(crate) mod work;

#[cfg(test)]
mod disk_tests;
#[cfg(test)]
mod engine_tests;
#[cfg(test)]
mod gate_tests;
#[cfg(test)]
mod guard_tests;
#[cfg(test)]
mod hold_tests;
#[cfg(test)]
mod last_word_tests;
#[cfg(test)]
mod listing_tests;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod version_tests;
#[cfg(test)]
mod work_tests;
