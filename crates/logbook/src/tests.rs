//! The logbook as a whole, in a folder of its own and by a clock that the test moves.

#[cfg(unix)]
mod beyond;
mod clock;
mod disk;
mod here;
mod shipping;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use flate2::read::GzDecoder;
use tempfile::TempDir;

use ionet_redact::Redactor;

use super::*;
use crate::looks::Looks;
use crate::pace::Went;

/// A logbook whose housekeeping is done by hand. Field order is drop order.
struct Shelf {
    book: Arc<Book>,
    _writing: Writing,
    time: Time,
    /// Who answers beyond the door, for what is followed there.
    #[cfg(unix)]
    served: Option<beyond::Served>,
    folder: TempDir,
}

/// The time of day and the time that only goes on, in seconds.
#[derive(Clone)]
struct Time {
    wall: Arc<AtomicU64>,
    mono: Arc<AtomicU64>,
}

impl Default for Time {
    fn default() -> Self {
        Self { wall: Arc::new(AtomicU64::new(1_763_880_000)), mono: Arc::default() }
    }
}

impl Time {
    fn pass(&self, time: Duration) {
        self.wall.fetch_add(time.as_secs(), Ordering::Relaxed);
        self.mono.fetch_add(time.as_secs(), Ordering::Relaxed);
    }

    fn clock(&self) -> Clock {
        let Self { wall, mono } = self.clone();
        Clock::by(
            move || UNIX_EPOCH + Duration::from_secs(wall.load(Ordering::Relaxed)),
            move || Duration::from_secs(mono.load(Ordering::Relaxed)),
        )
    }
}

/// What the keeper does, by hand.
impl Book {
    fn tick(&self) -> bool {
        self.turn(&Stop::default()) == Went::More
    }

    fn close(&self) {
        self.close_unless(&Stop::default());
    }
}

impl Shelf {
    fn new(limits: Limits) -> Self {
        Self::in_folder(TempDir::new().unwrap(), Time::default(), limits)
    }

    fn in_folder(folder: TempDir, time: Time, limits: Limits) -> Self {
        let (book, _writing) = Book::open(&folder.path().join("logs"), limits, time.clock()).unwrap();
        let book = Arc::new(book);
        Self {
            book,
            _writing,
            time,
            #[cfg(unix)]
            served: None,
            folder,
        }
    }

    /// Another life on the same folder.
    fn restart(self, limits: Limits) -> Self {
        drop((self.book, self._writing));
        let again = Self::in_folder(self.folder, self.time, limits);
        #[cfg(unix)]
        let again = Self { served: self.served, ..again };
        again
    }

    fn pass(&self, time: Duration) {
        self.time.pass(time);
    }

    /// Sets the time of day, and nothing else.
    fn set_clock(&self, seconds: u64) {
        self.time.wall.store(seconds, Ordering::Relaxed);
    }

    fn logs(&self) -> PathBuf {
        self.folder.path().join("logs")
    }

    /// Writes whole lines and waits until they are through.
    fn write(&self, lines: &[&str]) {
        for line in lines {
            self.book.printed().write_all(format!("{line}\n").as_bytes()).unwrap();
        }
        self.book.drain();
    }

    /// Names of the files that wait, oldest first.
    fn waiting(&self) -> Vec<String> {
        self.book.outbox.waiting().into_iter().map(|parcel| parcel.name).collect()
    }

    /// What waits of one stream, unpacked and put together.
    fn unpacked(&self, stream: &str) -> Vec<u8> {
        let of_stream = |name: &String| name.rsplit_once('/').is_some_and(|(above, _)| above == stream);
        let files = self.waiting().into_iter().filter(of_stream);
        files.flat_map(|name| unpack(&self.logs().join("outbox").join(name))).collect()
    }

    fn text(&self, stream: &str) -> String {
        String::from_utf8(self.unpacked(stream)).unwrap()
    }

    fn report(&self) -> LogReport {
        self.book.report().borrow().clone()
    }
}

