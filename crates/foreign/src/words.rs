//! What the two ends of a conversation say. Each word is a head in JSON, with its length before it, and as many raw bytes after it as it
//! names. The first word of each is its version, and whoever has another one is not spoken to: an update may meet an older capsule.

use std::io;
use std::time::Instant;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Root;
use crate::line::Line;

pub(crate) const VERSION: u32 = 1;
/// A head is no longer than this.
const HEAD: usize = 16 << 10;
/// The names of a folder, all together; those beyond are left out.
pub(crate) const NAMES: usize = 1 << 20;
/// Folders and files that are held open in one conversation.
pub(crate) const MOST_OPEN: usize = 768;

/// The first word, to and fro.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) version: u32,
}

/// A question, and what its asker has no more use for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ask {
    pub(crate) close: Vec<u64>,
    pub(crate) question: Question,
}

/// What is opened gets its number from whoever asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Question {
    Root { root: Root, number: u64 },
    Folder { within: u64, name: String, number: u64 },
    File { within: u64, name: String, number: u64 },
    Look { within: u64, name: String },
    Seen { of: u64 },
    Names { within: u64, most: usize },
    Next { of: u64, from: u64, most: usize },
    Read { of: u64, from: u64, most: usize },
}

/// Where there is nothing to say but yes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Done {}

/// Its kind is the question's; none is a no.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer<T> {
    pub(crate) said: Option<T>,
    pub(crate) bytes: usize,
}

pub(crate) fn say(line: &mut Line, head: &impl Serialize, bytes: &[u8], until: Instant) -> io::Result<()> {
    let head = serde_json::to_vec(head)?;
    let length = u32::try_from(head.len()).map_err(io::Error::other)?;
    line.write(&[&length.to_be_bytes()[..], &head, bytes].concat(), until)
}

pub(crate) fn hear<T: DeserializeOwned>(line: &mut Line, until: Instant) -> io::Result<T> {
    let mut length = [0; 4];
    line.read(&mut length, until)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > HEAD {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut head = vec![0; length];
    line.read(&mut head, until)?;
    serde_json::from_slice(&head).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
