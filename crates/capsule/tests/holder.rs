//! A holder as the resident program has it: a process of its own, asked over its socket.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "these are tests, their helpers too")]
#![expect(clippy::print_stdout, reason = "a test that is left out says so")]

#[expect(dead_code, reason = "another test uses the rest of it")]
mod held;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use held::{PROGRAM, inside, inventory, lacks, nothing_left, wait};
use ionet_agent::guard::Guard;
use ionet_capsule::holder::Holder;
use ionet_capsule::place::Jobs;
use ionet_capsule::{Fault, Programs, Wish};
use tokio::process::Command;

const WITHIN: Duration = Duration::from_secs(30);

fn wish() -> Wish {
    Wish { disk: Some(2 << 30), memory: None, rate: None, granted: Vec::new(), led: Vec::new() }
}

/// Where a holder is to be, and nobody is yet.
struct There {
    dir: tempfile::TempDir,
    run: PathBuf,
    holder: Holder,
}

impl There {
    /// None, and said, where no capsule can be had.
    fn new() -> Option<Self> {
        if let Some(needs) = lacks() {
            println!("skipped: needs {needs}");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        Some(Self { holder: Holder::at(&run), dir, run })
    }
}

/// How a holder of that name is started there.
fn serve(name: &str, there: &Path, more: &[&str]) -> Command {
    let mut command = asked_to("serve", name, there);
    command.args(more);
    command
}

fn asked_to(deed: &str, name: &str, there: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args([deed, "--name", name]);
    command.arg("--folder").arg(there.join("disk")).arg("--run").arg(there.join("run"));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_opens_freezes_and_ends_a_capsule_as_it_is_asked_and_goes_when_there_is_nothing_to_hold() {
    let Some(There { dir, run, holder }) = There::new() else { return };
    let starts = || Some(serve("test-holder", dir.path(), &[]));
    assert!(holder.freeze(&Jobs::All).await.is_err(), "nobody is there");

    holder.open(&wish(), None, starts).await.unwrap();
    let (guard, _said) = Guard::reached(&run, WITHIN).await.unwrap();
    let first = inventory("test-holder", dir.path());
    holder.open(&wish(), None, || None).await.unwrap();
    assert_eq!(inventory("test-holder", dir.path()), first, "the same one goes on");
    holder.freeze(&Jobs::All).await.unwrap();
    holder.thaw(&Jobs::All).await.unwrap();
    let used = holder.used().await.unwrap();
    assert!(used.memory > 0 && used.disk.is_some_and(|(taken, of)| taken < of && of <= 2 << 30), "{used:?}");
    holder.freeze(&Jobs::All).await.unwrap();
    holder.end(|| None).await.unwrap();

    drop(guard);
    assert!(matches!(holder.freeze(&Jobs::All).await, Err(Fault::Failed { .. })), "no capsule is open");
    nothing_left("test-holder", dir.path());
    assert_eq!(sockets(&run), [""; 0], "its doors have gone with it");
    assert!(!holder.is_there().await, "a holder of nothing has gone");
}

/// What is the agent's program in there, once the first process has made it its world.
fn agent_in(name: &str) -> String {
    let there =
        |one: &i32| std::fs::read_to_string(format!("/proc/{one}/root{}", ionet_capsule::inside::AGENT));
    wait("the agent's program", || there(inside(name).first()?).ok())
}

/// A program of those words, whole at once.
fn program(there: &Path, words: &str) {
    let new = there.with_extension("new");
    std::fs::write(&new, words).unwrap();
    std::fs::rename(new, there).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capsule_goes_on_with_its_programs_and_another_edition_of_one_makes_a_new_capsule() {
    let Some(There { dir, holder, .. }) = There::new() else { return };
    let agent = dir.path().join("nomad");
    let named = Programs { agent: Some(agent.clone()), ..Programs::default() };
    let agent_inside = || agent_in("test-edition");
    program(&agent, "first");
    let starts = || Some(serve("test-edition", dir.path(), &[]));
    holder.open(&wish(), Some(&named), starts).await.unwrap();
    let first = inside("test-edition")[0];

    program(&agent, "second");
    assert_eq!(agent_inside(), "first", "nobody has asked for another");
    holder.open(&wish(), Some(&named), || None).await.unwrap();
    assert_eq!(agent_inside(), "second");
    let second = inside("test-edition")[0];
    assert_ne!(second, first);
    holder.open(&wish(), Some(&named), || None).await.unwrap();
    assert_eq!(inside("test-edition")[0], second, "the same one goes on");
    holder.end(|| None).await.unwrap();
    nothing_left("test-edition", dir.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_systems_service_lays_out_no_program_that_its_owner_names() {
    let Some(There { dir, holder, .. }) = There::new() else { return };
    program(&dir.path().join("nomad"), "the service's");
    let agent = dir.path().join("nomad").display().to_string();
    let service = ["--owner", "54321", "--agent", &agent];
    let starts = || Some(serve("test-service", dir.path(), &service));
    let named = Programs { agent: Some("/etc/shadow".into()), ..Programs::default() };

    let refused = holder.open(&wish(), Some(&named), starts).await.unwrap_err();

    assert!(matches!(&refused, Fault::Failed { step, .. } if step == "programs"), "{refused}");
    assert_eq!(inside("test-service"), [0; 0]);
    holder.open(&wish(), None, || None).await.unwrap();
    assert_eq!(agent_in("test-service"), "the service's");
    holder.end(|| None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_whose_program_was_replaced_goes_once_nothing_runs_that_is_wanted() {
    let Some(There { dir, holder, .. }) = There::new() else { return };
    let own = dir.path().join("ionet-capsule");
    let installed = || {
        let new = dir.path().join("new");
        // By another process: what this one writes to, none that is just being started by it may run.
        assert!(std::process::Command::new("cp").arg(PROGRAM).arg(&new).status().unwrap().success());
        std::fs::rename(new, &own).unwrap();
    };
    let starts = || {
        let mut service = Command::new(&own);
        service.args(serve("test-replaced", dir.path(), &["--stays", "yes"]).as_std().get_args());
        Some(service)
    };
    for ended_before in [false, true] {
        installed();
        let mut old = starts().unwrap().kill_on_drop(true).spawn().unwrap();
        while !holder.is_there().await {
            tokio::task::yield_now().await;
        }
        holder.open(&wish(), None, || None).await.unwrap();
        let first = inside("test-replaced");
        installed();
        holder.freeze(&Jobs::All).await.unwrap();
        assert_eq!(inside("test-replaced")[0], first[0], "what runs goes on");
        if ended_before {
            holder.end(|| None).await.unwrap();
        }

        // The one that goes is the one that was there before.
        holder.open(&wish(), None, starts).await.unwrap();

        assert!(wait("its end", || old.try_wait().unwrap()).success());
        assert_ne!(inside("test-replaced")[0], first[0]);
        installed();
        holder.end(|| None).await.unwrap();
        nothing_left("test-replaced", dir.path());
    }
}

/// One that takes another version's word for the end alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_does_not_understand_is_ended_and_the_next_one_opens() {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    let Some(There { dir, run, holder }) = There::new() else { return };
    std::fs::create_dir(&run).unwrap();
    let socket = ionet_capsule::holder::socket(&run);
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let other = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut line = String::new();
            BufReader::new(&mut stream).read_line(&mut line).await.unwrap();
            if line.contains("\"end\"") {
                std::fs::remove_file(socket).unwrap();
                return stream.write_all(b"{\"say\":\"done\"}\n").await.unwrap();
            }
        }
    });

    holder.open(&wish(), None, || Some(serve("test-other", dir.path(), &[]))).await.unwrap();

    other.await.unwrap();
    holder.end(|| None).await.unwrap();
    nothing_left("test-other", dir.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_holder_that_was_killed_has_left_is_swept() {
    let Some(There { dir, run, holder }) = There::new() else { return };
    let mut killed = serve("test-killed", dir.path(), &[]).spawn().unwrap();
    while !holder.is_there().await {
        tokio::task::yield_now().await;
    }
    holder.open(&wish(), None, || None).await.unwrap();
    holder.freeze(&Jobs::All).await.unwrap();
    killed.kill().await.unwrap();
    assert_ne!(sockets(&run), [""; 0]);

    holder.end(|| Some(asked_to("sweep", "test-killed", dir.path()))).await.unwrap();

    nothing_left("test-killed", dir.path());
    assert_eq!(sockets(&run), [""; 0]);
}

/// What can still be knocked at there.
fn sockets(run: &Path) -> Vec<String> {
    let names =
        std::fs::read_dir(run).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".sock")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capsule_whose_owners_program_does_not_come_back_ends_although_its_jobs_are_frozen() {
    let Some(There { dir, run, holder }) = There::new() else { return };
    holder.open(&wish(), None, || Some(serve("test-alone", dir.path(), &["--alone", "1"]))).await.unwrap();
    let (guard, _said) = Guard::reached(&run, WITHIN).await.unwrap();
    holder.freeze(&Jobs::All).await.unwrap();

    drop(guard);

    nothing_left("test-alone", dir.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capsule_that_its_owners_program_has_no_agent_in_ends_although_that_program_stays() {
    let Some(There { dir, run, holder }) = There::new() else { return };
    let starts = || Some(serve("test-idle", dir.path(), &["--alone", "1"]));
    holder.open(&wish(), None, starts).await.unwrap();
    let (guard, _said) = Guard::reached(&run, WITHIN).await.unwrap();
    assert_eq!(holder.used().await.unwrap().jobs, 0);

    guard.let_go().await;

    let deadline = std::time::Instant::now() + WITHIN;
    while holder.used().await.is_ok() {
        assert!(std::time::Instant::now() < deadline, "it is open and idle");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    holder.end(|| None).await.unwrap();
    nothing_left("test-idle", dir.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_its_owner_and_root_speaks_with_a_holder() {
    const STRANGER: u32 = 54_322;
    let Some(There { dir, holder, .. }) = There::new() else { return };
    holder.open(&wish(), None, || Some(serve("test-stranger", dir.path(), &[]))).await.unwrap();
    for folder in [dir.path(), &dir.path().join("run")] {
        std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let socket = dir.path().join("run/hold.sock");
    std::fs::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();

    // Root's word is the last: with it the holder goes.
    let asks = |user| asked_by(user, &socket, "end");
    assert_eq!(asks(STRANGER).trim(), "came", "not a word");
    assert!(asks(0).contains("done"));
}

/// What that user hears of a holder, by the system's Python.
fn asked_by(user: u32, socket: &Path, ask: &str) -> String {
    let script = format!(
        "import socket; s = socket.socket(socket.AF_UNIX); s.settimeout(20); s.connect('{}'); \
         print('came', flush=True); s.sendall(b'{{\"ask\":\"{ask}\"}}\\n'); print(s.recv(100).decode())",
        socket.display()
    );
    let user = user.to_string();
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "/usr/bin/python3", "-c", &script]);
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_systems_service_has_the_owner_that_an_administrator_named_and_nobody_else_takes_their_place() {
    const OWNER: u32 = 54_321;
    const STRANGER: u32 = 54_322;
    let Some(There { dir, holder, .. }) = There::new() else { return };
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let service = ["--stays", "yes", "--owner", "54321"];
    let _serving = serve("test-owner", dir.path(), &service).kill_on_drop(true).spawn().unwrap();
    while !holder.is_there().await {
        tokio::task::yield_now().await;
    }
    let socket = ionet_capsule::holder::socket(&dir.path().join("run"));

    assert!(asked_by(OWNER, &socket, "use").contains("no capsule is open"), "they are heard");
    assert_eq!(asked_by(STRANGER, &socket, "use"), "", "they do not even come to it");
    let takes_away = format!(
        "rm -f {0}; ln -s / {1}/root; mv {1} {1}-mine",
        socket.display(),
        dir.path().join("run").display()
    );
    let mut owner = std::process::Command::new("setpriv");
    owner.args(["--reuid", "54321", "--regid", "54321", "--clear-groups", "sh", "-c", &takes_away]);
    assert!(!owner.output().unwrap().status.success());
    assert!(holder.is_there().await && !dir.path().join("run/root").exists());
    let second = serve("test-owner", dir.path(), &["--owner", "54322"]).output().await.unwrap();
    assert!(!second.status.success(), "one owner at a time");
    let sweep = asked_to("sweep", "test-owner", dir.path()).output().await.unwrap();
    assert!(!sweep.status.success(), "it is held");
    assert!(asked_by(OWNER, &socket, "use").contains("no capsule is open"));
}
