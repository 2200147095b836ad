//! The event stream: one JSON object per line, without end.

use std::time::Duration;

use super::{EventLine, NomadError};

/// A stream that may be read answers with a heartbeat at once; one that may not stays silent, with status 200.
const FIRST_LINE: Duration = Duration::from_secs(5);
/// Heartbeats come every ten seconds.
const NEXT_LINE: Duration = Duration::from_secs(35);
const LONGEST_LINE: usize = 32 * 1024 * 1024;

/// An open event stream. Dropping it closes it.
pub(crate) struct EventStream {
    response: reqwest::Response,
    unread: Vec<u8>,
    /// How much of `unread` is known to hold no line end.
    searched: usize,
    patience: Duration,
    /// What comes until the next line end belongs to a line that was too long.
    skipping: bool,
}

impl EventStream {
    pub(super) fn new(response: reqwest::Response) -> Self {
        Self { response, unread: Vec::new(), searched: 0, patience: FIRST_LINE, skipping: false }
    }

    /// The next line, heartbeats included; `None` when the server ended the stream. Cancel-safe.
    ///
    /// Fails with [`NomadError::Silent`] when nothing comes for longer than heartbeats take. After a line that cannot be
    /// read the next one may still be.
    pub(crate) async fn next(&mut self) -> Result<Option<EventLine>, NomadError> {
        loop {
            if let Some(line) = self.take_line() {
                self.patience = NEXT_LINE;
                return serde_json::from_slice(&line).map(Some).map_err(NomadError::BadLine);
            }
            if self.unread.len() > LONGEST_LINE {
                // What it told is in the lists; the lines after it are worth reading.
                self.unread.clear();
                self.searched = 0;
                self.skipping = true;
                return Err(NomadError::LongLine);
            }
            match tokio::time::timeout(self.patience, self.response.chunk()).await {
                Err(_) => return Err(NomadError::Silent),
                Ok(Err(error)) => return Err(NomadError::Unreachable(error.without_url())),
                Ok(Ok(None)) => return Ok(None),
                Ok(Ok(Some(chunk))) => self.unread.extend_from_slice(&chunk),
            }
        }
    }

    fn take_line(&mut self) -> Option<Vec<u8>> {
        loop {
            let found = self.unread[self.searched..].iter().position(|byte| *byte == b'\n');
            let Some(offset) = found else {
                self.searched = self.unread.len();
                return None;
            };
            let rest = self.unread.split_off(self.searched + offset + 1);
            let line = std::mem::replace(&mut self.unread, rest);
            self.searched = 0;
            let is_rest = std::mem::take(&mut self.skipping);
            if !is_rest && !line.trim_ascii().is_empty() {
                return Some(line);
            }
        }
    }
}
