//! `journey`: see [`journeys::command`].

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
