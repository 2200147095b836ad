use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::*;

fn place() -> (tempfile::TempDir, SocketId, Lock) {
    let folder = tempfile::tempdir().unwrap();
    let lock = Lock::take(&folder.path().join("lock")).unwrap();
    let id = SocketId::new(folder.path(), "s.sock");
    (folder, id, lock)
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), future).await.expect("nothing came within 10 s")
}

#[tokio::test]
async fn two_programs_of_one_user_find_each_other() {
    let (_folder, id, lock) = place();
    let listener = id.listen(&lock).unwrap();

    let (guest, host) = soon(async { tokio::join!(id.connect(), listener.accept()) }).await;
    let (mut guest, mut host) = (guest.unwrap(), host.unwrap());
    guest.write_all(b"hello").await.unwrap();
    let mut heard = [0; 5];
    soon(host.read_exact(&mut heard)).await.unwrap();

    assert_eq!(&heard, b"hello");
}

#[tokio::test]
async fn where_nobody_listens_that_is_said() {
    let (_folder, id, _lock) = place();

    assert!(matches!(soon(id.connect()).await, Err(SocketError::NobodyThere(_))));
}

#[test]
fn an_address_comes_back_from_how_the_system_spells_it() {
    let (_folder, id, _lock) = place();

    assert_eq!(SocketId::from_os_str(id.as_os_str()), id);
}

#[cfg(unix)]
mod unix {
    use super::*;

    #[tokio::test]
    async fn what_a_killed_program_left_is_replaced_and_what_is_no_socket_at_all_is_not() {
        let (folder, id, lock) = place();
        std::fs::write(folder.path().join("s.sock"), "left behind").unwrap();
        std::fs::create_dir(folder.path().join("theirs")).unwrap();

        let listener = id.listen(&lock);
        let taken = SocketId::new(folder.path(), "theirs").listen(&lock);

        assert!(listener.is_ok());
        assert!(matches!(taken, Err(SocketError::Taken(_))));
    }

    #[tokio::test]
    async fn one_that_nobody_listens_at_any_more_is_nobody() {
        let (folder, id, _lock) = place();
        drop(std::os::unix::net::UnixListener::bind(folder.path().join("s.sock")).unwrap());

        assert!(matches!(soon(id.connect()).await, Err(SocketError::NobodyThere(_))));
    }

    #[tokio::test]
    async fn a_path_too_long_is_said_before_the_system_cuts_it() {
        let (folder, _, lock) = place();
        let id = SocketId::new(&folder.path().join("x".repeat(100)), "s.sock");

        assert!(matches!(id.listen(&lock), Err(SocketError::TooLong(_))));
        assert!(matches!(soon(id.connect()).await, Err(SocketError::TooLong(_))));
    }

    #[tokio::test]
    async fn one_who_stops_listening_leaves_nothing_and_takes_nothing_of_its_successor() {
        let (folder, id, lock) = place();
        let first = id.listen(&lock).unwrap();
        std::fs::remove_file(folder.path().join("s.sock")).unwrap();
        let second = id.listen(&lock).unwrap();

        drop(first);
        let found = soon(id.connect()).await.is_ok();
        drop(second);

        assert!(found);
        assert!(!folder.path().join("s.sock").exists());
    }

    #[tokio::test]
    async fn a_socket_whose_folder_went_is_noticed_and_so_is_another_in_its_place() {
        let (folder, id, lock) = place();
        let listener = id.listen(&lock).unwrap();
        let mark = listener.mark();
        assert!(mark.is_there());

        std::fs::rename(folder.path().join("s.sock"), folder.path().join("moved")).unwrap();
        let gone = mark.is_there();
        std::fs::write(folder.path().join("s.sock"), "another").unwrap();

        assert!(!gone);
        assert!(!mark.is_there());
    }
}
