//! `journey`: see [`journeys::command`].

#![cfg_attr(not(target_os = "linux"), expect(clippy::print_stderr, reason = "a command line speaks so"))]

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    journeys::command::run()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("journey: the journeys drive a Linux desktop");
    ExitCode::FAILURE
}
