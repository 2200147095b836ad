//! The program that the agent starts.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    ionet_card_plugin::run()
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::print_stderr, reason = "all that it does here")]
fn main() -> ExitCode {
    eprintln!("This is a part of ionet-supplier that runs on Linux alone: jobs run nowhere else yet.");
    ExitCode::FAILURE
}
