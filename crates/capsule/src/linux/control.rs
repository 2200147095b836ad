//! What the holder and the moat say to each other, over a socket that only they have: a number and what is said, one JSON line each. An
//! answer has its question's number, so that one that comes too late is nobody else's; what is not asked for has none's.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::place::{Counted, Jobs};

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(crate) enum Ask {
    /// The moat's ids are mapped and its network is there: build what stands in it.
    Build(Box<Plan>),
    Freeze {
        jobs: Jobs,
    },
    Thaw {
        jobs: Jobs,
    },
    Count,
    /// A new rule set.
    Wall {
        rules: String,
    },
    /// End the capsule, then clear its control groups away.
    End,
    /// Nothing lives any more: clear away what one that was ended by force has left.
    Sweep(Groups),
    /// What a folder of ids that are nobody's outside takes of its drive.
    Measure {
        folder: PathBuf,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(crate) enum Say {
    /// It stands in namespaces of its own, whose ids are to be mapped.
    Unshared,
    /// The capsule's first process is.
    Inside,
    Done,
    Counted(Counted),
    Measured {
        bytes: u64,
    },
    Failed(Fault),
    Ended {
        why: String,
    },
}

/// What is built in the moat.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// A folder to lay the capsule's root over; it stays empty outside.
    pub(crate) root: PathBuf,
    /// What becomes `/data` inside.
    pub(crate) data: PathBuf,
    pub(crate) agent: Option<PathBuf>,
    pub(crate) beside: BTreeMap<PathBuf, PathBuf>,
    pub(crate) rules: String,
    pub(crate) led: Vec<u16>,
    pub(crate) rate: Option<u64>,
    pub(crate) groups: Groups,
}

/// Where the control groups of one capsule are: one folder on version 2, one for each controller on version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Groups {
    pub(crate) version: Version,
    /// Above all that is the capsule's; its limits are set here.
    pub(crate) above: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Version {
    One,
    Two,
}

/// Of nothing that was asked.
pub(crate) const UNASKED: u64 = 0;

/// The moat's end: it has one thread, and waits for one thing after the other.
pub(crate) struct Moat {
    read: BufReader<UnixStream>,
    write: UnixStream,
    /// The number of what was heard last.
    heard: u64,
}

impl Moat {
    pub(crate) fn over(stream: UnixStream) -> std::io::Result<Self> {
        Ok(Self { read: BufReader::new(stream.try_clone()?), write: stream, heard: UNASKED })
    }

    /// None when the holder is gone.
    pub(crate) fn hear(&mut self) -> Option<Ask> {
        let mut line = String::new();
        self.read.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let (number, ask) = serde_json::from_str(&line).ok()?;
        self.heard = number;
        Some(ask)
    }

    /// Something was read that is still to be heard.
    pub(crate) fn has_more(&self) -> bool {
        !self.read.buffer().is_empty()
    }

    /// Answers what was heard last.
    pub(crate) fn say(&mut self, say: &Say) -> std::io::Result<()> {
        self.tell(self.heard, say)
    }

    pub(crate) fn say_unasked(&mut self, say: &Say) -> std::io::Result<()> {
        self.tell(UNASKED, say)
    }

    fn tell(&mut self, number: u64, say: &Say) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(&(number, say))?;
        line.push(b'\n');
        self.write.write_all(&line)
    }

    pub(crate) fn stream(&self) -> &UnixStream {
        &self.write
    }
}
