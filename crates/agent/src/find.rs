//! Which Nomad there is on this PC.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use ionet_core::fault::AgentFault;

use crate::files;

/// The environment variable that names the Nomad to use, for the app and the demo alike.
pub const VARIABLE: &str = "NOMAD";

/// The agent's program: `NOMAD=/path`, else `nomad` on the `PATH`, else (rehearsals only) the double beside our own
/// program.
///
/// # Errors
/// `Missing` when there is none, `NotExecutable` when the one that was found cannot be run by this user.
pub fn agent_binary() -> Result<PathBuf, AgentFault> {
    search(env::var_os(VARIABLE), env::var_os("PATH"), last_resort())
}

/// What a program says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// As `nomad version` prints it, without the name: `v2.0.5`.
    pub number: String,
    /// The rehearsal double says so itself, in its second line.
    pub double: bool,
}

/// Runs `PROGRAM version`.
///
/// # Errors
/// `NotExecutable` when it cannot be run, says nothing within ten seconds, or says something that Nomad would not.
pub async fn version(program: &Path) -> Result<Version, AgentFault> {
    let refused = || AgentFault::NotExecutable(program.display().to_string());
    let mut command = tokio::process::Command::new(program);
    command.arg("version").env_clear().stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(10), command.output())
        .await
        .map_err(|_| refused())?
        .map_err(|_| refused())?;
    parse(&String::from_utf8_lossy(&output.stdout)).ok_or_else(refused)
}

fn parse(text: &str) -> Option<Version> {
    let mut lines = text.lines();
    let number = lines.next()?.strip_prefix("Nomad ")?.split_whitespace().next()?.to_owned();
    let double = lines.next().is_some_and(|line| line.contains("rehearsal double"));
    Some(Version { number, double })
}

fn search(
    named: Option<OsString>,
    path: Option<OsString>,
    last: Option<PathBuf>,
) -> Result<PathBuf, AgentFault> {
    let found = match named.filter(|name| !name.is_empty()) {
        Some(name) => Some(PathBuf::from(name)).filter(|program| program.exists()),
        None => on_path(path.as_deref().unwrap_or_default()).or(last.filter(|program| program.exists())),
    };
    let program = found.ok_or(AgentFault::Missing)?;
    if files::is_executable(&program) {
        Ok(program)
    } else {
        Err(AgentFault::NotExecutable(program.display().to_string()))
    }
}

/// The first that can be run; else the first that is there at all, so that its fault can be named.
fn on_path(path: &std::ffi::OsStr) -> Option<PathBuf> {
    let name = format!("nomad{}", env::consts::EXE_SUFFIX);
    let there: Vec<PathBuf> = env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(&name))
        .filter(|program| program.is_file())
        .collect();
    there.iter().find(|program| files::is_executable(program)).or(there.first()).cloned()
}

#[cfg(feature = "rehearsal")]
fn last_resort() -> Option<PathBuf> {
    let beside = env::current_exe().ok()?;
    Some(beside.with_file_name(format!("nomad-double{}", env::consts::EXE_SUFFIX)))
}

#[cfg(not(feature = "rehearsal"))]
fn last_resort() -> Option<PathBuf> {
    None
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Written by another process: a file that this one has open for writing, a fork of another test's may hold open,
    /// and then it cannot be run.
    fn program(folder: &Path, name: &str, mode: u32) -> PathBuf {
        fs::create_dir_all(folder).unwrap();
        let file = folder.join(name);
        let written = std::process::Command::new("/bin/sh")
            .args(["-c", r#"printf '%s' "$2" > "$1""#, "sh"])
            .arg(&file)
            .arg("#!/bin/sh\nprintf 'Nomad v9.9.9\\nrehearsal double\\n'\n")
            .status();
        assert!(written.unwrap().success());
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn the_named_one_comes_before_the_path_and_the_path_before_the_last_resort() {
        let dir = tempfile::tempdir().unwrap();
        let named = program(&dir.path().join("a"), "mine", 0o755);
        let listed = program(&dir.path().join("b"), "nomad", 0o755);
        let last = program(&dir.path().join("c"), "nomad-double", 0o755);
        let path = Some(dir.path().join("b").into_os_string());

        assert_eq!(search(Some(named.clone().into()), path.clone(), Some(last.clone())), Ok(named));
        assert_eq!(search(None, path, Some(last.clone())), Ok(listed));
        assert_eq!(search(None, None, Some(last.clone())), Ok(last));
        assert_eq!(search(None, None, None), Err(AgentFault::Missing));
    }

    #[test]
    fn a_named_one_that_is_not_there_is_missing_and_nothing_else_takes_its_place() {
        let dir = tempfile::tempdir().unwrap();
        program(dir.path(), "nomad", 0o755);

        let found =
            search(Some(dir.path().join("gone").into()), Some(dir.path().as_os_str().to_owned()), None);

        assert_eq!(found, Err(AgentFault::Missing));
    }

    #[test]
    fn a_file_that_cannot_be_run_is_named_as_such() {
        let dir = tempfile::tempdir().unwrap();
        let file = program(dir.path(), "nomad", 0o644);

        let found = search(None, Some(dir.path().as_os_str().to_owned()), None);

        assert_eq!(found, Err(AgentFault::NotExecutable(file.display().to_string())));
    }

    #[tokio::test]
    async fn the_double_is_known_by_its_second_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = program(dir.path(), "nomad", 0o755);

        let version = version(&file).await.unwrap();

        assert_eq!(version, Version { number: "v9.9.9".to_owned(), double: true });
        let real = "Nomad v2.0.5\nBuildDate 2026-01-01T00:00:00Z\nRevision abc\n";
        assert_eq!(parse(real), Some(Version { number: "v2.0.5".to_owned(), double: false }));
        assert_eq!(parse("bash 5"), None);
    }
}
