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

use super::processes::Scope;
use super::stage::{Stage, until};
use super::work;
use super::work_tests::FakeEngine;

/// A process in a control group of that name.
struct Contained {
    group: PathBuf,
    process: Child,
}

impl Contained {
    /// None where this user may make no control group.
    fn start(id: &str) -> Option<Self> {
        let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
        let group = roots.into_iter().find(|root| root.join("cgroup.procs").exists())?.join(id);
        if fs::create_dir(&group).is_err() {
            eprintln!("skipped: needs control groups");
            return None;
        }
        let process = Command::new("/bin/sleep").arg("600").spawn().unwrap();
        fs::write(group.join("cgroup.procs"), process.id().to_string()).unwrap();
        Some(Self { group, process })
    }

    /// As an engine pauses a container.
    async fn pause(&self) {
        fs::write(self.group.join("cgroup.freeze"), "1").unwrap();
        let events = self.group.join("cgroup.events");
        until("the pause", || fs::read_to_string(&events).unwrap().contains("frozen 1")).await;
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        let _ = fs::write(self.group.join("cgroup.freeze"), "0");
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir(&self.group);
    }
}

fn scope(stage: &Stage, id: &str) -> Scope {
    let mut scope = Scope::new(&stage.data());
    scope.know(Arc::new(Mutex::new(BTreeSet::from([id.to_owned()]))));
    scope
}

async fn look(scope: &Scope, docker: Option<&Path>) -> (bool, Result<(), WorkFault>) {
    work::freeze_once(scope.clone(), docker, Arc::default()).await
}

#[tokio::test]
async fn a_container_that_its_engine_paused_first_is_frozen() {
    let id = format!("ionet-paused-{}", std::process::id());
    let Some(contained) = Contained::start(&id) else { return };
    let stage = Stage::new();
    contained.pause().await;

    assert_eq!(look(&scope(&stage, &id), None).await, (true, Ok(())));
    assert_eq!(look(&scope(&stage, &id), None).await, (false, Ok(())), "nothing more to do");
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
