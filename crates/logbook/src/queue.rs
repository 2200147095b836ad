//! Lines on their way from whoever logs to the disk: a queue with a limit in bytes and a thread that empties it.
//!
//! Putting a line in never waits for the disk. What finds no room is counted, so that it can be said later.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// How long dropping the queue waits for a disk that may hang.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// The end that is written into. Clones share one queue.
#[derive(Clone)]
pub(crate) struct Queue(Arc<Shared>);

struct Shared {
    limit: usize,
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Lines put in, and those that were taken out and are done with.
    put: u64,
    done: u64,
    lost: u64,
    closed: bool,
    ended: bool,
}

/// Ends the thread. What is queued is written first, unless the disk hangs.
pub(crate) struct Writing(Queue);

impl Queue {
    /// `write` gets each line and how many were lost before it; it runs on a thread of its own.
    pub(crate) fn start(
        name: &str,
        limit: usize,
        write: impl FnMut(&[u8], u64) + Send + 'static,
    ) -> io::Result<(Self, Writing)> {
        let shared = Arc::new(Shared { limit, state: Mutex::default(), news: Condvar::new() });
        let queue = Self(shared.clone());
        std::thread::Builder::new()
            .name(name.to_owned())
            .stack_size(256 << 10)
            .spawn(move || shared.empty(write))?;
        Ok((queue.clone(), Writing(queue)))
    }

    /// Waits until what is queued now has been written, or until `limit`.
    pub(crate) fn wait(&self, limit: Duration) {
        let state = self.0.state();
        let upto = state.put;
        let _ = self.0.news.wait_timeout_while(state, limit, |state| state.done < upto && !state.ended);
    }

    /// Lines that found no room, since the start.
    #[cfg(test)]
    pub(crate) fn lost(&self) -> u64 {
        self.0.state().lost
    }

    fn put(&self, line: &[u8]) {
        let mut state = self.0.state();
        if state.closed || state.bytes + line.len() > self.0.limit {
            state.lost += 1;
            return;
        }
        state.bytes += line.len();
        state.put += 1;
        state.waiting.push_back(line.to_owned());
        drop(state);
        self.0.news.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn empty(&self, mut write: impl FnMut(&[u8], u64)) {
        let mut said = 0;
        loop {
            let mut state = self
                .news
                .wait_while(self.state(), |state| state.waiting.is_empty() && !state.closed)
                .unwrap_or_else(PoisonError::into_inner);
            let Some(line) = state.waiting.pop_front() else { break };
            let lost = state.lost - said;
            said = state.lost;
            drop(state);
            // One line that breaks off must not end the log.
            let written = catch_unwind(AssertUnwindSafe(|| write(&line, lost)));
            let mut state = self.state();
            state.lost += u64::from(written.is_err());
            state.bytes -= line.len();
            state.done += 1;
            if state.waiting.is_empty() {
                // A burst must not keep its memory.
                state.waiting = VecDeque::new();
            }
            drop(state);
            self.news.notify_all();
        }
        self.state().ended = true;
        self.news.notify_all();
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let mut state = self.0.0.state();
        state.closed = true;
        self.0.0.news.notify_all();
        let _ = self.0.0.news.wait_timeout_while(state, LAST_WAIT, |state| !state.ended);
    }
}

/// One line: `tracing` writes it in one piece.
impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Queue {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn whoever_logs_never_waits_for_a_disk_that_hangs_and_memory_stays_bounded() {
        let (go_on, hangs) = mpsc::channel::<()>();
        let (written, lines) = mpsc::channel();
        let (mut queue, writing) = Queue::start("test", 1000, move |line, lost| {
            let _ = hangs.recv();
            let _ = written.send((line.len(), lost));
        })
        .unwrap();

        for _ in 0..10_000 {
            queue.write_all(&[b'x'; 100]).unwrap();
        }

        assert_eq!(queue.lost(), 9_990);
        assert_eq!(queue.0.state().bytes, 1000);
        drop(go_on);
        queue.wait(LONG);
        queue.write_all(b"later").unwrap();
        queue.wait(LONG);
        let written: Vec<_> = lines.try_iter().collect();
        assert_eq!(written.len(), 11);
        assert_eq!(written.iter().map(|(_, lost)| lost).sum::<u64>(), 9_990, "each loss is told once");
        assert_eq!(written[10].0, 5);
        drop(writing);
    }

    #[test]
    fn a_line_that_breaks_off_is_lost_and_no_other() {
        let (written, lines) = mpsc::channel();
        let (mut queue, writing) = Queue::start("test", 1000, move |line, lost| {
            assert_ne!(line, b"bad", "on purpose");
            let _ = written.send((line.to_vec(), lost));
        })
        .unwrap();

        queue.write_all(b"bad").unwrap();
        queue.write_all(b"good").unwrap();
        drop(writing);

        assert_eq!(lines.try_iter().collect::<Vec<_>>(), [(b"good".to_vec(), 1)]);
    }

    #[test]
    fn dropping_it_writes_out_what_is_queued() {
        let (written, lines) = mpsc::channel();
        let (mut queue, writing) = Queue::start("test", 1000, move |line, _| {
            let _ = written.send(line.to_vec());
        })
        .unwrap();
        queue.write_all(b"last words\n").unwrap();

        drop(writing);

        assert_eq!(lines.try_iter().collect::<Vec<_>>(), [b"last words\n"]);
    }
}
