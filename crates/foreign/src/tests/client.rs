//! Whoever answers may have been taken over: what they can do to whoever asks.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Short, for those who never answer.
const SHORT: Waits = Waits { answer: Duration::from_millis(100), turn: Duration::from_millis(200) };

/// Somebody at a socket who says what the test likes.
struct Liar {
    dir: TempDir,
    listener: UnixListener,
    thread: Option<JoinHandle<()>>,
}

impl Liar {
    /// Speaks first as it should, and gives each question such an answer.
    fn answering(answer: impl Fn(&str, &mut UnixStream) + Send + 'static) -> Self {
        Self::meeting(move |stream| {
            word(stream)?;
            stream.write_all(&frame(&json!({"version": crate::words::VERSION}), &[])).ok()?;
            loop {
                answer(&word(stream)?, stream);
            }
        })
    }

    fn meeting(meet: impl Fn(&mut UnixStream) -> Option<()> + Send + 'static) -> Self {
        let dir = TempDir::new().unwrap();
        let listener = UnixListener::bind(dir.path().join("files.sock")).unwrap();
        let theirs = listener.try_clone().unwrap();
        let thread = std::thread::spawn(move || {
            while let Ok((mut stream, _)) = theirs.accept() {
                meet(&mut stream);
            }
        });
        Self { dir, listener, thread: Some(thread) }
    }

    fn door(&self, waits: Waits) -> Door {
        Door::with(self.dir.path().join("files.sock"), waits)
    }

    fn folder(&self, waits: Waits) -> Folder {
        let door = self.door(waits);
        assert_eq!(door.knock(), Answered::Anew);
        Source::Beyond(door, Root::Agent).open().unwrap()
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        shutdown(&self.listener, Shutdown::Both).unwrap();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn word(stream: &mut UnixStream) -> Option<String> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut head = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut head).ok()?;
    String::from_utf8(head).ok()
}

fn frame(head: &serde_json::Value, bytes: &[u8]) -> Vec<u8> {
    let head = head.to_string();
    [&(head.len() as u32).to_be_bytes()[..], head.as_bytes(), bytes].concat()
}

/// Opens whatever is asked for, and answers all else like this.
fn lying(answer: impl Fn(&mut UnixStream) + Send + 'static) -> Liar {
    Liar::answering(move |question, stream| {
        let opens = ["\"root\"", "\"file\"", "\"folder\""].iter().any(|kind| question.contains(kind));
        if opens {
            let _ = stream.write_all(&frame(&json!({"said": {}, "bytes": 0}), &[]));
        } else {
            answer(stream);
        }
    })
}

fn saying(head: serde_json::Value, bytes: &[u8]) -> Liar {
    let said = frame(&head, bytes);
    lying(move |stream| drop(stream.write_all(&said)))
}

#[test]
fn a_name_that_is_none_is_not_heard_and_ends_the_conversation() {
    for name in
        [&b"../../etc/hostname"[..], b"/etc/hostname", b"..", b".", b"", b"a/b", b"\xff\xfe", &[b'x'; 256]]
    {
        let bytes = [b"log", &[0][..], name, &[0]].concat();
        let liar = saying(json!({"said": {}, "bytes": bytes.len()}), &bytes);
        let folder = liar.folder(LONG);

        assert!(is_away(&folder.names(100)), "{name:?}");
        assert!(is_away(&folder.seen()), "{name:?}: nothing is asked any more");
    }
}

#[test]
fn names_and_bytes_without_end_are_not_heard() {
    let many = b"x\0".repeat(101);
    for (bytes, raw) in [(many.len(), &many[..]), (1 << 40, &[b'x'; 4096][..]), (usize::MAX, &[])] {
        let liar = saying(json!({"said": {}, "bytes": bytes}), raw);
        assert!(is_away(&liar.folder(LONG).names(100)), "{bytes}");
        assert!(is_away(&liar.folder(LONG).file("log").unwrap().read_at(0, &mut [0; 50])), "{bytes}");
    }
    let endless = lying(|stream| while stream.write_all(&[255; 4096]).is_ok() {});
    assert!(is_away(&endless.folder(LONG).names(100)));
}

#[test]
fn an_answer_that_cannot_be_is_not_heard() {
    let seen = |length: u64| json!({"id": [1, 1], "length": length, "modified": [0, 0], "removed": false});
    for (said, bytes) in [
        (json!({"length": 100, "at": 9}), 1),
        (json!({"length": 100, "at": u64::MAX}), 1),
        (json!({"length": 100, "at": i64::MAX}), 1),
        (json!({"length": u64::MAX, "at": null}), 0),
        (json!({"length": 100, "at": null}), 1),
        (json!({"length": -1, "at": null}), 0),
        (json!("[".repeat(8000)), 0),
        (seen(u64::MAX), 0),
    ] {
        let liar = saying(json!({"said": said, "bytes": bytes}), &vec![0; bytes]);
        let file = liar.folder(LONG).file("log").unwrap();
        assert!(is_away(&file.next(10, &mut [0; 50])), "{said}");
        assert!(is_away(&file.seen()), "{said}");
    }
    let liar = saying(json!({"said": seen(u64::MAX), "bytes": 0}), &[]);
    assert!(is_away(&liar.folder(LONG).look("log")));
}

