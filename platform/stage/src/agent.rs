//! Which Nomad plays the region: a real one, or the project's double.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::child;

/// Which Nomad to take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NomadChoice {
    /// `NOMAD=/path` in the environment, else a `nomad` on `PATH`, else the double.
    #[default]
    Found,
    Path(PathBuf),
    /// The double, even where a real one is at hand.
    Double,
}

/// The program that plays servers and clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    pub kind: AgentKind,
    /// Without a leading `v`.
    pub version: String,
    pub path: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentKind {
    Nomad,
    Double,
}

impl NomadChoice {
    /// Looks for the program and asks it who it is.
    ///
    /// # Errors
    /// There is none, or it does not answer `version`.
    pub fn resolve(&self) -> Result<Agent> {
        let path = match self {
            Self::Path(path) => path.clone(),
            Self::Double => child::sibling("nomad-double")?,
            Self::Found => match named_in_environment().or_else(on_search_path) {
                Some(path) => path,
                None => child::sibling("nomad-double")?,
            },
        };
        identify(&path)
    }
}

fn named_in_environment() -> Option<PathBuf> {
    std::env::var_os("NOMAD").filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn on_search_path() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let file = format!("nomad{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&folders).map(|folder| folder.join(&file)).find(|path| path.is_file())
}

fn identify(path: &Path) -> Result<Agent> {
    let path = path.canonicalize().with_context(|| format!("{} is not there", path.display()))?;
    let output = Command::new(&path).arg("version").env_clear().output();
    let output = output.with_context(|| format!("{} cannot be run", path.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match parse_version(&text) {
        Some((kind, version)) if output.status.success() => Ok(Agent { kind, version, path }),
        Some(_) | None => bail!("{} is no Nomad: {} {text}", path.display(), output.status),
    }
}

/// `Nomad v2.0.5`; the double speaks like a real one and says in its second line what it is.
fn parse_version(text: &str) -> Option<(AgentKind, String)> {
    let mut lines = text.lines();
    let version = lines.next()?.strip_prefix("Nomad ")?.split_whitespace().next()?;
    let double = lines.next().is_some_and(|line| line.contains("rehearsal double"));
    let kind = if double { AgentKind::Double } else { AgentKind::Nomad };
    Some((kind, version.trim_start_matches('v').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_nomad_is_told_from_the_double_by_its_own_words() {
        assert_eq!(
            parse_version("Nomad v2.0.5\nBuildDate 2026-08-01\n"),
            Some((AgentKind::Nomad, "2.0.5".to_owned()))
        );
        assert_eq!(
            parse_version("Nomad v2.0.5\nrehearsal double\n"),
            Some((AgentKind::Double, "2.0.5".to_owned()))
        );
        assert_eq!(parse_version("bash 5\n"), None);
        assert_eq!(parse_version(""), None);
    }

    #[test]
    fn a_program_that_is_not_there_is_named_in_the_error() {
        let error = NomadChoice::Path("/nowhere/nomad".into()).resolve().unwrap_err();

        assert!(error.to_string().contains("/nowhere/nomad"));
    }
}
