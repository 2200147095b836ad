//! What the agent prints. Everything is read, so that it never waits for us; each whole line is heard, and what may be
//! kept of it is: all in the agent's log, the end in memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ionet_redact::{Redactor, printable};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::task::JoinSet;

use super::log_file::Writer;
use crate::agent_log;

const KEPT: usize = 16 * 1024;

/// As the runtime's last words begin, and as much of them as tells where it happened.
const BREAKDOWNS: [&str; 3] = ["panic: ", "fatal error: ", "unexpected fault address"];
const BEGINNING: usize = 2 * 1024;

/// A line that is longer than this is not heard.
const LONGEST_LINE: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Output {
    kept: Arc<Mutex<Kept>>,
    readers: JoinSet<()>,
}

#[derive(Debug)]
struct Kept {
    /// How a breakdown began: what the runtime says of it may be longer than the end that is kept.
    breakdown: String,
    end: VecDeque<u8>,
    log: Option<Writer>,
}

impl Output {
    pub(crate) fn new(log: Option<Writer>) -> Self {
        Self {
            kept: Arc::new(Mutex::new(Kept { breakdown: String::new(), end: VecDeque::new(), log })),
            readers: JoinSet::new(),
        }
    }

    pub(crate) fn read(
        &mut self,
        mut from: impl AsyncRead + Unpin + Send + 'static,
        mut hear: impl FnMut(&str) + Send + 'static,
    ) {
        let kept = Arc::clone(&self.kept);
        self.readers.spawn(async move {
            let mut chunk = vec![0; 4096];
            let mut lines = Lines::default();
            let mut take = |line: &str| {
                hear(line);
                kept.lock().unwrap_or_else(PoisonError::into_inner).keep(line);
            };
            while let Ok(length @ 1..) = from.read(&mut chunk).await {
                lines.take(&chunk[..length], &mut take);
            }
            lines.finish(&mut take);
        });
    }

    /// The end of it in whole lines, once the process is gone. What it left running may hold the pipes open for ever,
    /// so a quarter of a second is enough.
    pub(crate) async fn end(mut self) -> String {
        let all_read = async { while self.readers.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_millis(250), all_read).await;
        let log = self.kept.lock().unwrap_or_else(PoisonError::into_inner).log.take();
        if let Some(log) = log {
            log.written().await;
        }
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = kept.end.iter().copied().collect();
        let torn = if bytes.len() < KEPT {
            0
        } else {
            bytes.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1)
        };
        let end = String::from_utf8_lossy(&bytes[torn..]).into_owned();
        let begun = kept.breakdown.lines().next().unwrap_or_default();
        if end.contains(begun) { end } else { format!("{}…\n{end}", kept.breakdown) }
    }
}

impl Kept {
    fn keep(&mut self, line: &str) {
        let line = agent_log::without_words(line);
        self.end.extend(line.bytes().chain([b'\n']));
        let surplus = self.end.len().saturating_sub(KEPT);
        self.end.drain(..surplus);
        let breaks = BREAKDOWNS.iter().any(|word| line.starts_with(word)) || !self.breakdown.is_empty();
        if breaks && self.breakdown.len() < BEGINNING {
            self.breakdown.extend([line.as_ref(), "\n"]);
        }
        if let Some(log) = &self.log {
            log.write(line.into_owned());
        }
    }
}

/// As it may be kept and shown.
pub(super) fn redacted(words: &str) -> String {
    let clean = Redactor::of_this_pc().of_agent().redact(words.as_bytes());
    printable(&String::from_utf8_lossy(&clean)).into_owned()
}

/// Cuts what is read into lines.
#[derive(Default)]
struct Lines {
    begun: Vec<u8>,
    too_long: bool,
}

impl Lines {
    fn take(&mut self, bytes: &[u8], hear: &mut impl FnMut(&str)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.too_long |= self.begun.len() + piece.len() > LONGEST_LINE;
            if !self.too_long {
                self.begun.extend(piece);
            }
            if piece.ends_with(b"\n") {
                self.finish(hear);
            }
        }
    }

    /// The last line may have no end.
    fn finish(&mut self, hear: &mut impl FnMut(&str)) {
        if !self.too_long && !self.begun.is_empty() {
            hear(String::from_utf8_lossy(&self.begun).trim_end());
        }
        self.begun.clear();
        self.too_long = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_they_were_read_and_one_that_is_endless_is_passed_over() {
        let mut lines = Lines::default();
        let mut heard = Vec::new();
        let mut hear = |line: &str| heard.push(line.to_owned());

        lines.take(b"one\ntw", &mut hear);
        lines.take(b"o\n", &mut hear);
        lines.take(&[b'x'; LONGEST_LINE], &mut hear);
        lines.take(b"x\nthree\nrest", &mut hear);
        lines.finish(&mut hear);

        assert_eq!(heard, ["one", "two", "three", "rest"]);
    }

    #[tokio::test]
    async fn of_a_long_breakdown_the_beginning_is_kept_with_the_end() {
        let mut output = Output::new(None);
        let stacks = "goroutine 7 [select]:\n".repeat(2_000);
        let said = format!("a warning\npanic: torn\ngoroutine 1:\n{stacks}the end\n");

        output.read(std::io::Cursor::new(said), |_| {});

        let kept = output.end().await;
        assert!(kept.starts_with("panic: torn\ngoroutine 1:\n") && kept.ends_with("the end\n"));
        assert!(kept.len() < KEPT + 2 * BEGINNING);
        let mut short = Output::new(None);
        short.read(&b"panic: x\nthe end"[..], |_| {});
        assert_eq!(short.end().await, "panic: x\nthe end\n");
    }
}
