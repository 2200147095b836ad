use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::time::Instant;

use tokio::net::{UnixListener, UnixStream};

use super::super::clear;
use super::super::engine_tests::engine;
use super::super::stage::{ALLOC, Stage};
use super::*;
use crate::teardown::sweep;

const NOBODY: u32 = 65_534;

/// The engine's socket where another user reaches it.
fn door(stage: &Stage, engine: PathBuf) -> PathBuf {
    let door = stage.dir.path().join("engine.sock");
    let listener = UnixListener::bind(&door).unwrap();
    fs::set_permissions(&door, fs::Permissions::from_mode(0o666)).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut asks, _) = listener.accept().await.unwrap();
            let engine = engine.clone();
            tokio::spawn(async move {
                let mut answers = UnixStream::connect(engine).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut asks, &mut answers).await;
            });
        }
    });
    door
}

/// All of the agent's folder is `NOBODY`'s, but what a container has written into it.
fn written(stage: &Stage) -> PathBuf {
    let folder = stage.data().join("alloc").join(ALLOC).join("alloc");
    fs::set_permissions(stage.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for folder in folder.join("logs").ancestors().take_while(|folder| *folder != stage.dir.path()) {
        chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let by_root = folder.join("data/deep");
    fs::create_dir_all(&by_root).unwrap();
    fs::write(by_root.join("words"), "a customer's").unwrap();
    let by_another = folder.join("data/closed");
    fs::create_dir(&by_another).unwrap();
    fs::write(by_another.join("words"), "a customer's").unwrap();
    chown(&by_another, Some(1234), Some(1234)).unwrap();
    fs::set_permissions(&by_another, fs::Permissions::from_mode(0o000)).unwrap();
    by_root
}

/// On a thread of this user's, as all threads are that it starts.
fn as_nobody<T: Send + 'static>(deed: impl Future<Output = T> + Send + 'static) -> T {
    let uid = rustix::process::Uid::from_raw(NOBODY);
    let thread = std::thread::spawn(move || {
        rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(deed)
    });
    thread.join().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_container_wrote_as_another_user_goes_with_its_job() {
    let Some(engine) = engine() else { return };
    let stage = Stage::new();
    let (door, by_root) = (door(&stage, engine.clone()), written(&stage));
    let own = stage.dir.path().join("photographs");
    fs::create_dir(&own).unwrap();
    fs::write(own.join("cat.jpg"), "cat").unwrap();
    std::os::unix::fs::symlink(&own, by_root.join("link")).unwrap();
    let data = stage.data();

    let without = as_nobody({
        let data = data.clone();
        async move { sweep(&data, None, Duration::ZERO).await }
    });
    let stays = by_root.join("words").exists();
    let swept = as_nobody(async move { sweep(&data, Some(&door), Duration::ZERO).await });

    assert_eq!((without, stays), (Err(WorkFault::FilesLeft { left: 1 }), true));
    assert_eq!(swept, Ok(()));
    assert_eq!(fs::read_dir(stage.data().join("alloc")).unwrap().count(), 0);
    assert!(own.join("cat.jpg").exists(), "what a job linked to is not its own");
    let engine = Engine::at(Some(&engine), REMOVED_WITHIN).unwrap();
    assert!(engine.image(IMAGE).await.unwrap().is_none(), "and nothing of ours stays in the engine");
    assert_eq!(engine.containers(&Scope::new(&stage.data())).await, Ok(Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_container_wrote_as_another_user_goes_while_the_agent_runs_on() {
    let Some(engine) = engine() else { return };
    let stage = Stage::new();
    let door = door(&stage, engine);
    written(&stage);
    let data = stage.data();

    let gone = as_nobody(async move { clear::one(&data, Some(&door), ALLOC).await });

    assert!(gone && !stage.data().join("alloc").join(ALLOC).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_never_answers_leaves_such_files_to_the_next_sweep() {
    let stage = Stage::new();
    let socket = stage.dir.path().join("engine.sock");
    let _silent = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let began = Instant::now();

    let removed = remove(&Scope::new(&stage.data()), Some(&socket), Some(ALLOC)).await;

    assert_eq!(removed, Err(WorkFault::EngineDown));
    assert!(began.elapsed() < REMOVED_WITHIN, "it was waited for as long as the engine liked");
}
