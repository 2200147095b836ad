//! The app's own lines on their way from `tracing` into a file.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use ionet_redact::{Redactor, printable};
use tracing_subscriber::fmt::MakeWriter;

use crate::board::{Board, Writer};
use crate::names::{Clock, timestamp};
use crate::queue::{Queue, Writing};
use crate::roll::Roll;

/// What may wait for the disk, and for standard output.
const QUEUED: usize = 1 << 20;
/// More of one line is not kept.
const LONGEST_LINE: usize = 64 << 10;

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
    /// Closes what an earlier life left. Where the disk does not let it, that waits until it does.
    pub(crate) fn new(mut roll: Roll, clock: Clock, board: Arc<Board>) -> Self {
        board.disk(Writer::Lines, roll.close().as_ref().copied());
        Self { roll, redactor: Redactor::of_this_pc(), clock, board, lost: 0 }
    }

    /// `lost`: so many found no room in the queue before this one.
    pub(crate) fn write(&mut self, text: &[u8], lost: u64) {
        let now = self.clock.now();
        let clean = shortened(self.redactor.redact(text));
        self.lose(lost);
        match self.append(&clean, now) {
            Ok(()) => self.board.disk(Writer::Lines, Ok(())),
            Err(error) => {
                self.lose(1);
                self.board.disk(Writer::Lines, Err(&error));
            }
        }
    }

    /// Also says what was lost as soon as there is room again, so that a disk that heals is noticed without a new line.
    pub(crate) fn close_if_old(&mut self) -> io::Result<()> {
        if self.lost > 0 {
            let said = self.append(b"", self.clock.now());
            self.board.disk(Writer::Lines, said.as_ref().copied());
        }
        if self.roll.is_due(0) { self.roll.close() } else { Ok(()) }
    }

    pub(crate) fn close(&mut self) -> io::Result<()> {
        self.close_if_old()?;
        self.roll.close()
    }

    fn lose(&mut self, lines: u64) {
        self.lost += lines;
        if lines > 0 {
            self.board.lost_lines(lines);
        }
    }

    fn append(&mut self, clean: &[u8], now: SystemTime) -> io::Result<()> {
        if self.roll.is_due(clean.len()) {
            self.roll.close()?;
        }
        if self.lost > 0 {
            self.roll.append(&note(self.lost, now))?;
            self.lost = 0;
        }
        self.roll.append(clean)
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

/// A line without end is cut, and says so.
fn shortened(mut line: Vec<u8>) -> Vec<u8> {
    if line.len() > LONGEST_LINE {
        let more = line.len() - LONGEST_LINE;
        line.truncate(LONGEST_LINE);
        line.extend_from_slice(format!("… [{more} bytes left out]\n").as_bytes());
    }
    line
}

/// Where `tracing` writes its lines.
#[derive(Clone)]
pub(crate) struct Printed {
    pub(crate) queue: Queue,
    pub(crate) board: Arc<Board>,
}

impl Write for Printed {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.board.look_for_hanging();
        self.queue.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Printed {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// A queue that ends in `lines`, watched.
pub(crate) fn into_file(lines: &Arc<Mutex<Lines>>, board: &Arc<Board>) -> io::Result<(Queue, Writing)> {
    let (lines, board) = (lines.clone(), board.clone());
    Queue::start("logbook-lines", QUEUED, move |line, lost| {
        board.lines.over(|| lines.lock().unwrap_or_else(PoisonError::into_inner).write(line, lost));
    })
}

/// A queue that ends in standard output, redacted and harmless to a terminal. A closed pipe loses lines and nothing else.
pub(crate) fn onto_console() -> io::Result<(Queue, Writing)> {
    let mut redactor = Redactor::of_this_pc();
    Queue::start("logbook-console", QUEUED, move |line, _| {
        let clean = redactor.redact(line);
        let mut out = io::stdout().lock();
        let _ = out.write_all(printable(&String::from_utf8_lossy(&clean)).as_bytes());
        let _ = out.flush();
    })
}
