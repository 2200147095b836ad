//! What is served, and to whom.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::line::Line;
use crate::words::{Answer, Ask, Hello, MOST_OPEN, Question, VERSION, hear, say};

/// A client that asks whatever it likes.
struct Raw(Line);

impl Raw {
    fn to(served: &Served) -> Self {
        let mut line = Line::to(&served.socket()).unwrap();
        say(&mut line, &Hello { version: VERSION }, &[], soon()).unwrap();
        assert_eq!(hear::<Hello>(&mut line, soon()).unwrap().version, VERSION);
        Self(line)
    }

    /// Whether it was told something.
    fn ask(&mut self, question: Question) -> bool {
        say(&mut self.0, &Ask { close: Vec::new(), question }, &[], soon()).unwrap();
        hear::<Answer<serde_json::Value>>(&mut self.0, soon()).unwrap().said.is_some()
    }
}

fn soon() -> Instant {
    Instant::now() + LONG.answer
}

#[test]
fn no_name_leads_out_of_a_served_tree_whoever_asks() {
    let served = Served::start();
    fs::write(served.dir.path().join("secret"), "not to be had").unwrap();
    fs::create_dir_all(served.path("folder")).unwrap();
    fs::write(served.path("folder/log"), "to be had").unwrap();
    let mut raw = Raw::to(&served);
    assert!(raw.ask(Question::Root { root: Root::Agent, number: 1 }));

    let secret = served.dir.path().join("secret").display().to_string();
    let long = "x".repeat(256);
    for name in [
        "../secret",
        "..",
        ".",
        "",
        "/etc/hostname",
        "folder/../../secret",
        "folder/log",
        &secret,
        "a\0b",
        &long,
    ] {
        let name = || name.to_owned();
        assert!(!raw.ask(Question::File { within: 1, name: name(), number: 2 }), "{:?}", name());
        assert!(!raw.ask(Question::Look { within: 1, name: name() }), "{:?}", name());
        assert!(!raw.ask(Question::Folder { within: 1, name: name(), number: 3 }), "{:?}", name());
    }
    for of in [2, 3, 99] {
        assert!(!raw.ask(Question::Seen { of }) && !raw.ask(Question::Read { of, from: 0, most: 9 }));
    }
    assert!(raw.ask(Question::Folder { within: 1, name: "folder".to_owned(), number: 2 }));
    assert!(raw.ask(Question::File { within: 2, name: "log".to_owned(), number: 3 }));
}

