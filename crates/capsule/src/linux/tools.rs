//! The system's own programs for what no library of ours does as well: where they lie, and how they are told.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::fault::{Fault, Missing};

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
pub(super) fn tell(program: &str, args: &[&str], text: &str) -> Result<(), Fault> {
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
