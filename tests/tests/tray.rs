//! The real program beside tray hosts that are not there, err at first, or go and come back. It needs a message bus and no
//! more of a desktop.

#![expect(clippy::print_stdout, reason = "a test that is left out says so")]
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]
#![cfg(target_os = "linux")]

use std::path::Path;
use std::time::Duration;

use ionet_core::Phase;
use journeys::desktop::bus::Bus;
use journeys::desktop::tray::Tray;
use journeys::pc::{Pc, Resident};
use journeys::wait::until_seen;
use journeys::{files, needs, read};
use tempfile::TempDir;

/// Guards against hanging, and against nothing else.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the item says while nobody is signed in.
const TITLE: &str = "Welcome";

/// A PC with a message bus. Fields drop from the top.
struct Scene {
    resident: Option<Resident>,
    pc: Pc,
    tray: Tray,
    bus: Bus,
    _folder: TempDir,
}

impl Scene {
    /// No tray host is there yet, and no app runs.
    async fn set() -> Option<Self> {
        let programs = needs::programs().unwrap();
        let mut missing = needs::absent(&["dbus-daemon"]);
        if !programs.join("ionet-supplier").is_file() {
            missing.push("ionet-supplier (not built)".to_owned());
        }
        if !missing.is_empty() {
            println!("skipped: needs {}", missing.join(", "));
            return None;
        }
        let folder = tempfile::Builder::new().prefix("ionet-").tempdir_in("/tmp").unwrap();
        let runtime = folder.path().join("run");
        ionet_wire::paths::private_folder(&runtime).unwrap();
        let bus = Bus::start(&runtime).await.unwrap();
        let tray = Tray::absent(&bus.connect().await.unwrap()).await.unwrap();
        let variables = environment(folder.path(), &bus);
        let pc = Pc::without_a_cloud(folder.path(), &programs, variables).unwrap();
        Some(Self { resident: None, pc, tray, bus, _folder: folder })
    }

    async fn start(&mut self) {
        self.resident = Some(self.pc.resident("resident", &["run"]).unwrap());
        self.goes_on().await;
    }

    async fn goes_on(&self) {
        let welcome = |now: &_| *read::phase(now) == Phase::Welcome;
        self.pc.snapshot_with("nobody is signed in", PATIENCE, welcome).await.unwrap();
    }

    async fn has_its_item(&self) {
        self.tray.item(PATIENCE).await.unwrap();
        self.tray.titled(TITLE, PATIENCE).await.unwrap();
    }

    /// Whether its log has this, packed or not.
    fn says(&self, words: &str) -> bool {
        let logged = files::below(&self.pc.folders().logs).unwrap().into_iter().filter_map(|file| {
            let bytes = std::fs::read(&file).ok()?;
            if file.extension().is_some_and(|end| end == "gz") {
                files::unpacked(&bytes).ok()
            } else {
                Some(bytes)
            }
        });
        logged.into_iter().any(|text| files::has(&text, words.as_bytes()))
    }
}

fn environment(home: &Path, bus: &Bus) -> Vec<(String, String)> {
    let variables = [
        ("HOME", home.to_string_lossy().into_owned()),
        ("XDG_RUNTIME_DIR", bus.folder().to_string_lossy().into_owned()),
        ("DBUS_SESSION_BUS_ADDRESS", bus.address().to_owned()),
        ("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
    ];
    variables.map(|(name, value)| (name.to_owned(), value)).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_tray_host_the_app_says_so_goes_on_and_has_its_item_as_soon_as_one_comes() {
    let Some(mut scene) = Scene::set().await else { return };

    scene.start().await;
    let words = "no tray host: the window can be opened by starting the app again";
    until_seen("it says that there is none", PATIENCE, || Ok(scene.says(words).then_some(()))).await.unwrap();
    let asked = scene.pc.command(&["status"]).await.unwrap();
    let opened = scene.pc.command(&["open"]).await.unwrap();
    scene.tray.comes().await.unwrap();
    scene.has_its_item().await;

    assert_eq!((asked.status.code(), opened.status.code()), (Some(5), Some(0)), "{asked:?} {opened:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tray_host_that_errs_at_first_has_the_item_once_it_takes_it() {
    let Some(mut scene) = Scene::set().await else { return };
    scene.tray.refuse_times(2);
    scene.tray.comes().await.unwrap();

    scene.start().await;

    scene.has_its_item().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tray_host_that_goes_and_comes_back_has_the_item_again_also_where_it_errs_at_first() {
    let Some(mut scene) = Scene::set().await else { return };
    scene.tray.comes().await.unwrap();
    scene.start().await;
    scene.has_its_item().await;

    for refusals in [0, 1] {
        scene.tray.leaves().await.unwrap();
        scene.goes_on().await;
        scene.tray.refuse_times(refusals);
        scene.tray.comes().await.unwrap();

        scene.has_its_item().await;
    }
    scene.tray.click("Quit", PATIENCE, |line| line.label.trim() == "Quit").await.unwrap();

    assert_eq!(scene.resident.as_mut().unwrap().ended(PATIENCE).await.unwrap(), Some(0));
}

/// It keeps its place on the bus, as a half-loaded host does, so that nobody says that its answer will never come.
#[tokio::test(flavor = "multi_thread")]
async fn a_tray_host_that_never_answers_keeps_the_item_from_no_other_one() {
    let Some(mut scene) = Scene::set().await else { return };
    let silent = Tray::absent(&scene.bus.connect().await.unwrap()).await.unwrap();
    silent.fall_silent();
    silent.comes().await.unwrap();
    scene.start().await;

    silent.left_unanswered(1, PATIENCE).await.unwrap();
    silent.leaves().await.unwrap();
    scene.tray.comes().await.unwrap();
    scene.has_its_item().await;

    scene.tray.leaves().await.unwrap();
    silent.comes().await.unwrap();
    silent.left_unanswered(2, PATIENCE).await.unwrap();
    silent.leaves().await.unwrap();
    scene.tray.comes().await.unwrap();
    scene.has_its_item().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_without_the_addresses_of_io_net_says_that_it_ended_and_why() {
    let Some(scene) = Scene::set().await else { return };
    std::fs::remove_file(scene.pc.folders().config.join("endpoints.json")).unwrap();

    let opened = scene.pc.command(&[]).await.unwrap();
    let asked = scene.pc.command(&["run", "--headless"]).await.unwrap();

    let words = |said: &[u8]| String::from_utf8_lossy(said).into_owned();
    assert_eq!((opened.status.code(), asked.status.code()), (Some(1), Some(1)));
    assert!(words(&opened.stderr).contains("ended at once"), "{opened:?}");
    let why = words(&asked.stderr);
    assert!(why.contains("endpoints.json") && why.contains("install the app again"), "{why}");
    assert!(scene.says("supplier cannot start"));
}
