//! What a program says it is.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use ionet_core::fault::AgentFault;
use tokio::io::AsyncReadExt;

/// A cold disk is slow; a program that waits for something waits for ever.
const SAID_WITHIN: Duration = Duration::from_secs(10);
/// Three short lines.
const LONGEST: u64 = 4096;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// As `nomad version` prints it, without the name: `v2.0.5`.
    pub number: String,
    /// The rehearsal double says so itself, in its second line.
    pub double: bool,
}

/// Not the owner's, as an agent's is not: a version manager without the variable would look the owner's up, and find there what
/// the agent does not.
const HOME: &str = "/nonexistent";

/// Runs `PROGRAM version`, in as clean an environment as an agent gets.
///
/// # Errors
/// `NotExecutable` when it cannot be run or says something that Nomad would not, `Silent` when it says nothing in time,
/// `Shim` when it is a script that has failed to find the real one.
pub async fn version(program: &Path) -> Result<Version, AgentFault> {
    version_within(program, SAID_WITHIN).await
}

async fn version_within(program: &Path, within: Duration) -> Result<Version, AgentFault> {
    let named = program.display().to_string();
    let said = tokio::time::timeout(within, said(program)).await;
    let text = match said {
        Err(_) => return Err(AgentFault::Silent(named)),
        Ok(Err(_)) => return Err(AgentFault::NotExecutable(named)),
        Ok(Ok(text)) => text,
    };
    parse(&text).ok_or_else(|| {
        if is_shim(program) { AgentFault::Shim(named) } else { AgentFault::NotExecutable(named) }
    })
}

/// The beginning of what it prints. It is ended with that, whatever more it has to say.
async fn said(program: &Path) -> std::io::Result<String> {
    let mut command = tokio::process::Command::new(program);
    command
        .arg("version")
        .env_clear()
        .env("HOME", HOME)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.kill_on_drop(true).spawn()?;
    let mut bytes = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(LONGEST).read_to_end(&mut bytes).await?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn parse(text: &str) -> Option<Version> {
    let mut lines = text.lines();
    let number = lines.next()?.strip_prefix("Nomad ")?.split_whitespace().next()?.to_owned();
    let double = lines.next().is_some_and(|line| line.contains("rehearsal double"));
    Some(Version { number, double })
}

/// Version managers put a script, or a link to themselves, in a program's place.
fn is_shim(program: &Path) -> bool {
    let is_script = || {
        let mut begin = [0; 2];
        let read = std::fs::File::open(program)
            .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut begin));
        read.is_ok() && begin == *b"#!"
    };
    let real = program.canonicalize().unwrap_or_else(|_| program.to_owned());
    let name = real.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let among_shims = program.parent().is_some_and(|folder| folder.ends_with("shims"));
    among_shims || ["mise", "rtx", "asdf", "aqua", "aqua-proxy"].contains(&name.as_str()) || is_script()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::super::tests::program;
    use super::*;

    async fn asked(text: &str) -> (Result<Version, AgentFault>, String) {
        let dir = tempfile::tempdir().unwrap();
        let file = program(dir.path(), "nomad", 0o755, text);
        (version_within(&file, Duration::from_secs(5)).await, file.display().to_string())
    }

    #[tokio::test]
    async fn the_double_is_known_by_its_second_line() {
        let (version, _) = asked("#!/bin/sh\nprintf 'Nomad v9.9.9\\nThis is a rehearsal double.\\n'\n").await;

        assert_eq!(version, Ok(Version { number: "v9.9.9".to_owned(), double: true }));
        let real = "Nomad v2.0.5\nBuildDate 2026-01-01T00:00:00Z\nRevision abc\n";
        assert_eq!(parse(real), Some(Version { number: "v2.0.5".to_owned(), double: false }));
        assert_eq!(parse("bash 5"), None);
    }

    #[tokio::test]
    async fn a_version_managers_shim_that_needs_the_owners_home_is_named_as_one() {
        let (version, file) =
            asked("#!/bin/sh\nset -u\nexec \"${HOME:?this shim needs HOME}/.real-nomad\" \"$@\"\n").await;
        assert_eq!(version, Err(AgentFault::Shim(file)));

        let dir = tempfile::tempdir().unwrap();
        let manager = program(dir.path(), "mise", 0o755, "");
        let shims = dir.path().join("shims");
        std::fs::create_dir(&shims).unwrap();
        std::os::unix::fs::symlink(&manager, shims.join("nomad")).unwrap();
        assert!(is_shim(&shims.join("nomad")));
        assert!(!is_shim(Path::new("/proc/self/exe")));
    }

    /// As mise does: the variable, else the list of users.
    #[tokio::test]
    async fn a_version_managers_shim_that_looks_the_owners_home_up_is_named_as_one() {
        let shim = "#!/bin/sh\n[ \"${HOME-of the list}\" = \"of the list\" ] && echo Nomad v2.0.5\n";

        let (version, file) = asked(shim).await;

        assert_eq!(version, Err(AgentFault::Shim(file)));
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_given_up_and_one_that_never_ends_its_words_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let hangs = program(dir.path(), "nomad", 0o755, "#!/bin/sh\nexec sleep 600\n");
        let given_up = version_within(&hangs, Duration::from_millis(200)).await;
        assert_eq!(given_up, Err(AgentFault::Silent(hangs.display().to_string())));

        let (endless, _) = asked("#!/bin/sh\nprintf 'Nomad v2.0.5\\n'; exec cat /dev/zero\n").await;
        assert_eq!(endless.unwrap().number, "v2.0.5");
    }
}
