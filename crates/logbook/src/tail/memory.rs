//! How far each foreign log has been read, kept in a small file.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::series::Head;

/// The file that holds the marks of as many streams as there may be is far smaller.
const MOST: u64 = 1 << 20;

/// Bytes that were passed over, by the reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gap {
    /// Holes, and zeros without end.
    pub(crate) empty: u64,
    /// More than is taken over in an hour, or of one line.
    pub(crate) beyond: u64,
    /// Whole files that were gone before they were read.
    pub(crate) files: u64,
}

/// Where one stream stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The file of the series that is being read: its number (jobs), or how it begins (agent).
    pub(crate) number: u64,
    pub(crate) head: Option<Head>,
    /// How much of it has been read.
    pub(crate) offset: u64,
    /// How long the stream's own open file was then.
    pub(crate) written: u64,
    /// What was passed over and is not yet said in the stream.
    #[serde(default)]
    pub(crate) gap: Gap,
    /// Inside a line whose rest is left out.
    #[serde(default)]
    pub(crate) in_long_line: bool,
}

pub(crate) struct Memory {
    path: PathBuf,
    marks: BTreeMap<String, Mark>,
    changed: bool,
}

impl Memory {
    /// A damaged file counts as none: lines come twice rather than never.
    pub(crate) fn load(path: PathBuf) -> Self {
        let marks = read(&path).unwrap_or_else(|error| {
            tracing::warn!(%error, "how far the agent's logs had been read is not known any more");
            BTreeMap::new()
        });
        Self { path, marks, changed: false }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Mark> {
        self.marks.get(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.marks.keys()
    }

    pub(crate) fn set(&mut self, name: &str, mark: &Mark) {
        if self.marks.get(name) != Some(mark) {
            self.marks.insert(name.to_owned(), mark.clone());
            self.changed = true;
        }
    }

    pub(crate) fn forget(&mut self, name: &str) {
        self.changed |= self.marks.remove(name).is_some();
    }

    /// Whole or not at all.
    pub(crate) fn save(&mut self) -> io::Result<()> {
        if !self.changed {
            return Ok(());
        }
        let text = serde_json::to_vec(&self.marks).map_err(io::Error::other)?;
        ionet_private::replace(&self.path, &text)?;
        self.changed = false;
        Ok(())
    }
}

/// No more than this program writes: a damaged disk may show a file without end.
fn read(path: &Path) -> io::Result<BTreeMap<String, Mark>> {
    let Some(text) = ionet_private::read(path, MOST)? else { return Ok(BTreeMap::new()) };
    Ok(serde_json::from_slice(&text)?)
}
