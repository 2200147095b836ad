//! Every folder of the app on a PC. All its programs must agree on them, so they stand here.

mod locate;
mod short;
mod sockets;

use std::path::PathBuf;

use ionet_private::{FileError, SocketId};

use crate::meeting::Meeting;

/// Makes a folder (and those above it) that only this user can enter.
pub use ionet_private::folder as private_folder;

/// Moves every folder below one place: tests and the demo touch nothing of the owner's.
pub const HOME_VARIABLE: &str = "IONET_HOME";

/// Found from the user's home alone, so that a desktop, a terminal, cron and ssh find one app: a variable that one of
/// them has and another has not (`XDG_DATA_HOME` in a sandboxed terminal) must not make two of it. Whoever wants a folder
/// elsewhere puts a link in its place. Only `run` follows the session, and what is found through it is written down in
/// `data`; see [`Folders::meeting`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders {
    /// `settings.json`, `endpoints.json`.
    pub config: PathBuf,
    /// `identity/`, `session.json`, `agent/`, `agent-configuration/`, `guard/`, `capsule/`; who is the resident program, and where it listens.
    pub data: PathBuf,
    /// `app/`, `agent/`, `jobs/`, `outbox/`.
    pub logs: PathBuf,
    /// Where the resident program would like to listen. It may be gone before the program ends.
    pub run: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum FoldersError {
    #[error(
        "no home folder: HOME is not set and this user has none. Set {HOME_VARIABLE} to a folder of this app, or in a \
         systemd unit StateDirectory="
    )]
    NoHome,
    #[error("{HOME_VARIABLE} must be an absolute path, not {0}")]
    Relative(PathBuf),
    #[error(
        "the name of {0} is no UTF-8, and a job's program cannot be told of it: set {HOME_VARIABLE} to another folder"
    )]
    NoText(PathBuf),
    #[error("{folder} belongs to user {owner}: run this as that user")]
    AnotherUsers { folder: PathBuf, owner: u32 },
    #[error("the app's folder cannot be used: {0}. Mend that, or set {HOME_VARIABLE} to another folder")]
    File(FileError),
}

/// Its sentence has the fault in it, so that it is no cause to be told once more.
impl From<FileError> for FoldersError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl Folders {
    /// The folders of this user, made where they are missing, closed to other users.
    pub fn open() -> Result<Self, FoldersError> {
        locate::of_this_process()?.made()
    }

    /// All below one place, as [`HOME_VARIABLE`] has it.
    pub fn below(home: &std::path::Path) -> Self {
        Self {
            config: home.join("config"),
            data: home.join("data"),
            logs: home.join("logs"),
            run: home.join("run"),
        }
    }

    /// Where the resident program and those who watch it find each other.
    pub fn meeting(&self) -> Meeting {
        const NAME: &str = "supplier.sock";
        let mut sockets = vec![SocketId::new(&self.run, NAME), SocketId::new(&self.data.join("run"), NAME)];
        sockets.extend(short::folder(&self.data).map(|short| SocketId::new(&short, NAME)));
        Meeting::new(&self.data, sockets)
    }

    /// The guard's lock and its sockets. Of the data folder alone: a resident program that is started in another session
    /// must find the guard that holds this agent. Asks the disk what it is, so it blocks while that hangs.
    pub fn guard_run(&self) -> PathBuf {
        let usual = self.data.join("guard");
        let fits = ["guard.sock", "engine.sock", "files.sock", "hold.sock"]
            .iter()
            .all(|name| SocketId::new(&usual, name).fits());
        if fits && sockets::keeps_sockets(&self.data) {
            return usual;
        }
        short::folder(&self.data).unwrap_or(usual)
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

    /// What the agent reads at its start.
    pub fn agent_configuration(&self) -> PathBuf {
        self.data.join("agent-configuration")
    }

    /// Nomad's `plugin_dir`.
    pub fn agent_plugins(&self) -> PathBuf {
        self.data.join("plugins")
    }

    /// Where the disk of the world lies that jobs live in.
    pub fn capsule(&self) -> PathBuf {
        self.data.join("capsule")
    }

    /// Tells this app's capsule from those of others on this PC.
    pub fn capsule_name(&self) -> String {
        format!("supplier-{}", short::key(&self.data))
    }

    pub fn agent_logs(&self) -> PathBuf {
        self.logs.join("agent")
    }

    /// Makes what is missing. Two spellings of one home (a link, a mount) come out as one.
    fn made(mut self) -> Result<Self, FoldersError> {
        for folder in [&mut self.config, &mut self.data, &mut self.logs] {
            is_text(folder)?;
            private_folder(folder)?;
            *folder = locate::spelled_out(folder);
            is_text(folder)?;
        }
        Ok(self)
    }
}

/// Nomad's configuration is text, and what the guard is told too.
fn is_text(folder: &std::path::Path) -> Result<(), FoldersError> {
    folder.to_str().map(drop).ok_or_else(|| FoldersError::NoText(folder.to_owned()))
}

#[cfg(test)]
mod tests;
