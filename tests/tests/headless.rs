//! The whole journey on a machine without a display, without D-Bus and without a keyring.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::path::Path;
use std::time::Duration;

use ionet_core::{Phase, Snapshot};
use ionet_stage::{Options, Stage};
use journeys::account::Account;
use journeys::pc::{Pc, Resident};
use journeys::wait::until;
use journeys::{card, needs};
use rustix::process::Signal;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// What such a machine's service manager gives a program.
fn environment(home: &Path) -> Vec<(String, String)> {
    let home = home.to_string_lossy().into_owned();
    let path = "/usr/local/bin:/usr/bin:/bin".to_owned();
    [("HOME", home), ("PATH", path), ("LANG", "C.UTF-8".to_owned())]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

struct DataCentre {
    // Ends before the stage does.
    resident: Resident,
    pc: Pc,
    stage: Stage,
    _root: tempfile::TempDir,
}

impl DataCentre {
    async fn start() -> Option<Self> {
        let programs = needs::programs().unwrap();
        let missing = needs::missing_for_headless(&programs);
        if !missing.is_empty() {
            eprintln!("skipped: needs {}", missing.join(", "));
            return None;
        }
        let root = tempfile::Builder::new().prefix("ionet-").tempdir_in("/tmp").unwrap();
        let mut options = Options::new(root.path().join("stage"));
        options.gateway = Some(programs.join("ionet-gateway"));
        let stage = Stage::start(options).await.unwrap();
        let notes = root.path().join("notes");
        let mut pc = Pc::new(&root.path().join("pc"), &notes, &programs, environment(root.path())).unwrap();
        pc.set("NOMAD", &stage.agent().path.to_string_lossy());
        stage.endpoints().install(pc.home()).unwrap();
        if !card::is_real() {
            card::put(&mut pc, &root.path().join("card"), &programs).unwrap();
        }
        let token = Account::sign_in(&stage.endpoints(), "alice", "demo").await.unwrap();
        let token_file = root.path().join("token");
        std::fs::write(&token_file, token.enrolment_token().await.unwrap().token).unwrap();
        let arguments =
            ["run", "--headless", "--enrolment-token-file", &token_file.to_string_lossy(), "--agree"];
        let resident = pc.resident("resident", &arguments).unwrap();
        Some(Self { resident, pc, stage, _root: root })
    }

    async fn phase(&self, what: &str, wanted: impl Fn(&Phase) -> bool) -> Snapshot {
        self.pc.snapshot_with(what, PATIENCE, |now| wanted(&now.phase)).await.unwrap()
    }

    async fn status(&self) -> (Option<i32>, Snapshot) {
        let output = self.pc.command(&["status", "--json"]).await.unwrap();
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
    }

    async fn command(&self, argument: &str) {
        let output = self.pc.command(&[argument]).await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    async fn live(&self, node: &str) -> Vec<Value> {
        let list = self.stage.nomad_get(&format!("/v1/node/{node}/allocations")).await.unwrap();
        let live = |one: &&Value| matches!(one["ClientStatus"].as_str(), Some("pending" | "running"));
        list.as_array().unwrap().iter().filter(live).cloned().collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_a_desktop_earns_pauses_resumes_and_ends_on_sigterm() {
    let Some(mut centre) = DataCentre::start().await else { return };

    let online = centre.phase("it is online", |phase| *phase == Phase::Waiting).await;
    let (online_code, told) = centre.status().await;
    centre.stage.submit_job(&ionet_stage::example_job("headless", false)).await.unwrap();
    centre.phase("it earns", |phase| *phase == Phase::Earning).await;
    let (earning_code, _) = centre.status().await;
    centre.command("pause").await;
    centre.phase("it is paused", |phase| matches!(phase, Phase::Paused { .. })).await;
    let (paused_code, paused) = centre.status().await;
    let node = online.node.unwrap().id;
    let held_while_paused = centre.live(&node).await;
    centre.command("resume").await;
    centre.phase("it earns again", |phase| *phase == Phase::Earning).await;
    journeys::processes::signal(centre.resident.pid().unwrap(), Signal::TERM).unwrap();
    let ended = centre.resident.ended(PATIENCE).await.unwrap();
    let after = centre.pc.command(&["status", "--json"]).await.unwrap();

    assert_eq!(
        (told.schema, told.node.map(|node| node.id)),
        (ionet_core::snapshot::SCHEMA, Some(node.clone()))
    );
    assert_eq!((online_code, earning_code, paused_code), (Some(0), Some(0), Some(4)));
    assert_eq!(held_while_paused, Vec::<Value>::new());
    assert!(paused.stage.is_none());
    assert_eq!(ended, Some(0));
    assert_eq!(after.status.code(), Some(3));
    centre.pc.nothing_left(PATIENCE, |_| true).await.unwrap();
    until("the region has nothing on this machine", PATIENCE, || async {
        Ok(centre.live(&node).await.is_empty().then_some(()))
    })
    .await
    .unwrap();
    let log = centre.pc.note("resident.out").unwrap();
    let lines = log.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count();
    assert!(lines > 3, "{log}");
    assert!(log.contains("Nothing of it is left") && log.contains("\"clean\":true"), "{log}");
    centre.stage.stop().await;
}

#[test]
fn the_resident_program_needs_no_toolkit() {
    let program = needs::programs().unwrap().join("ionet-supplier");
    if !program.is_file() {
        eprintln!("skipped: needs ionet-supplier (not built)");
        return;
    }

    let linked = std::process::Command::new("ldd").arg(program).output().unwrap();

    let linked = String::from_utf8_lossy(&linked.stdout).to_lowercase();
    assert!(linked.contains("libc.so"), "{linked}");
    for toolkit in ["gtk", "webkit", "gdk", "libx11", "libdbus", "appindicator"] {
        assert!(!linked.contains(toolkit), "{linked}");
    }
}
