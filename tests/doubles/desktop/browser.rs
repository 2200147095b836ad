//! The "system browser": a program that writes down what it was asked to open.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use url::Url;

/// What desktops call to open a link. All of them are ours on this desktop's `PATH`.
const NAMES: &[&str] = &["xdg-open", "sensible-browser", "x-www-browser", "www-browser"];

#[derive(Debug)]
pub struct Browser {
    programs: PathBuf,
    opened: PathBuf,
}

impl Browser {
    pub fn install(folder: &Path) -> Result<Self> {
        let programs = folder.join("bin");
        let opened = folder.join("opened");
        std::fs::create_dir_all(&programs)?;
        std::fs::write(&opened, "")?;
        // One short line by one write at the end of the file: two of them cannot mix.
        let script = format!("#!/bin/sh\nprintf '%s\\n' \"$1\" >> '{}'\n", opened.display());
        for name in NAMES {
            let program = programs.join(name);
            std::fs::write(&program, &script)?;
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
        }
        Ok(Self { programs, opened })
    }

    /// To be put first on `PATH`.
    pub fn folder(&self) -> &Path {
        &self.programs
    }

    pub fn program(&self) -> PathBuf {
        self.programs.join(NAMES[0])
    }

    /// Every page asked for so far, oldest first.
    pub fn opened(&self) -> Result<Vec<Url>> {
        let text = std::fs::read_to_string(&self.opened)?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| Url::parse(line).context("not an address")).collect()
    }

    /// The page asked for after the first `known` ones.
    pub async fn next(&self, known: usize, patience: Duration) -> Result<Url> {
        let look = || Ok(self.opened()?.get(known).cloned());
        crate::wait::until_seen("a page in the browser", patience, look).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_it_is_asked_to_open_is_handed_over() {
        let folder = tempfile::tempdir().unwrap();
        let browser = Browser::install(folder.path()).unwrap();
        let address = "http://127.0.0.1:9/auth?a=1&b=%20'x'";

        let ended = std::process::Command::new(browser.program()).arg(address).status().unwrap();

        assert!(ended.success());
        let next = browser.next(0, Duration::from_secs(5)).await.unwrap();
        assert_eq!(next, Url::parse(address).unwrap());
    }
}
