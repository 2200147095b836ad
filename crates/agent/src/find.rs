//! Which Nomad there is on this PC, and whether it is the one that the app was made for.

use std::io;
use std::path::{Path, PathBuf};

use ionet_core::fault::AgentFault;

use crate::files;
use crate::program::OwnProgram;

mod pinned;
mod version;

pub use pinned::needed;
pub use version::{Version, version};

/// The environment variable that names the Nomad to use, for a rehearsal and the demo alike.
pub const VARIABLE: &str = "NOMAD";

/// The program that gives jobs their cards. So is its file called, and so the agent calls the plugin.
pub const CARD_PLUGIN: &str = "ionet-card-plugin";

/// A Nomad that may be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub program: PathBuf,
    pub version: Version,
}

/// The agent's program. A package takes the one that it brought, of exactly the pinned version: what a job may ask for
/// was decided for that one. A rehearsal takes `NOMAD=/path`, else `nomad` on the `PATH`, else the double beside our
/// own program, of that version or a later one of its kind.
///
/// # Errors
/// `Missing` when there is none, `NotExecutable`, `Silent` or `Shim` when it does not say which one it is,
/// `WrongVersion` and `NotGenuine` when it is another, `Upgraded` when that is because the app itself is.
pub async fn agent(own: &OwnProgram) -> Result<Found, AgentFault> {
    let found = match agent_binary(own) {
        Ok(program) => checked(program, pinned::sha256()).await,
        Err(fault) => Err(fault),
    };
    explained(found, own)
}

/// What does not fit this program is no fault where it was brought for the next one.
fn explained(found: Result<Found, AgentFault>, own: &OwnProgram) -> Result<Found, AgentFault> {
    let of_another = |fault: &AgentFault| {
        matches!(fault, AgentFault::Missing | AgentFault::NotGenuine(_) | AgentFault::WrongVersion { .. })
    };
    match found {
        Err(fault) if of_another(&fault) && own.was_upgraded() => Err(AgentFault::Upgraded),
        found => found,
    }
}

/// A program that is not the one that was meant is not even asked which one it is.
async fn checked(program: PathBuf, sha256: Option<&str>) -> Result<Found, AgentFault> {
    if let Some(sha256) = sha256 {
        pinned::is_genuine(&program, sha256).await?;
    }
    let version = version(&program).await?;
    pinned::fits(&version)?;
    Ok(Found { program, version })
}

/// Where it is, without asking it anything.
///
/// # Errors
/// `Missing` when there is none, `NotExecutable` when the one that was found cannot be run by this user.
pub fn agent_binary(own: &OwnProgram) -> Result<PathBuf, AgentFault> {
    runnable(candidate(own))
}

/// The program of ours that gives jobs their cards.
///
/// # Errors
/// `NoCardPlugin` when it is not there or cannot be run, `Upgraded` when that is because the app itself is upgraded.
pub fn card_plugin(own: &OwnProgram) -> Result<PathBuf, AgentFault> {
    match packaged(own, CARD_PLUGIN).filter(|program| files::is_executable(program)) {
        Some(program) => Ok(program),
        None if own.was_upgraded() => Err(AgentFault::Upgraded),
        None => Err(AgentFault::NoCardPlugin),
    }
}

/// Makes `folder` hold a link to that program and nothing else: whatever an agent finds there under a name of its
/// configuration it runs.
///
/// # Errors
/// When the folder cannot be made so.
pub fn place_card_plugin(program: &Path, folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    files::private_folder(folder)?;
    files::link(program, &folder.join(with_suffix(CARD_PLUGIN)))
}

/// What a package brings, and nothing that the owner or a job could put in its place by the environment.
#[cfg(not(feature = "rehearsal"))]
fn candidate(own: &OwnProgram) -> Option<PathBuf> {
    packaged(own, "nomad")
}

#[cfg(feature = "rehearsal")]
fn candidate(own: &OwnProgram) -> Option<PathBuf> {
    let double = own.beside(&with_suffix("nomad-double"));
    rehearsed(std::env::var_os(VARIABLE), std::env::var_os("PATH"), &double)
}

