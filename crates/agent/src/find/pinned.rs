//! The one Nomad that the app was made for, as `installers/agent.toml` names it.

use std::io;
use std::path::Path;

use ionet_core::fault::AgentFault;
use sha2::{Digest, Sha256};

use super::Version;

const PINNED: &str = include_str!("../../../../installers/agent.toml");

/// Its version, as `nomad version` prints it: `v2.0.5`.
pub fn needed() -> String {
    format!("v{}", value(PINNED, "version").unwrap_or_default())
}

/// Whether this is the one, as it says itself.
///
/// # Errors
/// `WrongVersion`.
pub(super) fn fits(version: &Version) -> Result<(), AgentFault> {
    let needed = needed();
    let fits = if cfg!(feature = "rehearsal") {
        is_late_enough(&version.number, &needed)
    } else {
        version.number == needed && !version.double
    };
    if fits {
        return Ok(());
    }
    let found = if version.double { format!("{} (double)", version.number) } else { version.number.clone() };
    Err(AgentFault::WrongVersion { found, needed })
}

/// Of the same kind, `v2.0`, and not older. What is built by hand has a tail: `v2.0.5-dev`.
fn is_late_enough(found: &str, needed: &str) -> bool {
    let parts = |text: &str| {
        let plain = text.trim_start_matches('v').split(['-', '+']).next()?;
        let numbers: Option<Vec<u32>> = plain.split('.').map(|part| part.parse().ok()).collect();
        <[u32; 3]>::try_from(numbers?).ok()
    };
    match (parts(found), parts(needed)) {
        (Some(found), Some(needed)) => found[..2] == needed[..2] && found[2] >= needed[2],
        _ => false,
    }
}

/// Whether it has that checksum. Of a program of a hundred megabytes: beside the loop.
///
/// # Errors
/// `NotGenuine` when it has another or cannot be read.
pub(super) async fn is_genuine(program: &Path, pinned: &str) -> Result<(), AgentFault> {
    let file = program.to_owned();
    let sum = tokio::task::spawn_blocking(move || -> io::Result<String> {
        let mut hash = Sha256::new();
        io::copy(&mut std::fs::File::open(file)?, &mut hash)?;
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    });
    match sum.await {
        Ok(Ok(sum)) if sum == pinned.to_ascii_lowercase() => Ok(()),
        Ok(_) | Err(_) => Err(AgentFault::NotGenuine(program.display().to_string())),
    }
}

/// The pinned checksum for this system, where there is one. A rehearsal takes any program.
pub(super) fn sha256() -> Option<&'static str> {
    if cfg!(feature = "rehearsal") {
        return None;
    }
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let system = if cfg!(target_os = "macos") { "darwin" } else { std::env::consts::OS };
    let (_, table) = PINNED.split_once("[sha256]")?;
    value(table, &format!("{system}_{architecture}"))
}

/// The first of that name, which is what a plain line of TOML is.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == name).then(|| value.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: &str, double: bool) -> Version {
        Version { number: number.to_owned(), double }
    }

    #[test]
    fn the_needed_version_is_the_one_that_packages_bring() {
        assert_eq!(needed(), "v2.0.5");
        assert_eq!(fits(&version("v2.0.5", false)), Ok(()));
        assert_eq!(sha256(), None);
    }

    #[test]
    fn an_older_or_other_one_is_said_with_what_is_needed() {
        for other in ["v1.9.0", "v2.1.0", "v2.0.4", "v3.0.5", "2", ""] {
            let fault = AgentFault::WrongVersion { found: other.to_owned(), needed: needed() };
            assert_eq!(fits(&version(other, false)), Err(fault), "{other}");
        }
    }

    #[cfg(not(feature = "rehearsal"))]
    #[test]
    fn a_package_takes_no_later_one_and_no_double() {
        for (number, double) in [("v2.0.6", false), ("v2.0.5-dev", false), ("v2.0.5", true)] {
            assert!(fits(&version(number, double)).is_err(), "{number}");
        }
    }

    #[cfg(feature = "rehearsal")]
    #[test]
    fn a_rehearsal_takes_later_ones_of_the_same_kind_and_the_double() {
        for (number, double) in [("v2.0.6", false), ("v2.0.5-dev", false), ("v2.0.5", true)] {
            assert_eq!(fits(&version(number, double)), Ok(()), "{number}");
        }
    }

    #[tokio::test]
    async fn a_program_with_another_checksum_is_not_genuine() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("nomad");
        std::fs::write(&program, "abc").unwrap();
        let sum = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD";

        assert_eq!(is_genuine(&program, sum).await, Ok(()));
        std::fs::write(&program, "abd").unwrap();
        assert_eq!(
            is_genuine(&program, sum).await,
            Err(AgentFault::NotGenuine(program.display().to_string()))
        );
    }
}
