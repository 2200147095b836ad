//! The disk that the agent's data folder lies on. It may hang in mid-call and for ever, as a network mount does whose
//! server has gone, and a thread that waits there cannot be ended. So whatever is asked of it is asked on a thread of
//! its own, nobody waits for that longer than they have, and until it has come back no other follows it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, io};

/// Without a sign of getting on, what removes files hangs: one large file takes a busy disk its time. The owner waits for
/// it, with nothing of a job running any more.
const REMOVED_WITHIN: Duration = Duration::from_secs(2);
/// A disk that sleeps takes its time to turn; nobody waits for a start.
const CHANGED_WITHIN: Duration = Duration::from_secs(10);

/// Does that with a data folder, before a start of its agent or after it. Nothing else of the kind happens to that
/// folder meanwhile. None where its disk does not answer in time: then it is done when it does.
pub async fn change<T: Send + 'static>(
    data_dir: &Path,
    change: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let disk = Disk::of(data_dir);
    let changed = tokio::task::spawn_blocking(move || disk.changing.ask(CHANGED_WITHIN, |_| change()));
    changed.await.ok().flatten()
}

/// Reads what lies there, for as long as that. None where the disk does not answer by then.
pub async fn read<T: Send + 'static>(
    data_dir: &Path,
    within: Duration,
    read: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let disk = Disk::of(data_dir);
    let heard = tokio::task::spawn_blocking(move || disk.reading.ask(within, |_| read()));
    heard.await.ok().flatten()
}

/// Whether a job's files would find a place there now. None where the disk does not answer in time.
pub async fn try_out(data_dir: &Path) -> Option<io::Result<()>> {
    let file = data_dir.join("try-out");
    read(data_dir, CHANGED_WITHIN, move || {
        // More than what fits beside a file's name.
        let written = ionet_private::jot(&file, &[0; 1 << 16]).map_err(io::Error::from);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => written.and(Err(error)),
            Ok(()) | Err(_) => written,
        }
    })
    .await
}

/// One for each data folder in this program: who hangs in it is known to all.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    changing: Arc<Lane>,
    reading: Arc<Lane>,
    tidying: Arc<Lane>,
}

impl Disk {
    pub(crate) fn of(data_dir: &Path) -> Arc<Self> {
        static ALL: Mutex<BTreeMap<PathBuf, Arc<Disk>>> = Mutex::new(BTreeMap::new());
        Arc::clone(lock(&ALL).entry(data_dir.to_owned()).or_default())
    }

    /// Removes what has ended, once the owner has the PC back or is about to. None where the disk hangs.
    pub(crate) fn clear<T: Send + 'static>(
        &self,
        clear: impl FnOnce(&Call) -> T + Send + 'static,
    ) -> Option<T> {
        self.changing.ask(REMOVED_WITHIN, clear)
    }

    /// The same beside an agent that runs.
    pub(crate) fn tidy<T: Send + 'static>(
        &self,
        tidy: impl FnOnce(&Call) -> T + Send + 'static,
    ) -> Option<T> {
        self.tidying.ask(REMOVED_WITHIN, tidy)
    }
}

/// One call at a time.
#[derive(Debug, Default)]
struct Lane {
    under_way: Mutex<Option<Arc<Call>>>,
    free: Condvar,
}

/// A call that is under way: when it was last known to get on.
#[derive(Debug)]
pub(crate) struct Call(Mutex<Instant>);

impl Call {
    /// To be said between its steps.
    pub(crate) fn gets_on(&self) {
        *lock(&self.0) = Instant::now();
    }

    /// How long it may still be without a sign.
    fn left(&self, within: Duration) -> Option<Duration> {
        let left = within.checked_sub(lock(&self.0).elapsed());
        left.filter(|left| !left.is_zero())
    }
}

