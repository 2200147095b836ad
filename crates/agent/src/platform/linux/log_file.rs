//! A log of a bounded size, written on a thread of its own: a disk that is slow or hangs costs lines, which are
//! counted, and holds up nobody.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::oneshot;

use crate::files;

/// As Nomad's own: its rotated files are named so, too.
const LARGEST_LOG: u64 = 1024 * 1024;
const OLDER_LOGS: usize = 5;

/// Lines that may wait for the disk.
const QUEUED: usize = 4096;
/// At an end, the last lines are waited for this long.
const WRITTEN_WITHIN: Duration = Duration::from_millis(250);

/// Takes lines for a log.
#[derive(Debug)]
pub(crate) struct Writer {
    lines: SyncSender<Entry>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Entry {
    Line(String),
    /// All before it is written.
    Mark(oneshot::Sender<()>),
}

impl Writer {
    pub(crate) fn at(path: &Path) -> Self {
        let (lines, queue) = sync_channel(QUEUED);
        let lost = Arc::new(AtomicU64::new(0));
        let (log, counted) = (Log::at(path), Arc::clone(&lost));
        std::thread::spawn(move || write_all(log, &queue, &counted));
        Self { lines, lost }
    }

    /// Waits for nothing.
    pub(crate) fn write(&self, line: String) {
        if self.lines.try_send(Entry::Line(line)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Until all of it is written, or the disk is too slow for that.
    pub(crate) async fn written(&self) {
        let (say, heard) = oneshot::channel();
        if self.lines.try_send(Entry::Mark(say)).is_ok() {
            let _ = tokio::time::timeout(WRITTEN_WITHIN, heard).await;
        }
    }
}

/// Until nobody has a line any more. A disk that takes nothing is the owner's to hear of from whoever ships logs.
fn write_all(mut log: Log, queue: &Receiver<Entry>, lost: &AtomicU64) {
    for entry in queue {
        match entry {
            Entry::Line(line) => drop(log.write(&line)),
            Entry::Mark(written) => drop(written.send(())),
        }
        let count = lost.swap(0, Ordering::Relaxed);
        if count > 0 {
            let _ = log.write(&format!("({count} lines were lost: the disk was too slow)"));
        }
    }
}

/// One file, and a few older ones beside it as `NAME-<unix nanoseconds>.log`.
struct Log {
    path: PathBuf,
    file: Option<File>,
    length: u64,
}

impl Log {
    fn at(path: &Path) -> Self {
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

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    /// A pipe that nobody reads takes a write as a disk that hangs does.
    #[tokio::test]
    async fn a_disk_that_hangs_holds_up_nobody_and_what_it_cost_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("client.log");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let writer = Writer::at(&path);

        let (say, heard) = oneshot::channel();
        std::thread::spawn(move || {
            for number in 0..QUEUED + 10 {
                writer.write(number.to_string());
            }
            drop(say.send(writer));
        });
        let writer = tokio::time::timeout(Duration::from_secs(20), heard).await.expect("held up").unwrap();
        writer.written().await;
        drop(writer);

        let text = tokio::task::spawn_blocking(move || fs::read_to_string(path)).await.unwrap().unwrap();
        assert!(text.starts_with("0\n"), "{text}");
        let (taken, said): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| !line.starts_with('('));
        let lost: usize =
            said.iter().map(|line| line[1..].split(' ').next().unwrap().parse::<usize>().unwrap()).sum();
        assert!(lost > 0 && taken.len() + lost == QUEUED + 10, "{said:?}");
    }

    #[test]
    fn a_folder_in_the_logs_place_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("client.log");
        fs::create_dir(&path).unwrap();

        Log::at(&path).write("heard").unwrap();

        assert_eq!(fs::read_to_string(path).unwrap(), "heard\n");
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