#[test]
fn whoever_is_silent_or_says_a_byte_now_and_then_is_left_in_time() {
    let silent = lying(|_| {});
    let drips = lying(|stream| {
        let _ = stream.write_all(&16_000_u32.to_be_bytes());
        while stream.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    for liar in [silent, drips] {
        let folder = liar.folder(SHORT);
        let begun = Instant::now();

        for _ in 0..1000 {
            assert!(is_away(&folder.names(100)));
        }

        assert!(
            begun.elapsed() >= SHORT.answer && begun.elapsed() < SHORT.answer * 4,
            "{:?}",
            begun.elapsed()
        );
    }
}

#[test]
fn whoever_is_slow_is_asked_no_more_once_a_turns_time_is_over_and_again_with_the_next() {
    let served = Served::start();
    fs::write(served.path("log"), "x").unwrap();
    let door = Door::with(served.socket(), Waits { turn: Duration::from_millis(20), ..LONG });
    assert_eq!(door.knock(), Answered::Anew);
    let begun = Instant::now();
    let folder = loop {
        match Source::Beyond(door.clone(), Root::Agent).open() {
            Ok(folder) => break folder,
            Err(_) => drop(door.knock()),
        }
    };
    while !is_away(&folder.look("log")) {
        assert!(begun.elapsed() < LONG.answer);
    }

    assert!(door.is_heard());
    assert_eq!(door.knock(), Answered::AsBefore, "it was no fault of theirs");
    assert_eq!(folder.look("log").unwrap().length, 1);
}

#[test]
fn nobody_is_waited_for_who_takes_nobody_in() {
    let dir = TempDir::new().unwrap();
    let socket = dir.path().join("files.sock");
    assert_eq!(Door::with(&socket, LONG).knock(), Answered::Nobody);
    let listener =
        rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&listener, &rustix::net::SocketAddrUnix::new(&socket).unwrap()).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let door = Door::with(&socket, SHORT);
    let begun = Instant::now();

    let others: Vec<_> = (0..8).map(|_| crate::line::Line::to(&socket)).collect();
    assert_eq!(door.knock(), Answered::Nobody);

    assert!(begun.elapsed() < SHORT.answer * 4);
    assert!(!door.is_heard());
    drop(others);
}

#[test]
fn who_speaks_another_version_is_nobody_and_who_speaks_unasked_is_left() {
    let other = Liar::meeting(|stream| {
        word(stream)?;
        stream.write_all(&frame(&json!({"version": crate::words::VERSION + 1}), &[])).ok()
    });
    assert_eq!(other.door(LONG).knock(), Answered::Nobody);

    let liar = Liar::answering(|_, stream| {
        let answer = frame(&json!({"said": {}, "bytes": 0}), &[]);
        let _ = stream.write_all(&[&answer[..], &answer].concat());
    });
    let door = liar.door(LONG);
    assert_eq!(door.knock(), Answered::Anew);
    Source::Beyond(door.clone(), Root::Agent).open().unwrap();
    assert_eq!(door.knock(), Answered::Anew);
}

#[test]
fn what_was_open_in_a_conversation_that_has_ended_is_away_and_asks_nobody_else() {
    let served = Served::start();
    fs::write(served.path("log"), "x").unwrap();
    let (door, other) = (served.door(), Door::with(served.socket(), LONG));
    let file = Source::Beyond(door.clone(), Root::Agent).open().unwrap().file("log").unwrap();

    assert_eq!(other.knock(), Answered::Anew);
    assert!(is_away(&file.seen()));
    assert!(!door.is_heard());
    assert_eq!(door.knock(), Answered::Anew);

    assert!(is_away(&file.seen()), "its number may be another's by now");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_answered_names_are_names_and_every_wait_has_an_end(
        noise in proptest::collection::vec(any::<u8>(), 0..600),
        framed in any::<bool>(),
        claimed in 0..700_usize,
    ) {
        let said = if framed { frame(&json!({"said": {}, "bytes": claimed}), &noise) } else { noise };
        let liar = lying(move |stream| drop(stream.write_all(&said)));
        let folder = liar.folder(SHORT);
        let begun = Instant::now();
        if let Ok(names) = folder.names(50) {
            prop_assert!(names.len() <= 50);
            prop_assert!(names.iter().all(|name| plain(name).is_ok()));
        }
        let _ = (folder.seen(), folder.look("log"));
        if let Ok(file) = folder.file("log") {
            let _ = (file.seen(), file.next(7, &mut [0; 64]));
        }
        prop_assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
}
