mod limits;
mod questions;

use ionet_core::earnings::{EarningsAnswer, EarningsQuestion, Periods, Scope};
use ionet_core::time::UnixMs;
use ionet_core::{Money, State, view};
use ionet_private::SocketId;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::timeout;

use super::*;
use crate::WireError;
use crate::client::{Client, Update};
use crate::message::{Kind, LetGo};

struct Resident {
    folder: tempfile::TempDir,
    snapshots: watch::Sender<Snapshot>,
    figures: watch::Sender<Option<Figures>>,
    intents: mpsc::Receiver<Intent>,
    questions: mpsc::Receiver<Asked>,
    windows: Windows,
    serving: tokio::task::JoinHandle<()>,
}

impl Resident {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let meeting = Meeting::within(folder.path());
        Self::at(folder, &meeting)
    }

    fn at(folder: tempfile::TempDir, meeting: &Meeting) -> Self {
        let mut server = Server::bind(meeting).unwrap();
        server.looked_for_every = Duration::from_millis(20);
        let (snapshots, watcher) = watch::channel(view(&State::default()));
        let (figures, sampled) = watch::channel(None);
        let (wants, intents) = mpsc::channel(8);
        let (asks, questions) = mpsc::channel(8);
        let windows = server.windows();
        let served = Served { snapshots: watcher, figures: sampled, intents: wants, questions: asks };
        let serving = tokio::spawn(async move { server.serve(served).await });
        Self { folder, snapshots, figures, intents, questions, windows, serving }
    }

    fn meeting(&self) -> Meeting {
        Meeting::within(self.folder.path())
    }

    async fn connect(&self, kind: Kind) -> Client {
        soon(Client::connect(&self.meeting(), kind)).await.unwrap()
    }

    /// A connection of somebody who speaks by hand.
    async fn raw(&self) -> BufReader<ionet_private::socket::Stream> {
        BufReader::new(SocketId::new(self.folder.path(), "supplier.sock").connect().await.unwrap())
    }

    /// Whether a well-behaved window still gets what it should.
    async fn serves_others(&self) {
        let mut client = self.connect(Kind::Window).await;
        soon(client.next()).await.unwrap();
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("nothing came within 20 s")
}

