//! `./dev walls`: a played network, a capsule of the real program in it, and a list of attacks on its walls. One JSON document is printed
//! last. Nothing of this ships.

#[cfg(target_os = "linux")]
mod attack;
#[cfg(target_os = "linux")]
mod capsule;
#[cfg(target_os = "linux")]
mod customer;
#[cfg(target_os = "linux")]
mod deeds;
#[cfg(target_os = "linux")]
mod engine;
#[cfg(target_os = "linux")]
mod eyes;
#[cfg(target_os = "linux")]
mod inside;
#[cfg(target_os = "linux")]
mod list;
#[cfg(target_os = "linux")]
mod packets;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod servers;
#[cfg(target_os = "linux")]
mod sides;
#[cfg(target_os = "linux")]
mod stage;
#[cfg(target_os = "linux")]
mod world;

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    run::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "the walls stand on Linux alone");
    ExitCode::FAILURE
}
