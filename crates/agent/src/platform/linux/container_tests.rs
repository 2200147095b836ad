//! Processes of containers, as a guard sees them: in a control group that is named after the container, and perhaps
//! another user's.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ionet_core::fault::WorkFault;
use rustix::process::Uid;
use rustix::thread::set_thread_res_uid;

use super::containers::Pausing;
use super::processes::{self, Scope};
use super::stage::{Stage, until};
use super::work;
use super::work_tests::FakeEngine;

/// A control group of that name.
struct Group(PathBuf);

impl Group {
    /// None where this user may make none.
    fn new(name: &str) -> Option<Self> {
        let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
        let group = roots.into_iter().find(|root| root.join("cgroup.procs").exists())?.join(name);
        if fs::create_dir(&group).is_err() {
            eprintln!("skipped: needs control groups");
            return None;
        }
        Some(Self(group))
    }

    fn take(&self, pid: u32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// A process in a control group of that name.
struct Contained {
    group: Group,
    process: Child,
}

impl Contained {
    /// None where this user may make no control group.
    fn start(id: &str) -> Option<Self> {
        let group = Group::new(id)?;
        let process = Command::new("/bin/sleep").arg("600").spawn().unwrap();
        group.take(process.id());
        Some(Self { group, process })
    }

    /// As an engine pauses a container.
    async fn pause(&self) {
        fs::write(self.group.0.join("cgroup.freeze"), "1").unwrap();
        let events = self.group.0.join("cgroup.events");
        until("the pause", || fs::read_to_string(&events).unwrap().contains("frozen 1")).await;
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        let _ = fs::write(self.group.0.join("cgroup.freeze"), "0");
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn scope(stage: &Stage, id: &str) -> Scope {
    let mut scope = Scope::new(&stage.data());
    scope.know(Arc::new(Mutex::new(BTreeSet::from([id.to_owned()]))));
    scope
}

async fn look(scope: &Scope, docker: Option<&Path>) -> (bool, Result<(), WorkFault>) {
    work::freeze_once(scope.clone(), docker, &Pausing::default(), Arc::default()).await
}

#[tokio::test]
async fn a_container_that_its_engine_paused_first_is_frozen() {
    let id = format!("ionet-paused-{}", std::process::id());
    let Some(contained) = Contained::start(&id) else { return };
    let stage = Stage::new();
    contained.pause().await;

    assert_eq!(look(&scope(&stage, &id), None).await, (true, Ok(())));
    // One that wakes for its signal, only to go on waiting, may be met awake.
    while look(&scope(&stage, &id), None).await != (false, Ok(())) {}
}

/// Nomad's own executor is in its task's group as it starts that, on the older control groups, and leaves it then.
#[tokio::test]
async fn who_says_to_be_an_executor_in_a_jobs_group_is_frozen_and_one_that_left_it_frozen_goes_on_at_a_thaw()
{
    // Of an allocation of its own: what other tests have frozen of theirs stays so.
    const OWN: &str = "51a7e0c4-7f5e-4a53-9c53-0f2b7c1d9e66";
    let (id, other) = (format!("ionet-liar-{}", std::process::id()), format!("{OWN}.t"));
    let (Some(container), Some(job)) = (Group::new(&id), Group::new(&other)) else { return };
    let mut stage = Stage::new();
    let data = stage.data();
    fs::create_dir_all(data.join("alloc").join(OWN)).unwrap();
    let said = [stage.executor(&data, "sleep 600; true"), stage.executor(&data, "sleep 600; true")];
    stage.until_tasks(2).await;
    container.take(said[0]);
    job.take(said[1]);
    let scope = scope(&stage, &id);
    let frozen = |pid| processes::row(pid as i32).is_some_and(|row| row.is_frozen() || row.is_to_stop());

    assert_eq!(look(&scope, None).await, (true, Ok(())));

    assert!(said.iter().all(|pid| frozen(*pid)));
    let root = container.0.parent().unwrap().join("cgroup.procs");
    said.iter().for_each(|pid| fs::write(&root, pid.to_string()).unwrap());
    assert_eq!(work::thaw_scope(scope, None).await, Ok(()));
    until("going on", || !said.iter().any(|pid| frozen(*pid))).await;
}

#[test]
fn a_container_of_another_users_processes_is_its_engines_to_freeze_to_thaw_and_to_end() {
    let id = format!("ionet-foreign-{}", std::process::id());
    let Some(_contained) = Contained::start(&id) else { return };
    let ordinary = std::thread::spawn(move || {
        let nobody = Uid::from_raw(65_534);
        set_thread_res_uid(nobody, nobody, nobody).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(is_left_to_its_engine(&id));
    });
    ordinary.join().unwrap();
}

/// What an ordinary user's guard can do about a container whose processes are root's.
async fn is_left_to_its_engine(id: &str) {
    let stage = Stage::new();
    let _engine = FakeEngine::start(&stage);
    let (scope, socket) = (scope(&stage, id), stage.dir.path().join("docker.sock"));
    let docker = Some(socket.as_path());

    assert_eq!(look(&scope, None).await, (false, Err(WorkFault::NotPermitted)), "no engine, no other way");
    assert_eq!(look(&scope, docker).await, (true, Ok(())));
    assert_eq!(look(&scope, docker).await, (false, Ok(())), "paused already: no reason to look at once");
    assert_eq!(work::thaw_scope(scope.clone(), docker).await, Ok(()));
    let swept = work::sweep_scope(scope, docker, Duration::ZERO).await;
    assert_eq!(swept, Err(WorkFault::StillThere { left: 1 }), "what is left, not who was asked");
}
