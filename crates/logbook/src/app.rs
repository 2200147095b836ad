//! The app's own lines on their way from `tracing` into a file.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tracing_appender::non_blocking::NonBlocking;

use crate::board::Board;
use crate::names::{Clock, timestamp};
use crate::redact::Redactor;
use crate::roll::Roll;

/// Where `tracing` writes: a queue that loses lines rather than hold the app up.
pub(crate) type Printed = NonBlocking;

/// Never begins a line of JSON.
const MARK: &[u8] = b"\x1emark ";

/// The end of the queue: redacts each line and appends it, or counts it as lost.
pub(crate) struct Lines {
    roll: Roll,
    redactor: Redactor,
    clock: Clock,
    board: Arc<Board>,
    /// Lines lost since the last one that was written.
    lost: u64,
}

impl Lines {
    /// Closes what an earlier life left.
    pub(crate) fn new(mut roll: Roll, clock: Clock, board: Arc<Board>) -> io::Result<Self> {
        roll.close()?;
        Ok(Self { roll, redactor: Redactor::of_this_pc(), clock, board, lost: 0 })
    }

    pub(crate) fn write(&mut self, text: &[u8]) {
        let now = self.clock.now();
        let clean = self.redactor.redact(text);
        match self.append(&clean, now) {
            Ok(()) => self.board.disk(Ok(())),
            Err(error) => {
                self.lost += 1;
                self.board.disk(Err(&error));
            }
        }
    }

    /// Lines that the queue lost before they came here.
    pub(crate) fn add_lost(&mut self, lines: u64) {
        self.lost += lines;
    }

    pub(crate) fn close_if_old(&mut self) -> io::Result<()> {
        if self.roll.is_due(0, self.clock.now()) { self.roll.close() } else { Ok(()) }
    }

    pub(crate) fn close(&mut self) -> io::Result<()> {
        self.roll.close()
    }

    fn append(&mut self, clean: &[u8], now: SystemTime) -> io::Result<()> {
        if self.roll.is_due(clean.len(), now) {
            self.roll.close()?;
        }
        if self.lost > 0 {
            self.roll.append(&note(self.lost, now), now)?;
            self.lost = 0;
        }
        self.roll.append(clean, now)
    }
}

/// Written before the first line that found room again.
fn note(lost: u64, now: SystemTime) -> Vec<u8> {
    let line = serde_json::json!({
        "timestamp": timestamp(now), "level": "WARN", "message": "log lines were lost", "lines": lost,
        "target": "ionet_logbook",
    });
    format!("{line}\n").into_bytes()
}

/// Knows when everything queued before a mark has been written.
#[derive(Default)]
pub(crate) struct Marks {
    passed: Mutex<u64>,
    news: Condvar,
}

impl Marks {
    /// Sends mark `number` down the queue and waits until it has come out, or until `limit`: a queue so full that the
    /// mark was lost has its own count of losses.
    pub(crate) fn wait(&self, mut queue: NonBlocking, number: u64, limit: Duration) {
        let _ = queue.write_all(&[MARK, number.to_string().as_bytes()].concat());
        let passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self.news.wait_timeout_while(passed, limit, |passed| *passed < number);
    }

    fn pass(&self, number: u64) {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        *passed = number.max(*passed);
        self.news.notify_all();
    }
}

/// What the queue's thread writes into. It never fails: a loss is counted where it happens.
pub(crate) struct Sink {
    pub(crate) lines: Arc<Mutex<Lines>>,
    pub(crate) marks: Arc<Marks>,
}

impl Write for Sink {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match text.strip_prefix(MARK) {
            Some(number) => {
                let number = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
                self.marks.pass(number.unwrap_or_default());
            }
            None => self.lines.lock().unwrap_or_else(PoisonError::into_inner).write(text),
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Standard output, redacted. A closed pipe loses lines and nothing else.
pub(crate) struct Console(Redactor);

impl Default for Console {
    fn default() -> Self {
        Self(Redactor::of_this_pc())
    }
}

impl Write for Console {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let _ = io::stdout().write_all(&self.0.redact(text));
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = io::stdout().flush();
        Ok(())
    }
}
