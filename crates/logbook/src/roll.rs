//! One stream's open file: appended to, and closed when it is full or old.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::Limits;
use crate::names::{Clock, Names};
use crate::platform;

const OPEN: &str = "current.log";
/// Closed files wait under this name until they are packed.
pub(crate) const CLOSED: &str = "closed-";

pub(crate) struct Roll {
    folder: PathBuf,
    names: Arc<Names>,
    clock: Clock,
    limits: Limits,
    open: Option<Open>,
}

struct Open {
    file: File,
    bytes: u64,
    /// By the clock that only goes on: the time of day may jump.
    since: Duration,
}

impl Roll {
    pub(crate) fn new(folder: PathBuf, names: Arc<Names>, clock: Clock, limits: Limits) -> Self {
        Self { folder, names, clock, limits, open: None }
    }

    /// Goes on with the file of an earlier life, cut back to its first `bytes`. Returns how many there are.
    pub(crate) fn resume(&mut self, bytes: u64) -> io::Result<u64> {
        let path = self.folder.join(OPEN);
        if !path.exists() || path.is_dir() {
            return Ok(0);
        }
        let file = platform::append(&path)?;
        let length = file.metadata()?.len();
        if length > bytes {
            file.set_len(bytes)?;
        }
        let bytes = length.min(bytes);
        self.open = Some(Open { file, bytes, since: self.clock.elapsed() });
        Ok(bytes)
    }

    /// Whether the file should be closed before `more` bytes go into it.
    pub(crate) fn is_due(&self, more: usize) -> bool {
        self.open.as_ref().is_some_and(|open| {
            let old = self.clock.elapsed().saturating_sub(open.since) >= self.limits.max_age;
            open.bytes > 0 && (old || open.bytes + more as u64 > self.limits.max_file_bytes)
        })
    }

    /// How much is in the open file.
    pub(crate) fn open_bytes(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.bytes)
    }

    /// All of it or nothing: a line that did not fit leaves no piece behind.
    pub(crate) fn append(&mut self, text: &[u8]) -> io::Result<()> {
        if self.open.as_ref().is_some_and(|open| platform::is_removed(&open.file)) {
            self.open = None;
        }
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                ionet_private::folder(&self.folder)?;
                let path = self.folder.join(OPEN);
                ionet_private::make_way(&path)?;
                let file = platform::append(&path)?;
                let bytes = file.metadata()?.len();
                self.open.insert(Open { file, bytes, since: self.clock.elapsed() })
            }
        };
        match open.file.write_all(text) {
            Ok(()) => {
                open.bytes += text.len() as u64;
                Ok(())
            }
            Err(error) => {
                let _ = open.file.set_len(open.bytes);
                // What a failing disk has left of it is looked at anew.
                self.open = None;
                Err(error)
            }
        }
    }

    /// Closes the open file, also one that an earlier life left. The next line starts a new one.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        self.open = None;
        let path = self.folder.join(OPEN);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() && metadata.len() > 0 => {
                fs::rename(&path, self.folder.join(format!("{CLOSED}{}.log", self.names.next())))
            }
            Ok(_) => Ok(()),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
