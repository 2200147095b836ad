//! What the agent prints. Everything is read, so that it never waits for us; each whole line is heard, and what may be
//! kept of it is: all in the agent's log, the end in memory.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::task::JoinSet;

use crate::{agent_log, files};

const KEPT: usize = 16 * 1024;

/// As the runtime's last words begin, and as much of them as tells where it happened.
const BREAKDOWNS: [&str; 3] = ["panic: ", "fatal error: ", "unexpected fault address"];
const BEGINNING: usize = 2 * 1024;

/// A line that is longer than this is not heard.
const LONGEST_LINE: usize = 64 * 1024;

/// As Nomad's own: its rotated files are named so, too.
const LARGEST_LOG: u64 = 1024 * 1024;
const OLDER_LOGS: usize = 5;

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
    log: Option<Log>,
}

impl Output {
    pub(crate) fn new(log: Option<Log>) -> Self {
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

    /// The end of it in whole lines, once the process is gone. What it left running may hold the pipes open for ever, so a quarter
    /// of a second is enough.
    pub(crate) async fn end(mut self) -> String {
        let all_read = async { while self.readers.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_millis(250), all_read).await;
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
        if let Some(log) = &mut self.log {
            // A disk that takes nothing is the owner's to hear of from whoever ships logs.
            let _ = log.write(&line);
        }
    }
}

/// The agent's log: one file, and a few older ones beside it as `NAME-<unix nanoseconds>.log`.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: Option<File>,
    length: u64,
}

impl Log {
    pub(crate) fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), file: None, length: 0 }
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        if self.length >= LARGEST_LOG {
            self.rotate()?;
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let file = files::append_private(&self.path)?;
                self.length = file.metadata()?.len();
                self.file.insert(file)
            }
        };
        let line = format!("{line}\n");
        file.write_all(line.as_bytes())?;
        self.length += line.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.file = None;
        self.length = 0;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let name = self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        fs::rename(&self.path, self.path.with_file_name(format!("{name}-{now}.log")))?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut older: Vec<PathBuf> = fs::read_dir(folder)?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| is_older(path, &name))
            .collect();
        older.sort();
        let surplus = older.len().saturating_sub(OLDER_LOGS);
        older.into_iter().take(surplus).try_for_each(fs::remove_file)
    }
}

fn is_older(path: &Path, name: &str) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let number = stem.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
    number.is_some_and(|number| number.parse::<u128>().is_ok())
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

    #[test]
    fn the_log_holds_no_more_than_a_few_files_of_a_bounded_size() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::at(&dir.path().join("client.log"));
        fs::write(dir.path().join("client-notes.log"), "the owner's").unwrap();
        let line = "x".repeat(64 * 1024);

        for _ in 0..17 * (OLDER_LOGS + 3) {
            log.write(&line).unwrap();
        }

        let names: Vec<String> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names.len(), OLDER_LOGS + 2, "{names:?}");
        for name in names {
            assert!(fs::metadata(dir.path().join(name)).unwrap().len() <= LARGEST_LOG + 65 * 1024);
        }
        assert!(dir.path().join("client-notes.log").exists());
    }
}
