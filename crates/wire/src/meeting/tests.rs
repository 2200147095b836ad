use std::fs;
use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::server::Server;

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), future).await.expect("nothing came within 10 s")
}

/// One data folder, and the sessions' own folders for sockets.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        for folder in ["data", "desktop"] {
            fs::create_dir(home.path().join(folder)).unwrap();
        }
        Self(home)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// As a session with this folder sees it.
    fn session(&self, folder: &str) -> Meeting {
        let data = self.path("data");
        let sockets = [self.path(folder).join("app"), data.join("run")];
        Meeting::new(&data, sockets.iter().map(|folder| SocketId::new(folder, "supplier.sock")).collect())
    }
}

#[tokio::test]
async fn a_session_without_a_runtime_folder_finds_the_app_that_the_desktop_started() {
    let home = Home::new();
    let server = Server::bind(&home.session("desktop")).unwrap();

    let found = soon(home.session("none").connect()).await;
    let second = Server::bind(&home.session("none"));
    drop(server);

    assert!(found.is_ok());
    assert!(matches!(second, Err(BindError::AlreadyRunning)));
}

#[tokio::test]
async fn the_desktop_finds_the_app_that_a_session_without_a_runtime_folder_started() {
    let home = Home::new();
    let _server = Server::bind(&home.session("none")).unwrap();

    assert!(soon(home.session("desktop").connect()).await.is_ok());
    assert!(matches!(Server::bind(&home.session("desktop")), Err(BindError::AlreadyRunning)));
}

#[tokio::test]
async fn there_is_one_resident_program_and_what_a_killed_one_left_is_replaced() {
    let home = Home::new();
    let first = Server::bind(&home.session("desktop")).unwrap();
    let second = Server::bind(&home.session("desktop"));
    // As a kill leaves it: lock file, note and socket are there, and nobody holds them.
    drop(first);
    fs::create_dir_all(home.path("desktop/app")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(home.path("desktop/app/supplier.sock")));
    let nobody = soon(home.session("desktop").connect()).await;
    let third = Server::bind(&home.session("desktop"));

    assert!(matches!(second, Err(BindError::AlreadyRunning)));
    assert!(matches!(nobody, Err(SocketError::NobodyThere(_))));
    assert!(third.is_ok());
}

#[tokio::test]
async fn a_note_that_is_damaged_or_missing_hides_nobody_of_the_same_session() {
    let home = Home::new();
    let meeting = home.session("desktop");
    let _server = Server::bind(&meeting).unwrap();
    let note = home.path("data/resident.json");
    let good = fs::read(&note).unwrap();

    let mut damaged: Vec<Vec<u8>> = (0..good.len()).map(|cut| good[..cut].to_vec()).collect();
    damaged.extend([vec![0; 412], b"{}\n/".to_vec(), vec![b'x'; 10_000], b"<html>\n/tmp".to_vec()]);
    for content in damaged {
        fs::write(&note, &content).unwrap();
        assert!(soon(meeting.connect()).await.is_ok(), "{content:?}");
    }
    fs::remove_file(&note).unwrap();
    assert!(soon(meeting.connect()).await.is_ok());
}

#[tokio::test]
async fn an_app_that_holds_no_lock_of_this_kind_is_one_all_the_same() {
    let home = Home::new();
    fs::create_dir_all(home.path("desktop/app")).unwrap();
    let _older = std::os::unix::net::UnixListener::bind(home.path("desktop/app/supplier.sock")).unwrap();

    assert!(matches!(Server::bind(&home.session("desktop")), Err(BindError::AlreadyRunning)));
}

#[tokio::test]
async fn the_app_on_another_pc_with_the_same_home_is_named() {
    let home = Home::new();
    let meeting = home.session("desktop");
    let _server = Server::bind(&meeting).unwrap();
    let note = note::read(&meeting.note()).unwrap();
    let renamed = note::Note { host: "other-pc".to_owned(), ..note };
    note::write(&meeting.note(), &renamed).unwrap();
    let here = Server::bind(&meeting);
    let theirs = SocketId::new(&home.path("none"), "supplier.sock");
    note::write(&meeting.note(), &note::Note { socket: theirs, ..renamed }).unwrap();
    let there = Server::bind(&meeting);

    assert!(matches!(here, Err(BindError::AlreadyRunning)));
    assert!(matches!(there, Err(BindError::OnAnotherPc(host)) if host == "other-pc"));
}

#[tokio::test]
async fn where_the_best_place_cannot_be_used_the_next_one_is() {
    use std::os::unix::fs::symlink;
    let home = Home::new();
    fs::write(home.path("file"), "no folder").unwrap();
    fs::create_dir(home.path("planted")).unwrap();
    symlink(home.path("data"), home.path("planted/app")).unwrap();
    fs::create_dir_all(home.path("taken/app/supplier.sock")).unwrap();
    let deep = "d".repeat(110);
    fs::create_dir(home.path(&deep)).unwrap();

    for session in ["none", "file", "planted", "taken", &deep] {
        let server = Server::bind(&home.session(session)).unwrap();
        assert!(soon(home.session("desktop").connect()).await.is_ok(), "{session}");
        drop(server);
    }
}

#[tokio::test]
async fn where_it_can_listen_nowhere_the_first_reason_is_said() {
    let home = Home::new();
    fs::write(home.path("data/run"), "no folder").unwrap();

    assert!(matches!(Server::bind(&home.session("none")), Err(BindError::NoSocket(_))));
}

#[test]
fn a_note_carries_an_address_that_is_no_text() {
    use std::os::unix::ffi::OsStrExt as _;
    let home = Home::new();
    let folder = home.0.path().join(std::ffi::OsStr::from_bytes(b"Gr\xf6\xdfe\n mehr"));
    let written =
        note::Note { pid: 1, host: "pc".to_owned(), socket: SocketId::new(&folder, "supplier.sock") };

    note::write(&home.path("note"), &written).unwrap();

    assert_eq!(note::read(&home.path("note")), Some(written));
}
