//! Files that somebody else writes, read without ever following a link: in folders of this PC, or beyond a door.
//!
//! ```text
//! Source ── Folder ── File      here:    the system's folders
//!                               beyond:  Door ── one conversation over a socket ── serve ── the same folders, in a capsule
//! ```
//!
//! Whoever answers beyond a door is not trusted. Each answer has a length and a time, and must fit its question; one that does not
//! ends the conversation. No word of theirs becomes a path, and none opens anything on this PC.

mod beyond;
#[cfg_attr(unix, path = "here/unix.rs")]
#[cfg_attr(not(unix), path = "here/other.rs")]
mod here;
#[cfg_attr(unix, path = "line/unix.rs")]
#[cfg_attr(not(unix), path = "line/other.rs")]
mod line;
#[cfg(unix)]
mod server;
mod words;

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use beyond::{Answered, Door, Unheard, Waits, unless_away};
#[cfg(unix)]
pub use server::{Roots, serve};

/// More is not read at once.
pub const PIECE: usize = 64 << 10;
/// No name of a file is longer.
const NAME: usize = 255;
/// No file is longer.
const LENGTH: u64 = i64::MAX as u64;

/// A tree of foreign files that is served beyond a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Root {
    /// The agent's own logs.
    Agent,
    /// Its allocations, with the logs of their tasks.
    Allocations,
}

/// Where a tree of foreign files lies.
#[derive(Debug, Clone)]
pub enum Source {
    /// A folder of this PC's.
    Here(PathBuf),
    Beyond(Door, Root),
}

impl Source {
    /// # Errors
    /// It is not there, or nobody answers.
    pub fn open(&self) -> io::Result<Folder> {
        match self {
            Self::Here(path) => here::Folder::open(path).map(OneFolder::Here),
            Self::Beyond(door, root) => door.root(*root).map(OneFolder::Beyond),
        }
        .map(Folder)
    }
}

/// What a look at a file or folder tells without opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Which file it is, as long as somebody holds it open; not to be had everywhere. Beyond a door it is good for one conversation:
    /// a disk that is mounted again has another number, and a file's own number is used again.
    pub id: Option<(u64, u64)>,
    pub length: u64,
    /// Seconds and nanoseconds.
    pub modified: (i64, i64),
    pub removed: bool,
}

/// What there is to read from some place of a file on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// How long the file is.
    pub length: u64,
    /// Where there is something to read, past a hole; none where a hole goes to the end.
    pub at: Option<u64>,
    /// How much of it was read, up to the next hole.
    #[serde(skip)]
    pub read: usize,
}

/// A folder that a job may write in. Nothing below it is reached through a link: a job could point one at any file that its reader may
/// read.
#[derive(Debug)]
pub struct Folder(OneFolder);

#[derive(Debug)]
enum OneFolder {
    Here(here::Folder),
    Beyond(beyond::Folder),
}

impl Folder {
    /// # Errors
    /// It is not there, no folder, or no plain name.
    pub fn folder(&self, name: &str) -> io::Result<Self> {
        let name = plain(name)?;
        match &self.0 {
            OneFolder::Here(folder) => folder.folder(name).map(OneFolder::Here),
            OneFolder::Beyond(folder) => folder.folder(name).map(OneFolder::Beyond),
        }
        .map(Self)
    }

    /// A regular file with one name; anything else is refused, and a pipe or a device is not even opened.
    ///
    /// # Errors
    /// It is not there, no such file, or no plain name.
    pub fn file(&self, name: &str) -> io::Result<File> {
        let name = plain(name)?;
        match &self.0 {
            OneFolder::Here(folder) => folder.file(name).map(OneFile::Here),
            OneFolder::Beyond(folder) => folder.file(name).map(OneFile::Beyond),
        }
        .map(File)
    }

    /// The same without opening it.
    ///
    /// # Errors
    /// It is not there, no such file, or no plain name.
    pub fn look(&self, name: &str) -> io::Result<Seen> {
        let name = plain(name)?;
        match &self.0 {
            OneFolder::Here(folder) => folder.look(name),
            OneFolder::Beyond(folder) => folder.look(name),
        }
    }

    /// The folder itself.
    ///
    /// # Errors
    /// The system's.
    pub fn seen(&self) -> io::Result<Seen> {
        match &self.0 {
            OneFolder::Here(folder) => folder.seen(),
            OneFolder::Beyond(folder) => folder.seen(),
        }
    }

    /// The first `most` names that are text, without `.` and `..`, in no order. Beyond a door all of them together are bounded too.
    ///
    /// # Errors
    /// The system's.
    pub fn names(&self, most: usize) -> io::Result<Vec<String>> {
        match &self.0 {
            OneFolder::Here(folder) => folder.names(most),
            OneFolder::Beyond(folder) => folder.names(most),
        }
    }
}

/// A foreign file that is held open.
#[derive(Debug)]
pub struct File(OneFile);

#[derive(Debug)]
enum OneFile {
    Here(fs::File),
    Beyond(beyond::File),
}

impl File {
    /// # Errors
    /// The system's.
    pub fn seen(&self) -> io::Result<Seen> {
        match &self.0 {
            OneFile::Here(file) => here::seen(file),
            OneFile::Beyond(file) => file.seen(),
        }
    }

    /// Reads what comes next from there on. Holes are passed over.
    ///
    /// # Errors
    /// The system's.
    pub fn next(&self, from: u64, piece: &mut [u8]) -> io::Result<Next> {
        match &self.0 {
            OneFile::Here(file) => here::next(file, from, piece),
            OneFile::Beyond(file) => file.next(from, piece),
        }
    }

    /// Reads what is there, holes as zeros: as much as there is, up to the whole of `piece`.
    ///
    /// # Errors
    /// The system's.
    pub fn read_at(&self, from: u64, piece: &mut [u8]) -> io::Result<usize> {
        match &self.0 {
            OneFile::Here(file) => here::read_at(file, from, piece),
            OneFile::Beyond(file) => file.read_at(from, piece),
        }
    }
}

/// A name is one step down, and nothing else.
fn plain(name: &str) -> io::Result<&str> {
    let one_step = !matches!(name, "" | "." | "..") && !name.contains(['/', '\0']);
    if one_step && name.len() <= NAME { Ok(name) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

#[cfg(test)]
mod tests;
