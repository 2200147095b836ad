//! The window of the real program on a screen, when the process that draws its page ends.

#![expect(clippy::print_stdout, reason = "a test that is left out says so")]
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]
#![cfg(target_os = "linux")]

use std::time::Duration;

use ionet_core::Phase;
use journeys::desktop::Desktop;
use journeys::pc::{Pc, Resident};
use journeys::processes::{self, Process};
use journeys::wait::until_seen;
use journeys::window::{Window, web_view};
use journeys::{needs, read};
use rustix::process::Signal;
use tempfile::TempDir;

/// Guards against hanging, and against nothing else.
const PATIENCE: Duration = Duration::from_secs(60);

/// A PC with a screen, and the app's window on it. Fields drop from the top.
struct Scene {
    resident: Resident,
    _window: Window,
    pc: Pc,
    _desktop: Desktop,
    _folder: TempDir,
}

/// A PC with a screen, and nothing that runs on it.
async fn pc() -> Option<(Pc, Desktop, TempDir)> {
    let programs = needs::programs().unwrap();
    let missing = needs::missing(&programs);
    if !missing.is_empty() {
        println!("skipped: needs {}", missing.join(", "));
        return None;
    }
    let folder = tempfile::Builder::new().prefix("ionet-").tempdir_in("/tmp").unwrap();
    let screen = folder.path().join("desktop");
    std::fs::create_dir_all(&screen).unwrap();
    let desktop = Desktop::start(&screen).await.unwrap();
    let pc = Pc::without_a_cloud(folder.path(), &programs, desktop.environment()).unwrap();
    Some((pc, desktop, folder))
}

impl Scene {
    async fn set() -> Option<Self> {
        let (pc, desktop, folder) = pc().await?;
        let resident = pc.resident("resident", &["run"]).unwrap();
        let welcome = |now: &_| *read::phase(now) == Phase::Welcome;
        pc.snapshot_with("nobody is signed in", PATIENCE, welcome).await.unwrap();
        let window = Window::open(&pc).await.unwrap();
        window.shows(&["welcome"], PATIENCE).await.unwrap();
        Some(Self { resident, _window: window, pc, _desktop: desktop, _folder: folder })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_whose_page_loses_its_process_shows_it_again() {
    let Some(mut scene) = Scene::set().await else { return };
    let window = scene.pc.windows().pop().unwrap().pid;
    let drawing = web_view(window, PATIENCE).await.unwrap();

    processes::signal(drawing.pid, Signal::KILL).unwrap();

    let another = || {
        let all = processes::all();
        let family = processes::family(window, &all);
        let draws = |one: &Process| family.contains(&one.pid) && one.name() == "WebKitWebProcess";
        Ok(all.into_iter().find(|one| draws(one) && one.pid != drawing.pid))
    };
    until_seen("another process that draws it", PATIENCE, another).await.unwrap();
    assert_eq!(scene.pc.windows().pop().unwrap().pid, window);
    // WebDriver knows the page that was lost, and closes no other.
    processes::signal(window, Signal::TERM).unwrap();
    until_seen("the window's end", PATIENCE, || Ok(scene.pc.windows().is_empty().then_some(())))
        .await
        .unwrap();
    let ended = scene.pc.command(&["quit"]).await.unwrap();
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(scene.resident.ended(PATIENCE).await.unwrap(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_plays_a_scene_shows_no_pc_and_starts_nothing_for_it() {
    let Some((pc, _desktop, _folder)) = pc().await else { return };
    let window = Window::open_scene(&pc, "earnings-many").await.unwrap();

    window.field("earnings-total", PATIENCE).await.unwrap();
    let driver = window.driver_pid();
    window.close().await.unwrap();

    assert_eq!(pc.processes(driver), Vec::new());
}
