//! Which files make up a foreign log, in which order.

use std::collections::BTreeMap;
use std::io;

use ionet_foreign::{File, Folder, unless_away};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub(crate) const NEWEST: &str = "client.log";
/// More entries of a folder are not looked at: whoever fills it with others loses his own logs at the most.
pub(crate) const MOST_ENTRIES: usize = 20_000;
/// Files of one log that are kept in mind, the newest.
const MOST_FILES: usize = 256;
/// Enough of a file's beginning to hold its first line's time.
const HEAD: usize = 256;

/// How a file begins: what it is known by when it is renamed. Inodes are used again, and are not to be had everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    length: u64,
    sha256: String,
}

impl Head {
    /// `None` for an empty file: it cannot be told from any other.
    pub(crate) fn of(file: &File) -> io::Result<Option<Self>> {
        Self::of_first(file, HEAD)
    }

    /// Whether the file still begins like this.
    pub(crate) fn is_of(&self, file: &File) -> io::Result<bool> {
        let length = usize::try_from(self.length).unwrap_or(HEAD).min(HEAD);
        let head = unless_away(Self::of_first(file, length))?.flatten();
        Ok(head.is_some_and(|head| head == *self))
    }

    /// A head taken when there was less to see of the file should be taken again.
    pub(crate) fn is_whole(&self) -> bool {
        self.length >= HEAD as u64
    }

    fn of_first(file: &File, length: usize) -> io::Result<Option<Self>> {
        let mut start = vec![0; length];
        let read = file.read_at(0, &mut start)?;
        start.truncate(read);
        let head = Self { length: start.len() as u64, sha256: hex::encode(Sha256::digest(&start)) };
        Ok((head.length > 0).then_some(head))
    }
}

/// The agent's files, oldest first, the one being written last. Taken when two looks agree: the newest could be renamed
/// between being listed and being opened.
pub(crate) fn agent_series(folder: &Folder) -> io::Result<Vec<File>> {
    let mut names = agent_names(folder)?;
    for _ in 0..10 {
        let mut files = Vec::new();
        for name in &names {
            files.extend(unless_away(folder.file(name))?);
        }
        let again = agent_names(folder)?;
        if again == names && files.len() == names.len() {
            return Ok(files);
        }
        names = again;
    }
    Err(io::Error::from(io::ErrorKind::WouldBlock))
}

/// The file being written, alone.
pub(crate) fn agent_newest(folder: &Folder) -> io::Result<Option<File>> {
    unless_away(folder.file(NEWEST))
}

fn agent_names(folder: &Folder) -> io::Result<Vec<String>> {
    let nanos = |name: &str| name.strip_prefix("client-")?.strip_suffix(".log")?.parse::<u128>().ok();
    let mut names: Vec<_> = folder
        .names(MOST_ENTRIES)?
        .into_iter()
        .filter_map(|name| if name == NEWEST { Some((u128::MAX, name)) } else { Some((nanos(&name)?, name)) })
        .collect();
    names.sort();
    names.drain(..names.len().saturating_sub(MOST_FILES));
    Ok(names.into_iter().map(|(_, name)| name).collect())
}

/// `TASK.stdout` and `TASK.stderr` with the numbers of their files, rising; the highest is being written. No more than
/// `most` logs, and how many more there are.
pub(crate) fn job_series(folder: &Folder, most: usize) -> io::Result<(BTreeMap<String, Vec<u64>>, usize)> {
    let mut series = BTreeMap::<String, Vec<u64>>::new();
    for name in folder.names(MOST_ENTRIES)? {
        if let Some((log, number)) = name.rsplit_once('.')
            && (log.ends_with(".stdout") || log.ends_with(".stderr"))
            && !log.starts_with('.')
            && number.parse::<u64>().is_ok_and(|parsed| parsed.to_string() == number)
            && let Ok(number) = number.parse()
        {
            series.entry(log.to_owned()).or_default().push(number);
        }
    }
    let more = series.len().saturating_sub(most);
    let series = series.into_iter().take(most).map(|(log, mut numbers)| {
        numbers.sort_unstable();
        numbers.drain(..numbers.len().saturating_sub(MOST_FILES));
        (log, numbers)
    });
    Ok((series.collect(), more))
}
