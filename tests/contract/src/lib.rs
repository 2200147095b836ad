//! One suite of expectations about Nomad, held to the double, to a real Nomad and to recordings.
//! Every expectation is an `async fn(&Region)`; `tests/` decides what stands behind the [`Region`].

#![cfg(target_os = "linux")]

pub mod expectations;
pub mod jobs;
pub mod pki;
pub mod process;
pub mod region;
pub mod shapes;

pub use region::{ClientAgent, Kind, Options, Region};