impl Lane {
    /// None where it does not come back: neither this one in time, nor the one before it.
    fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        within: Duration,
        ask: impl FnOnce(&Call) -> T + Send + 'static,
    ) -> Option<T> {
        let turn = self.enter(within)?;
        let call = Arc::clone(&turn.call);
        let (say, heard) = sync_channel(1);
        let asked = move || {
            let answer = ask(&turn.call);
            drop(turn);
            // Nobody may wait any more.
            let _ = say.send(answer);
        };
        std::thread::Builder::new().name("disk".to_owned()).spawn(asked).ok()?;
        loop {
            match heard.recv_timeout(call.left(within)?) {
                Ok(answer) => return Some(answer),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    fn enter(self: &Arc<Self>, within: Duration) -> Option<Turn> {
        let mut under_way = lock(&self.under_way);
        while let Some(call) = &*under_way {
            let left = call.left(within)?;
            under_way = self.free.wait_timeout(under_way, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let call = Arc::new(Call(Mutex::new(Instant::now())));
        *under_way = Some(Arc::clone(&call));
        Some(Turn { lane: Arc::clone(self), call })
    }
}

/// In the lane until it is dropped.
struct Turn {
    lane: Arc<Lane>,
    call: Arc<Call>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        *lock(&self.lane.under_way) = None;
        self.lane.free.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn whoever_hangs_is_given_up_and_keeps_the_others_out_until_it_comes_back() {
        let lane = Arc::new(Lane::default());
        let (let_go, held) = channel::<()>();

        let hung = lane.ask(SHORT, move |_| held.recv().is_ok());
        assert_eq!(hung, None);
        assert_eq!(lane.ask(SHORT, |_| "after it"), None, "another would hang beside it");

        drop(let_go);
        assert_eq!(lane.ask(LONG, |_| "after it"), Some("after it"));
    }

    #[test]
    fn what_gets_on_is_waited_for_however_long_it_takes() {
        let lane = Arc::new(Lane::default());
        let within = Duration::from_millis(500);
        let begun = Instant::now();

        let done = lane.ask(within, move |call| {
            while begun.elapsed() < within * 3 {
                std::thread::sleep(SHORT);
                call.gets_on();
            }
            "done"
        });

        assert_eq!(done, Some("done"));
    }

    #[test]
    fn one_step_that_takes_a_second_is_no_disk_that_hangs() {
        let ago = |secs| Call(Mutex::new(Instant::now().checked_sub(Duration::from_secs(secs)).unwrap()));

        assert!(ago(1).left(REMOVED_WITHIN).is_some());
        let hangs = ago(3);
        assert_eq!(hangs.left(REMOVED_WITHIN), None);
        hangs.gets_on();
        assert!(hangs.left(REMOVED_WITHIN).is_some());
    }

    #[tokio::test]
    async fn a_disk_is_tried_out_by_a_write_of_which_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("agent");
        let missing = try_out(&data).await.unwrap();
        fs::create_dir(&data).unwrap();

        assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(try_out(&data).await.unwrap().is_ok());
        assert_eq!(fs::read_dir(&data).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_disk_is_tried_out_whatever_lies_in_that_files_place_and_no_link_is_followed() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let dir = tempfile::tempdir().unwrap();
        let (file, theirs) = (dir.path().join("try-out"), dir.path().join("theirs"));
        fs::write(&theirs, "theirs").unwrap();
        let put: [&dyn Fn(); 3] = [
            &|| std::os::unix::fs::symlink(&theirs, &file).unwrap(),
            &|| fs::create_dir(&file).unwrap(),
            &|| mknodat(CWD, &file, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap(),
        ];
        for put in put {
            put();

            let tried = tokio::time::timeout(LONG, try_out(dir.path())).await;

            assert!(matches!(tried, Ok(Some(Ok(())))), "{tried:?}");
            assert_eq!(fs::read_to_string(&theirs).unwrap(), "theirs");
        }
    }

    #[test]
    fn one_that_breaks_down_leaves_the_way_to_the_next() {
        let lane = Arc::new(Lane::default());

        assert_eq!(lane.ask(LONG, |_| panic!("a fault of our own")), None::<()>);
        assert_eq!(lane.ask(LONG, |_| 1), Some(1));
    }
}
