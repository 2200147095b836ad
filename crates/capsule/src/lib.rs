//! The capsule: one Linux environment that is ours whole, for the agent, a container engine of its own, and all jobs. Its end is the
//! end of everything inside, by the kernel's word and not by a search.
//!
//! Where it lives is a [`Place`]; whoever is above that knows a byte stream ([`link`]) and a hold on it, and no namespace.

pub mod engine;
pub mod fault;
pub mod filter;
pub mod holder;
pub mod inside;
pub mod link;
pub mod names;
pub mod place;

#[cfg(target_os = "linux")]
pub mod linux;

pub use fault::{Fault, Missing};
pub use place::{Capsule, Ended, Hold, Place, Programs, Spec, Used, Way, Wish};