#[test]
fn links_pipes_sockets_and_files_of_two_names_are_not_served() {
    let served = Served::start();
    let secret = served.dir.path().join("secret");
    fs::write(&secret, "not to be had").unwrap();
    symlink(&secret, served.path("link")).unwrap();
    symlink("/etc", served.path("etc")).unwrap();
    fs::hard_link(&secret, served.path("two names")).unwrap();
    assert!(Command::new("mkfifo").arg(served.path("pipe")).status().unwrap().success());
    let _socket = UnixListener::bind(served.path("socket")).unwrap();
    fs::create_dir(served.path("folder")).unwrap();
    let folder = served.folder();

    for name in ["link", "two names", "pipe", "socket", "folder", "missing"] {
        assert_eq!(Unheard::of(&folder.look(name).unwrap_err()), Some(Unheard::No), "{name}");
        assert_eq!(Unheard::of(&folder.file(name).unwrap_err()), Some(Unheard::No), "{name}");
    }
    for name in ["etc", "link", "pipe", "missing"] {
        assert_eq!(Unheard::of(&folder.folder(name).unwrap_err()), Some(Unheard::No), "{name}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn in_a_file_of_a_terabyte_of_holes_the_few_bytes_are_found_at_once() {
    let served = Served::start();
    let mut file = fs::File::create(served.path("log")).unwrap();
    file.write_all(b"before").unwrap();
    file.seek(SeekFrom::Start(1 << 40)).unwrap();
    file.write_all(b"after").unwrap();
    let (file, mut piece) = (served.folder().file("log").unwrap(), vec![0; PIECE]);

    let (mut at, mut found, mut questions) = (0, Vec::<u8>::new(), 0);
    while let Next { at: Some(data), read, .. } = file.next(at, &mut piece).unwrap() {
        found.extend(piece[..read].iter().filter(|byte| **byte != 0));
        at = data + read as u64;
        questions += 1;
    }

    assert_eq!(found, b"beforeafter");
    assert!(questions <= 3, "{questions}");
    assert_eq!(file.next(at, &mut piece).unwrap(), Next { length: (1 << 40) + 5, at: None, read: 0 });
}

#[test]
fn a_file_that_is_held_is_read_though_it_is_cut_short_replaced_or_removed() {
    let served = Served::start();
    fs::write(served.path("log"), "one two").unwrap();
    let folder = served.folder();
    let (file, mut piece) = (folder.file("log").unwrap(), [0; 16]);

    fs::write(served.path("log"), "one").unwrap();
    assert_eq!(file.read_at(3, &mut piece).unwrap(), 0);
    assert_eq!(file.next(3, &mut piece).unwrap(), Next { length: 3, at: None, read: 0 });
    fs::rename(served.path("log"), served.path("aside")).unwrap();
    fs::write(served.path("log"), "another").unwrap();
    assert_ne!(file.seen().unwrap().id, folder.look("log").unwrap().id);
    fs::remove_file(served.path("aside")).unwrap();
    assert!(file.seen().unwrap().removed);
    assert_eq!(file.read_at(0, &mut piece).unwrap(), 3);
    assert_eq!(&piece[..3], b"one");
}

#[test]
fn what_is_held_open_is_bounded_and_has_room_again_when_it_is_let_go() {
    let served = Served::start();
    fs::write(served.path("log"), "x").unwrap();
    let folder = served.folder();

    let mut files: Vec<_> = (1..MOST_OPEN).map(|_| folder.file("log").unwrap()).collect();
    assert_eq!(Unheard::of(&folder.file("log").unwrap_err()), Some(Unheard::No));
    files.truncate(300);

    // What was let go is told with the next questions.
    folder.seen().unwrap();
    assert!(folder.file("log").is_ok());
    assert_eq!(files[0].seen().unwrap().length, 1);
}

#[test]
fn all_names_together_are_bounded() {
    let served = Served::start();
    let name = |n: usize| format!("{n:06}{}", "x".repeat(240));
    for n in 0..5000 {
        fs::File::create(served.path(&name(n))).unwrap();
    }

    let names = served.folder().names(20_000).unwrap();

    assert!((4000..5000).contains(&names.len()), "{}", names.len());
    assert!(served.folder().names(10).unwrap().len() <= 10);
}

#[test]
fn whoever_talks_nonsense_is_let_go_and_the_next_one_is_answered() {
    let served = Served::start();
    fs::write(served.path("log"), "x").unwrap();
    for said in
        [&b"GET / HTTP/1.0\r\n\r\n"[..], &[255; 64], &[0, 0, 0, 2, b'{', b'}'], b"\0\0\0\x0b{\"version\":"]
    {
        let mut stream = UnixStream::connect(served.socket()).unwrap();
        stream.write_all(said).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        stream.set_read_timeout(Some(LONG.answer)).unwrap();
        let ended = stream.read(&mut [0; 64]);
        assert!(!matches!(ended, Ok(1..)), "{ended:?}");

        assert_eq!(served.folder().look("log").unwrap().length, 1);
    }
}

#[test]
fn whoever_comes_last_is_answered_though_another_hangs_in_there() {
    let served = Served::start();
    fs::write(served.path("log"), "x").unwrap();
    let (before, silent) = (served.door(), UnixStream::connect(served.socket()).unwrap());

    assert_eq!(served.folder().look("log").unwrap().length, 1);

    assert_eq!(before.knock(), Answered::Anew, "the conversation before has ended");
    drop(silent);
}

#[derive(Debug, Clone)]
struct Piece {
    hole: u16,
    data: Vec<u8>,
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let piece = (any::<u16>(), proptest::collection::vec(any::<u8>(), 0..3000));
    proptest::collection::vec(piece.prop_map(|(hole, data)| Piece { hole, data }), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn beyond_a_door_everything_is_as_it_is_here(
        pieces in pieces(),
        asked in proptest::collection::vec((0..400_000_u64, 0..70_000_usize), 1..8),
        names in proptest::collection::vec("[a-zé .]{1,12}", 0..6),
    ) {
        let served = Served::start();
        let mut file = fs::File::create(served.path("log")).unwrap();
        for piece in pieces {
            file.seek(SeekFrom::Current(i64::from(piece.hole))).unwrap();
            file.write_all(&piece.data).unwrap();
        }
        for name in &names {
            let _ = fs::write(served.path(name), name);
        }
        let (near, far) = (here(&served.path("")), served.folder());
        prop_assert_eq!(sorted(near.names(100).unwrap()), sorted(far.names(100).unwrap()));
        for name in names.iter().map(String::as_str).chain(["log", "missing"]) {
            prop_assert_eq!(near.look(name).ok(), far.look(name).ok());
        }
        prop_assert_eq!(near.seen().unwrap(), far.seen().unwrap());
        let (near, far) = (near.file("log").unwrap(), far.file("log").unwrap());
        prop_assert_eq!(near.seen().unwrap(), far.seen().unwrap());
        for (from, most) in asked {
            let most = most.min(PIECE);
            let (mut one, mut other) = (vec![0; most], vec![0; most]);
            prop_assert_eq!(near.next(from, &mut one).unwrap(), far.next(from, &mut other).unwrap());
            prop_assert_eq!(&one, &other);
            prop_assert_eq!(near.read_at(from, &mut one).unwrap(), far.read_at(from, &mut other).unwrap());
            prop_assert_eq!(one, other);
        }
    }
}
