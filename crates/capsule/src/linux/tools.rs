//! The system's own programs for what no library of ours does as well: where they lie, and how they are told.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

use crate::fault::{Fault, Missing};

/// The program that this process is, also where another has been installed in its place.
pub(crate) const OWN_PROGRAM: &str = "/proc/self/exe";

/// Where a program of the system lies. Nobody's PATH is asked.
pub(crate) fn find(program: &str) -> Result<PathBuf, Missing> {
    let folders = [
        "/usr/sbin",
        "/usr/bin",
        "/usr/libexec/docker",
        "/usr/local/sbin",
        "/usr/local/bin",
        "/sbin",
        "/bin",
    ];
    let there = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    let mut places = folders.iter().map(|folder| Path::new(folder).join(program));
    places.find(there).ok_or_else(|| Missing::Program(program.to_owned()))
}

/// A program of the system that takes what is to be done on its standard input.
pub(crate) fn tell(program: &str, args: &[&str], text: &str) -> Result<(), Fault> {
    let wrong = |why: &dyn std::fmt::Display| Fault::at(program, why);
    let mut child = Command::new(find(program)?)
        .args(args)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| wrong(&error))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(text.as_bytes()).map_err(|error| wrong(&error))?;
    }
    let said = child.wait_with_output().map_err(|error| wrong(&error))?;
    if said.status.success() { Ok(()) } else { Err(wrong(&String::from_utf8_lossy(&said.stderr).trim())) }
}

/// For between fork and exec: who is started ends with whoever starts it, however that ends, also before this was said. One system call
/// after the other, and nothing is allocated.
pub(crate) fn follow() -> impl FnMut() -> io::Result<()> {
    let parent = getpid();
    move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        if getppid() == Some(parent) { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    }
}

/// How one of our processes ended, for whoever hears what it says.
pub(crate) fn ended(who: &str, lived: io::Result<()>) -> ExitCode {
    match lived {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{who}: {error}");
            ExitCode::FAILURE
        }
    }
}