fn packaged(own: &OwnProgram, name: &str) -> Option<PathBuf> {
    let name = with_suffix(name);
    let places = [own.beside(&name), own.beside("../lib/ionet-supplier").join(&name)];
    places.into_iter().find(|program| program.exists())
}

/// A named one that is not there is missing, and nothing else takes its place.
#[cfg(any(feature = "rehearsal", test))]
fn rehearsed(
    named: Option<std::ffi::OsString>,
    path: Option<std::ffi::OsString>,
    double: &Path,
) -> Option<PathBuf> {
    let named = named.filter(|name| !name.is_empty()).map(PathBuf::from);
    let found = match named {
        Some(named) => named,
        None => on_path(path.as_deref().unwrap_or_default()).unwrap_or_else(|| double.to_owned()),
    };
    Some(found).filter(|program| program.exists())
}

fn with_suffix(name: &str) -> String {
    format!("{name}{}", std::env::consts::EXE_SUFFIX)
}

fn runnable(found: Option<PathBuf>) -> Result<PathBuf, AgentFault> {
    let program = found.ok_or(AgentFault::Missing)?;
    if files::is_executable(&program) {
        Ok(program)
    } else {
        Err(AgentFault::NotExecutable(program.display().to_string()))
    }
}

/// The first that can be run; else the first that is there at all, so that its fault can be named.
#[cfg(any(feature = "rehearsal", test))]
fn on_path(path: &std::ffi::OsStr) -> Option<PathBuf> {
    let name = with_suffix("nomad");
    let there: Vec<PathBuf> = std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(&name))
        .filter(|program| program.is_file())
        .collect();
    there.iter().find(|program| files::is_executable(program)).or(there.first()).cloned()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;

    /// Written by another process: a file that this one has open for writing, a fork of another test's may hold open,
    /// and then it cannot be run.
    pub(super) fn program(folder: &Path, name: &str, mode: u32, text: &str) -> PathBuf {
        fs::create_dir_all(folder).unwrap();
        let file = folder.join(name);
        let written = std::process::Command::new("/bin/sh")
            .args(["-c", r#"printf '%s' "$2" > "$1""#, "sh"])
            .arg(&file)
            .arg(text)
            .status();
        assert!(written.unwrap().success());
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    const NOMAD: &str = "#!/bin/sh\necho Nomad v9.9.9\n";

    #[test]
    fn a_rehearsal_takes_the_named_one_before_the_path_and_the_path_before_the_double() {
        let dir = tempfile::tempdir().unwrap();
        let named = program(&dir.path().join("a"), "mine", 0o755, NOMAD);
        let listed = program(&dir.path().join("b"), "nomad", 0o755, NOMAD);
        let double = program(&dir.path().join("c"), "nomad-double", 0o755, NOMAD);
        let path = Some(dir.path().join("b").into_os_string());

        assert_eq!(rehearsed(Some(named.clone().into()), path.clone(), &double), Some(named));
        assert_eq!(rehearsed(None, path.clone(), &double), Some(listed));
        assert_eq!(rehearsed(None, None, &double), Some(double.clone()));
        assert_eq!(rehearsed(None, None, &dir.path().join("none")), None);
        let gone = dir.path().join("gone").into_os_string();
        assert_eq!(rehearsed(Some(gone), path, &double), None, "nothing takes its place");
    }

    #[test]
    fn a_package_takes_what_it_brought_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let own = OwnProgram::at(dir.path().join("bin/ionet-supplier"));
        program(&dir.path().join("bin"), "nomad-double", 0o755, NOMAD);
        assert_eq!(packaged(&own, "nomad"), None, "no double, and whatever the environment names");

        let brought = program(&dir.path().join("lib/ionet-supplier"), "nomad", 0o755, NOMAD);
        let found = packaged(&own, "nomad").unwrap();
        assert_eq!(found.canonicalize().unwrap(), brought.canonicalize().unwrap());
    }

    #[cfg(not(feature = "rehearsal"))]
    #[test]
    fn a_package_looks_at_no_variable_and_no_path() {
        let dir = tempfile::tempdir().unwrap();
        let own = OwnProgram::at(dir.path().join("ionet-supplier"));

        assert_eq!(agent_binary(&own), Err(AgentFault::Missing));
    }

    #[tokio::test]
    async fn a_program_that_is_not_genuine_is_never_run() {
        let dir = tempfile::tempdir().unwrap();
        let ran = dir.path().join("ran");
        let text = format!("#!/bin/sh\n: > '{}'\necho Nomad v0.0.0\n", ran.display());
        let file = program(dir.path(), "nomad", 0o755, &text);

        let refused = checked(file.clone(), Some("00")).await;

        assert_eq!(refused, Err(AgentFault::NotGenuine(file.display().to_string())));
        assert!(!ran.exists());
        assert!(matches!(checked(file, None).await, Err(AgentFault::WrongVersion { .. })));
        assert!(ran.exists());
    }

    /// The package that is there by now brings the agent of the next version, beside the next version of the app.
    #[tokio::test]
    async fn a_nomad_that_came_with_an_upgrade_under_the_running_app_asks_for_the_apps_restart() {
        let dir = tempfile::tempdir().unwrap();
        let next = program(dir.path(), "nomad", 0o755, "#!/bin/sh\necho Nomad v0.0.0\n");
        let upgraded = OwnProgram::at(program(dir.path(), "ionet-supplier", 0o755, "the next version"));
        let same = crate::own_program().unwrap();
        let checked =
            async |own: &OwnProgram, sha256| explained(checked(next.clone(), sha256).await, own).map(drop);

        for sha256 in [None, Some("00")] {
            assert_eq!(checked(&upgraded, sha256).await, Err(AgentFault::Upgraded));
        }
        assert!(matches!(checked(&same, None).await, Err(AgentFault::WrongVersion { .. })));
        assert!(matches!(checked(&same, Some("00")).await, Err(AgentFault::NotGenuine(_))));
        assert_eq!(explained(Err(AgentFault::Missing), &upgraded), Err(AgentFault::Upgraded));
        assert_eq!(explained(Err(AgentFault::Missing), &same), Err(AgentFault::Missing));
        let gone = OwnProgram::at(dir.path().join("gone"));
        assert_eq!(explained(Err(AgentFault::Missing), &gone), Err(AgentFault::Missing), "none came instead");
    }

    #[test]
    fn what_gives_jobs_their_cards_is_the_apps_own_and_lies_alone_where_the_agent_looks() {
        let dir = tempfile::tempdir().unwrap();
        let own = OwnProgram::at(dir.path().join("ionet-supplier"));
        let folder = dir.path().join("plugins");
        assert_eq!(card_plugin(&own), Err(AgentFault::NoCardPlugin));
        program(dir.path(), CARD_PLUGIN, 0o644, "cannot be run");
        assert_eq!(card_plugin(&own), Err(AgentFault::NoCardPlugin));
        let ours = program(dir.path(), CARD_PLUGIN, 0o755, "ours");
        fs::create_dir_all(folder.join("a folder")).unwrap();
        program(&folder, "somebody's", 0o755, "theirs");
        program(&folder, CARD_PLUGIN, 0o755, "theirs");

        assert_eq!(card_plugin(&own), Ok(ours.clone()));
        for _ in ["at a start", "and at the next"] {
            place_card_plugin(&ours, &folder).unwrap();

            let lies: Vec<_> = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name()).collect();
            assert_eq!(lies, [CARD_PLUGIN]);
            assert_eq!(fs::read_to_string(folder.join(CARD_PLUGIN)).unwrap(), "ours");
        }
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_file_that_cannot_be_run_is_named_as_such() {
        let dir = tempfile::tempdir().unwrap();
        let file = program(dir.path(), "nomad", 0o644, NOMAD);

        let found = runnable(on_path(dir.path().as_os_str()));

        assert_eq!(found, Err(AgentFault::NotExecutable(file.display().to_string())));
    }
}
