//! The capsule's program: the moat, who answers for names in it, and the first process inside.
//! `ionet-capsule serve` holds one for the resident program, `ionet-capsule hold` by hand.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
mod by_hand;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    use by_hand::Deed;
    match std::env::args().nth(1).as_deref() {
        Some("moat") => ionet_capsule::linux::moat::run(),
        Some("guard") => {
            ionet_capsule::linux::inside::guard::run(std::env::args().nth(2).as_deref() == Some("first"))
        }
        Some("files") => ionet_capsule::linux::inside::files::run(),
        Some("names") => ionet_capsule::linux::moat::resolver::run(),
        Some("init") => ionet_capsule::linux::inside::init::run(
            std::env::args().skip(2).filter_map(|port| port.parse().ok()),
        ),
        Some("hold") => by_hand::run(Deed::Hold, std::env::args().skip(2)),
        Some("serve") => by_hand::run(Deed::Serve, std::env::args().skip(2)),
        Some("sweep") => by_hand::run(Deed::Sweep, std::env::args().skip(2)),
        _ => by_hand::usage(),
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{}", ionet_capsule::Fault::Elsewhere);
    ExitCode::FAILURE
}
