use ionet_core::earnings::{EarningsQuestion, Scope};
use ionet_core::time::UnixMs;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt as _;

use super::*;

fn asked() -> impl Strategy<Value = FromWatcher> {
    let job = (any::<i64>(), ".{0,40}", any::<u32>(), any::<u64>()).prop_map(|(from, after, limit, id)| {
        let question = EarningsQuestion::Jobs {
            scope: Scope::Account,
            from: UnixMs(from),
            to: UnixMs(i64::MAX),
            after: Some(after),
            limit,
        };
        FromWatcher::Ask { id, question: Question::Earnings(question) }
    });
    prop_oneof![
        Just(FromWatcher::Intent(Intent::Resume)),
        any::<bool>().prop_map(|confirmed| FromWatcher::Intent(Intent::Quit { confirmed })),
        any::<bool>().prop_map(FromWatcher::WantFigures),
        job,
    ]
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Everything that the bytes hold, up to the first reason to stop.
async fn all(bytes: &[u8]) -> (Vec<FromWatcher>, WireError) {
    let mut reader = reader(bytes, LONGEST_ASKED);
    let mut messages = Vec::new();
    loop {
        match read(&mut reader).await {
            Ok(message) => messages.push(message),
            Err(reason) => return (messages, reason),
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_said_is_heard_however_it_is_cut_on_its_way(
        messages in proptest::collection::vec(asked(), 0..20),
        piece in 1_usize..200,
    ) {
        let heard = run(async {
            let (send, receive) = tokio::io::duplex(piece);
            let mut reader = reader(receive, LONGEST_ASKED);
            let said = messages.clone();
            let saying = async move {
                let mut writer = writer(send);
                for message in &said {
                    write(&mut writer, message).await.unwrap();
                }
            };
            let hearing = async {
                let mut heard = Vec::new();
                while let Ok(message) = read::<FromWatcher, _>(&mut reader).await {
                    heard.push(message);
                }
                heard
            };
            tokio::join!(saying, hearing).1
        });
        prop_assert_eq!(heard, messages);
    }

    #[test]
    fn any_bytes_end_with_a_reason(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
        let (_, reason) = run(all(&bytes));
        prop_assert!(matches!(reason, WireError::Closed | WireError::NotAMessage(_)), "{reason:?}");
    }

    #[test]
    fn a_cut_line_is_never_taken_for_a_message(message in asked(), cut in any::<prop::sample::Index>()) {
        let line = serde_json::to_string(&message).unwrap();
        let mut cut = cut.index(line.len());
        while !line.is_char_boundary(cut) {
            cut -= 1;
        }
        let (messages, _) = run(all(&line.as_bytes()[..cut]));
        prop_assert!(messages.is_empty());
    }
}

#[test]
fn a_question_about_each_day_of_a_hundred_years_is_heard() {
    let moments = (-25_567..11_033).map(|day| UnixMs(day * 86_400_000));
    let question = EarningsQuestion::Periods { scope: Scope::ThisPc, boundaries: moments.collect() };
    let asked = FromWatcher::Ask { id: 1, question: Question::Earnings(question) };

    let (messages, _) = run(all(format!("{}\n", serde_json::to_string(&asked).unwrap()).as_bytes()));

    assert_eq!(messages, [asked]);
}

#[test]
fn what_is_no_message_is_told_apart_and_not_repeated() {
    let long = vec![b'x'; LONGEST_ASKED + 10];
    for (bytes, reason) in [
        (&b"hunter2\n"[..], "at column"),
        (b"{\"hunter2\": 1}\n", "at column"),
        (b"\xff\xfe\n", "no text"),
        (b"\0\0\0\0\n", "at column"),
        (&long, "over the limit"),
    ] {
        let (_, error) = run(all(bytes));
        assert!(error.to_string().contains(reason), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

/// Lines as protocol 1 had them.
const OLD_RESIDENT: &str = r#"{"from_resident":"hello","protocol":1,"pid":4242,"version":"0.1.0"}"#;
const OLD_WATCHER: &str = r#"{"from_watcher":"hello","protocol":1,"pid":4243,"kind":"window"}"#;

#[test]
fn a_greeting_of_any_version_tells_its_protocol_and_nothing_else_of_it_is_looked_at() {
    let theirs = |line: &'static str| {
        run(async move { greeting::<WatcherHello, _>(&mut reader(line.as_bytes(), 1000)).await })
    };
    for (line, protocol) in [
        (OLD_WATCHER, 1),
        (OLD_RESIDENT, 1),
        (r#"{"protocol":3}"#, 3),
        (r#"{"hello":{"kind":"tablet"},"protocol":77,"pid":"none"}"#, 77),
    ] {
        let error = theirs(line).unwrap_err();
        assert!(
            matches!(error, WireError::OtherProtocol { theirs } if theirs == protocol),
            "{line}: {error:?}"
        );
    }
    assert!(theirs(r#"{"from_watcher":"hello","protocol":2,"pid":1,"kind":"command"}"#).is_ok());
    assert!(matches!(theirs(r#"{"from_watcher":"hello"}"#), Err(WireError::NotAMessage(_))));
}

#[test]
fn which_side_is_older_is_said_with_what_to_do() {
    let older = WireError::OtherProtocol { theirs: 1 }.to_string();
    let newer = WireError::OtherProtocol { theirs: PROTOCOL + 1 }.to_string();

    assert!(older.starts_with("the other end is of an older version"), "{older}");
    assert!(newer.starts_with("this program is of an older version"), "{newer}");
}

#[test]
fn a_version_1_program_understands_the_greeting() {
    // The form that protocol 1 demands before it looks at the number.
    #[derive(Debug, Deserialize)]
    #[serde(tag = "from_resident", rename_all = "snake_case")]
    enum OldFromResident {
        Hello { protocol: u32, pid: u32, version: String },
    }
    #[derive(Debug, Deserialize)]
    #[serde(tag = "from_watcher", rename_all = "snake_case")]
    enum OldFromWatcher {
        Hello { protocol: u32, pid: u32, kind: Kind },
    }
    let resident = ResidentHello {
        from_resident: Hello::Hello,
        protocol: PROTOCOL,
        pid: 7,
        version: "0.2.0".to_owned(),
    };
    let watcher = WatcherHello { from_watcher: Hello::Hello, protocol: PROTOCOL, pid: 8, kind: Kind::Window };

    let OldFromResident::Hello { protocol, pid, version } =
        serde_json::from_str(&serde_json::to_string(&resident).unwrap()).unwrap();
    assert_eq!((protocol, pid, version.as_str()), (PROTOCOL, 7, "0.2.0"));
    let OldFromWatcher::Hello { protocol, pid, kind } =
        serde_json::from_str(&serde_json::to_string(&watcher).unwrap()).unwrap();
    assert_eq!((protocol, pid, kind), (PROTOCOL, 8, Kind::Window));
}

#[tokio::test]
async fn a_line_without_an_end_takes_no_more_memory_than_the_limit() {
    let (mut send, receive) = tokio::io::duplex(1 << 16);
    let mut reader = reader(receive, 1000);
    let flood = tokio::spawn(async move {
        let mut sent = 0_u64;
        while send.write_all(&[b'x'; 4096]).await.is_ok() {
            sent += 4096;
        }
        sent
    });

    let error = read::<FromWatcher, _>(&mut reader).await.unwrap_err();
    let held = reader.read_buffer().capacity();
    drop(reader);

    assert!(matches!(error, WireError::NotAMessage(_)));
    assert!(held < 1 << 20, "{held}");
    flood.await.unwrap();
}
