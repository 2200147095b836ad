//! The capsule's program: the moat, who answers for names in it, and the first process inside. `ionet-capsule hold` starts a capsule by hand.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
mod by_hand;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("moat") => ionet_capsule::linux::moat::run(),
        Some("guard") => ionet_capsule::linux::init::guard(),
        Some("files") => ionet_capsule::linux::files::run(),
        Some("names") => ionet_capsule::linux::resolver::run(),
        Some("init") => {
            ionet_capsule::linux::init::run(std::env::args().skip(2).filter_map(|port| port.parse().ok()))
        }
        Some("hold") => by_hand::run(std::env::args().skip(2)),
        _ => by_hand::usage(),
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{}", ionet_capsule::Fault::Elsewhere);
    ExitCode::FAILURE
}