fn unpack(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(fs::File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

fn small() -> Limits {
    Limits { max_file_bytes: 1000, max_age: Duration::from_secs(60), max_total_bytes: 1 << 30 }
}

#[test]
fn lines_are_kept_by_the_words_that_ask_for_them_and_usually_from_info_on() {
    let kept = |asked, target, level| filter(asked).would_enable(target, &level);
    use tracing::Level;

    for usual in [None, Some(""), Some("=,loud=yes")] {
        assert!(kept(usual, "hyper", Level::INFO) && !kept(usual, "hyper", Level::DEBUG), "{usual:?}");
    }
    assert!(kept(Some("debug"), "hyper", Level::DEBUG));
    let asked = Some("warn,hyper=trace");
    assert!(kept(asked, "hyper::client", Level::TRACE) && !kept(asked, "ionet", Level::INFO));
}

#[test]
fn what_waits_is_byte_for_byte_the_redacted_lines() {
    let shelf = Shelf::new(small());
    let lines: Vec<_> = (0..100).map(|n| format!(r#"{{"n":{n},"mail":"a{n}@example.test"}}"#)).collect();

    shelf.write(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    shelf.book.close();

    let whole: String = lines.iter().map(|line| format!("{line}\n")).collect();
    assert_eq!(shelf.unpacked("app"), Redactor::new(None).redact(whole.as_bytes()));
    assert!(shelf.text("app").contains(r#"{"n":99,"mail":"[e-mail]"}"#));
    let waiting = shelf.waiting();
    assert!(waiting.len() > 2, "{waiting:?}");
    for name in &waiting {
        assert!(unpack(&shelf.logs().join("outbox").join(name)).len() <= 1000, "{name}");
        assert!(
            name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c)),
            "{name}"
        );
    }
    assert_eq!(shelf.report().waiting as usize, waiting.len());
}

#[test]
fn a_file_is_closed_when_its_first_line_is_old() {
    let shelf = Shelf::new(small());
    shelf.write(&["one"]);
    shelf.pass(Duration::from_secs(59));
    shelf.book.tick();
    assert_eq!(shelf.waiting().len(), 0);

    shelf.pass(Duration::from_secs(1));
    shelf.book.tick();

    assert_eq!(shelf.text("app"), "one\n");
    shelf.book.tick();
    assert_eq!(shelf.waiting().len(), 1, "an empty file is never closed");
}

#[test]
fn a_restart_in_the_middle_of_a_file_loses_and_doubles_nothing() {
    let shelf = Shelf::new(small());
    shelf.write(&["one", "two"]);

    let shelf = shelf.restart(small());
    shelf.write(&["three"]);
    shelf.book.close();

    assert_eq!(shelf.text("app"), "one\ntwo\nthree\n");
}

#[test]
fn an_end_between_packing_and_tidying_up_doubles_nothing() {
    let shelf = Shelf::new(small());
    shelf.write(&["one"]);
    shelf.book.close();
    let name = shelf.waiting().remove(0);
    let closed = name.trim_start_matches("app/").trim_end_matches(".gz");
    fs::write(shelf.logs().join("app").join(format!("closed-{closed}")), "one\n").unwrap();
    fs::write(shelf.logs().join("packing.part"), "half").unwrap();

    let shelf = shelf.restart(small());
    shelf.book.tick();

    assert_eq!(shelf.waiting(), [name]);
    assert_eq!(shelf.text("app"), "one\n");
}

#[test]
fn beyond_the_total_limit_shipped_files_go_before_waiting_ones() {
    let shelf = Shelf::new(small());
    for line in ["oldest", "older", "newer", "newest"] {
        shelf.write(&[line]);
        shelf.book.close();
    }
    let parcels = shelf.book.outbox.waiting();
    shelf.book.outbox.shipped(&parcels[2]).unwrap();
    let one = parcels[0].bytes;

    let trimmed = |files: u64| outbox::Outbox::new(&shelf.logs(), one * files, Looks::default()).trim();

    assert_eq!(trimmed(4), outbox::Lost::default());
    assert_eq!(trimmed(3), outbox::Lost::default(), "the shipped one went");
    assert_eq!(shelf.text("app"), "oldest\nolder\nnewest\n");
    assert_eq!(trimmed(2), outbox::Lost { files: 1, bytes: one });
    let shelf = shelf.restart(small());
    assert_eq!(shelf.text("app"), "older\nnewest\n");
}

#[test]
fn lines_of_the_program_become_redacted_json() {
    let folder = TempDir::new().unwrap();
    let logbook = Logbook::open(folder.path(), Limits::default()).unwrap();
    let subscriber = tracing_subscriber::registry().with(logbook.layer());

    tracing::subscriber::with_default(subscriber, || {
        tracing::info!(job = 7, authorization = "Bearer 0123456789abcdef", "a job arrived");
    });
    logbook.book.close();

    let parcels = logbook.book.outbox.waiting();
    let line: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(&unpack(&parcels[0].path)).unwrap();
    assert_eq!(line["message"], "a job arrived");
    assert_eq!(line["job"], 7);
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["authorization"], "Bearer [redacted]");
    assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn a_folder_that_cannot_be_made_is_said_so() {
    let folder = TempDir::new().unwrap();
    let taken = folder.path().join("file");
    fs::write(&taken, "").unwrap();

    let fault = Logbook::open(&taken, Limits::default()).err().unwrap();

    assert_eq!(fault.path, taken);
}

#[cfg(unix)]
#[test]
fn folders_that_others_could_enter_are_closed_to_them() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let folders = ["", "app", "outbox", "jobs"].map(|name| folder.path().join(name));
    for folder in &folders {
        fs::create_dir_all(folder).unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }

    let logbook = Logbook::open(folder.path(), Limits::default()).unwrap();
    logbook.book.printed().write_all(b"a line\n").unwrap();
    logbook.book.drain();

    let modes = folders.map(|folder| fs::metadata(folder).unwrap().permissions().mode() & 0o777);
    assert_eq!(modes, [0o700; 4]);
}

#[test]
fn a_logbook_is_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Logbook>();
}

#[test]
fn dropping_the_logbook_writes_out_what_is_queued() {
    let folder = TempDir::new().unwrap();
    let logbook = Logbook::open(folder.path(), Limits::default()).unwrap();
    logbook.book.printed().write_all(b"last words\n").unwrap();

    drop(logbook);

    assert_eq!(fs::read_to_string(folder.path().join("app/current.log")).unwrap(), "last words\n");
}