/// A socket lies there a moment before anybody listens at it.
async fn found_again(meeting: &Meeting) -> Client {
    loop {
        match Client::connect(meeting, Kind::Window).await {
            Ok(client) => return client,
            Err(WireError::NobodyThere(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(error) => panic!("{error}"),
        }
    }
}

async fn line(raw: &mut BufReader<ionet_private::socket::Stream>) -> String {
    let mut line = String::new();
    soon(raw.read_line(&mut line)).await.unwrap();
    line
}

fn figures(at: i64) -> Figures {
    Figures { at: UnixMs(at), gpus: vec![], capsule: None }
}

fn question(limit: u32) -> Question {
    let (from, to) = (UnixMs(0), UnixMs(1));
    Question::Earnings(EarningsQuestion::Jobs { scope: Scope::ThisPc, from, to, after: None, limit })
}

fn answered(micros: i64) -> Answer {
    let amounts = vec![Money { micros }];
    Answer::Earnings(EarningsAnswer::Periods(Periods {
        amounts,
        currency: "USDC".to_owned(),
        as_of: UnixMs(9),
    }))
}

#[tokio::test]
async fn a_watcher_gets_the_snapshot_of_now_first_and_then_each_change() {
    let resident = Resident::start();
    let mut client = resident.connect(Kind::Window).await;

    let first = soon(client.next()).await.unwrap();
    resident.snapshots.send_modify(|snapshot| snapshot.rehearsal = true);
    let second = soon(client.next()).await.unwrap();

    assert!(!first.rehearsal);
    assert!(second.rehearsal);
}

#[tokio::test]
async fn a_server_that_breaks_off_is_served_again_at_the_same_socket() {
    let folder = tempfile::tempdir().unwrap();
    let meeting = Meeting::within(folder.path());
    let mut server = Server::bind(&meeting).unwrap();
    let mut count = server.windows().count();
    let (_snapshots, snapshots) = watch::channel(view(&State::default()));
    let (figures, intents, questions) = (watch::channel(None).1, mpsc::channel(8).0, mpsc::channel(8).0);
    let served = Served { snapshots, figures, intents, questions };

    for _ in 0..3 {
        let watches = async {
            let mut client = soon(Client::connect(&meeting, Kind::Window)).await.unwrap();
            soon(client.next()).await.unwrap();
            client
        };
        let mut client = tokio::select! {
            () = server.serve(served.clone()) => panic!("it ended by itself"),
            client = watches => client,
        };
        // Whoever watched hears of it, and comes again.
        assert!(soon(client.next()).await.is_err());
        soon(count.wait_for(|count| *count == 0)).await.unwrap();
    }
}

#[tokio::test]
async fn an_intent_arrives_as_it_was_sent() {
    let mut resident = Resident::start();
    let mut client = resident.connect(Kind::Command).await;

    client.send(Intent::Quit { confirmed: true }).await.unwrap();

    assert_eq!(soon(resident.intents.recv()).await, Some(Intent::Quit { confirmed: true }));
}

#[tokio::test]
async fn an_intent_of_a_watcher_that_leaves_at_once_is_heard() {
    let mut resident = Resident::start();

    // Which of the two the resident program does first, showing or hearing, is not always the same.
    for _ in 0..20 {
        let mut client = resident.connect(Kind::Command).await;
        client.send(Intent::Retry).await.unwrap();
        drop(client);
        resident.snapshots.send_modify(|snapshot| snapshot.rehearsal = !snapshot.rehearsal);

        assert_eq!(soon(resident.intents.recv()).await, Some(Intent::Retry));
    }
}

#[tokio::test]
async fn windows_are_counted_while_they_are_open_and_can_be_raised() {
    let resident = Resident::start();
    let mut count = resident.windows.count();
    let window = resident.connect(Kind::Window).await;
    soon(count.wait_for(|count| *count == 1)).await.unwrap();
    let (mut updates, asks) = window.split();
    assert!(matches!(soon(updates.update()).await.unwrap(), Update::Snapshot(_)));

    resident.windows.raise();
    let update = soon(updates.update()).await.unwrap();
    drop((updates, asks));

    assert_eq!(update, Update::Raise);
    soon(count.wait_for(|count| *count == 0)).await.unwrap();
}

#[tokio::test]
async fn what_is_no_message_ends_the_connection_with_a_reason_and_troubles_nobody_else() {
    let resident = Resident::start();
    let hello = r#"{"from_watcher":"hello","protocol":2,"pid":1,"kind":"window"}"#;
    let long = format!("{hello}\n{}\n", "x".repeat(1 << 20));
    for said in ["\0\0\0\0\n", "GET / HTTP/1.1\n", "\u{feff}\n", &format!("{hello}\n{{\"intent\":\n"), &long]
    {
        let mut raw = resident.raw().await;
        assert!(line(&mut raw).await.contains("\"protocol\":2"));
        // The end may be closed before all of it is taken.
        let _ = raw.get_mut().write_all(said.as_bytes()).await;

        let mut last = String::new();
        loop {
            let mut next = String::new();
            match soon(raw.read_line(&mut next)).await {
                Ok(0) | Err(_) => break,
                Ok(_) => last = next,
            }
        }
        assert_eq!(last.trim(), r#"{"let_go":"not_a_message"}"#, "{said:.40}");
    }
    resident.serves_others().await;
}

#[tokio::test]
async fn a_half_line_is_waited_for_and_its_end_is_not_a_message() {
    let resident = Resident::start();
    let mut raw = resident.raw().await;
    raw.get_mut().write_all(b"{\"from_watcher\":\"hel").await.unwrap();

    resident.serves_others().await;
    drop(raw);

    resident.serves_others().await;
}

#[tokio::test]
async fn a_watcher_of_an_older_protocol_is_told_ours_and_let_go() {
    let resident = Resident::start();
    let mut raw = resident.raw().await;
    raw.get_mut()
        .write_all(b"{\"from_watcher\":\"hello\",\"protocol\":1,\"pid\":4243,\"kind\":\"window\"}\n")
        .await
        .unwrap();

    let greeted = line(&mut raw).await;
    let mut rest = String::new();
    // A connection that is closed over unread words may say so by an error.
    let _ = soon(raw.read_to_string(&mut rest)).await;

    assert!(greeted.starts_with(r#"{"from_resident":"hello","protocol":2,"#), "{greeted}");
    assert_eq!(rest, "", "no snapshot");
    assert_eq!(*resident.windows.count().borrow(), 0);
}

#[tokio::test]
async fn a_resident_program_of_an_older_protocol_is_recognised_before_its_snapshot_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let lock = Lock::take(&folder.path().join("lock")).unwrap();
    let listener = SocketId::new(folder.path(), "supplier.sock").listen(&lock).unwrap();
    let old = async {
        let mut stream = listener.accept().await.unwrap();
        let said = b"{\"from_resident\":\"hello\",\"protocol\":1,\"pid\":4242,\"version\":\"0.1.0\"}\n{\"from_resident\":\"snapshot\",\"schema\":1}\n";
        stream.write_all(said).await.unwrap();
        stream
    };

    let meeting = Meeting::within(folder.path());
    let (refused, _stream) = soon(async { tokio::join!(Client::connect(&meeting, Kind::Window), old) }).await;

    assert!(matches!(refused.err(), Some(WireError::OtherProtocol { theirs: 1 })));
}

#[tokio::test]
async fn those_who_watch_are_let_go_at_the_end_and_the_note_goes_with_the_program() {
    let resident = Resident::start();
    let mut client = resident.connect(Kind::Window).await;
    soon(client.next()).await.unwrap();
    let note = resident.folder.path().join("resident.json");
    assert!(note.exists());

    drop(resident.snapshots);
    soon(resident.serving).await.unwrap();

    assert!(matches!(soon(client.next()).await, Err(WireError::Closed)));
    assert!(!note.exists());
}

#[cfg(unix)]
#[tokio::test]
async fn a_socket_that_somebody_removed_is_made_anew_in_its_place_and_stays() {
    let resident = Resident::start();
    let socket = resident.folder.path().join("supplier.sock");
    for _ in 0..3 {
        std::fs::remove_file(&socket).unwrap();
        soon(found_again(&resident.meeting())).await;
        assert!(socket.exists());
        resident.serves_others().await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_runtime_folder_that_goes_at_log_out_is_noticed_and_the_app_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let (data, session) = (folder.path().join("data"), folder.path().join("session"));
    for made in [&data, &session] {
        std::fs::create_dir(made).unwrap();
    }
    let sockets =
        vec![SocketId::new(&session.join("app"), "s.sock"), SocketId::new(&data.join("run"), "s.sock")];
    let meeting = Meeting::new(&data, sockets);
    let resident = Resident::at(folder, &meeting);
    let mut before = soon(Client::connect(&meeting, Kind::Window)).await.unwrap();

    std::fs::remove_dir_all(&session).unwrap();
    let mut after = soon(found_again(&meeting)).await;
    resident.snapshots.send_modify(|snapshot| snapshot.rehearsal = true);

    for client in [&mut before, &mut after] {
        soon(async { while !client.next().await.unwrap().rehearsal {} }).await;
    }
    assert!(matches!(Server::bind(&meeting), Err(BindError::AlreadyRunning)));
}
