//! Every folder of the app on a PC. Both programs must agree on them, so they stand here.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Moves every folder below one place: tests and the demo touch nothing of the owner's.
pub const HOME_VARIABLE: &str = "IONET_HOME";

const APP: &str = "ionet-supplier";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders {
    /// `settings.json`, `endpoints.json`.
    pub config: PathBuf,
    /// `identity/`, `session.json`, `agent/`, `agent.hcl`.
    pub data: PathBuf,
    /// `app/`, `agent/`, `jobs/`, `outbox/`.
    pub logs: PathBuf,
    /// Sockets. Mode 0700.
    pub run: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum FoldersError {
    #[error("neither {HOME_VARIABLE} nor the user's home folder is known")]
    NoHome,
    #[error("{0} must be an absolute path")]
    Relative(PathBuf),
    #[error(
        "the socket's path is too long ({length} bytes, at most 103): set {HOME_VARIABLE} to a shorter one"
    )]
    TooLong { length: usize },
    #[error("cannot make {0}: {1}")]
    Io(PathBuf, std::io::Error),
}

impl Folders {
    /// The folders of this user, made where they are missing, closed to other users.
    pub fn open() -> Result<Self, FoldersError> {
        let folders = Self::locate(|name| std::env::var_os(name))?;
        for folder in [&folders.config, &folders.data, &folders.logs, &folders.run] {
            private_folder(folder).map_err(|error| FoldersError::Io(folder.clone(), error))?;
        }
        Ok(folders)
    }

    fn locate(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, FoldersError> {
        let folders = match variable(HOME_VARIABLE) {
            Some(home) => Self::below(Path::new(&home)),
            None => platform_folders(&variable)?,
        };
        if folders.config.is_relative() {
            return Err(FoldersError::Relative(folders.config));
        }
        let length = folders.guard_run().join("supplier.sock").as_os_str().len();
        // sun_path holds 104 bytes on macOS with its closing zero, 108 on Linux.
        if length > 103 { Err(FoldersError::TooLong { length }) } else { Ok(folders) }
    }

    fn below(home: &Path) -> Self {
        Self {
            config: home.join("config"),
            data: home.join("data"),
            logs: home.join("logs"),
            run: home.join("run"),
        }
    }

    /// The socket between the resident program and its window.
    pub fn socket(&self) -> PathBuf {
        self.run.join("supplier.sock")
    }

    pub fn settings(&self) -> PathBuf {
        self.config.join("settings.json")
    }

    pub fn endpoints(&self) -> PathBuf {
        self.config.join("endpoints.json")
    }

    pub fn identity(&self) -> PathBuf {
        self.data.join("identity")
    }

    /// Where the refresh token lies on a PC without a keyring.
    pub fn session(&self) -> PathBuf {
        self.data.join("session.json")
    }

    /// Nomad's `data_dir`.
    pub fn agent_data(&self) -> PathBuf {
        self.data.join("agent")
    }

    pub fn agent_config(&self) -> PathBuf {
        self.data.join("agent.hcl")
    }

    pub fn agent_logs(&self) -> PathBuf {
        self.logs.join("agent")
    }

    /// Where the guard listens.
    pub fn guard_run(&self) -> PathBuf {
        self.run.clone()
    }
}

/// Makes a folder (and those above it) that only this user can enter.
pub fn private_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    platform::close_to_others(&mut builder);
    builder.create(folder)?;
    platform::tighten(folder)
}

#[cfg(unix)]
mod platform {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};

    pub(super) fn close_to_others(builder: &mut std::fs::DirBuilder) {
        builder.mode(0o700);
    }

    pub(super) fn tighten(folder: &std::path::Path) -> std::io::Result<()> {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
    }
}

#[cfg(not(unix))]
mod platform {
    /// The profile folder is closed to other users already.
    pub(super) fn close_to_others(_: &mut std::fs::DirBuilder) {}

    pub(super) fn tighten(_: &std::path::Path) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn platform_folders(variable: &impl Fn(&str) -> Option<OsString>) -> Result<Folders, FoldersError> {
    let home = variable("HOME").map(PathBuf::from);
    let base = |name: &str, below: &str| {
        variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| home.as_ref().map(|home| home.join(below)))
            .map(|base| base.join(APP))
            .ok_or(FoldersError::NoHome)
    };
    let state = base("XDG_STATE_HOME", ".local/state")?;
    let run = base("XDG_RUNTIME_DIR", ".local/state").unwrap_or_else(|_| state.join("run"));
    Ok(Folders {
        config: base("XDG_CONFIG_HOME", ".config")?,
        data: base("XDG_DATA_HOME", ".local/share")?,
        logs: state.join("logs"),
        run: if run == state { state.join("run") } else { run },
    })
}

#[cfg(target_os = "macos")]
fn platform_folders(variable: &impl Fn(&str) -> Option<OsString>) -> Result<Folders, FoldersError> {
    let home = variable("HOME").map(PathBuf::from).ok_or(FoldersError::NoHome)?;
    let support = home.join("Library/Application Support").join(APP);
    Ok(Folders {
        config: support.join("config"),
        data: support.join("data"),
        logs: home.join("Library/Logs").join(APP),
        run: support.join("run"),
    })
}

#[cfg(windows)]
fn platform_folders(variable: &impl Fn(&str) -> Option<OsString>) -> Result<Folders, FoldersError> {
    let local = variable("LOCALAPPDATA").map(PathBuf::from).ok_or(FoldersError::NoHome)?;
    Ok(Folders::below(&local.join(APP)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locate(variables: &[(&str, &str)]) -> Result<Folders, FoldersError> {
        Folders::locate(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn one_variable_moves_every_folder() {
        let folders = locate(&[(HOME_VARIABLE, "/t"), ("HOME", "/home/a")]).unwrap();

        for folder in [&folders.config, &folders.data, &folders.logs, &folders.run] {
            assert!(folder.starts_with("/t"), "{folder:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn without_a_runtime_folder_the_sockets_lie_in_the_state_folder() {
        let folders = locate(&[("HOME", "/home/a")]).unwrap();

        assert_eq!(folders.run, Path::new("/home/a/.local/state/ionet-supplier/run"));
        assert_eq!(folders.config, Path::new("/home/a/.config/ionet-supplier"));
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_refused_with_what_to_do() {
        let long = format!("/{}", "x".repeat(100));

        let refused = locate(&[(HOME_VARIABLE, &long)]).unwrap_err();

        assert!(refused.to_string().contains(HOME_VARIABLE), "{refused}");
    }

    #[test]
    fn no_home_at_all_is_said() {
        assert!(matches!(locate(&[]), Err(FoldersError::NoHome)));
    }
}
