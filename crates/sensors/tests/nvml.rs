//! What `ionet-sensors` expects of NVML, held to the double and, where there is one, to a real driver.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "these are tests, their helpers too")]

use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use ionet_core::fault::GpuFault;
use ionet_core::hardware::{Driver, GpuProcess};
use ionet_core::time::Bytes;
use ionet_sensors::{Gpus, MINIMUM_DRIVER, Search};
use serde_json::{Value, json};
use tempfile::TempDir;

#[test]
fn one_ordinary_card_is_described_whole() {
    let stage = Stage::with(json!({}));

    let hardware = stage.open().unwrap().hardware().unwrap();

    assert_eq!(
        hardware.driver,
        Driver { version: "571.24-double".into(), cuda: "12.8".into(), double: true }
    );
    let [gpu] = &hardware.gpus[..] else { panic!("{:?}", hardware.gpus) };
    assert_eq!(gpu.name, "NVIDIA GeForce RTX 4090");
    assert_eq!(gpu.memory, Bytes(24564 << 20));
    assert_eq!((gpu.index, gpu.pci.as_str()), (0, "00000000:01:00.0"));
    assert_eq!(gpu.uuid, "GPU-00000000-0000-4000-8000-000000000000");
    assert_eq!(gpu.sample.temperature_c, Some(41));
    assert_eq!(gpu.sample.power_mw, Some(23_500));
    assert_eq!(gpu.sample.utilisation_percent, Some(0));
    assert_eq!(gpu.sample.memory_used, Some(Bytes(512 << 20)));
    assert!(hardware.cpu.threads > 0 && hardware.memory.0 > 0 && hardware.os.family == "linux");
}

#[test]
fn a_running_handle_sees_what_changes() {
    let stage = Stage::with(json!({"cards": [{"temperature_c": 41}]}));
    let gpus = stage.open().unwrap();
    assert_eq!(gpus.sample().unwrap()[0].temperature_c, Some(41));

    stage.play(json!({"cards": [{"temperature_c": 83}]}));

    assert_eq!(gpus.sample().unwrap()[0].temperature_c, Some(83));
}

#[test]
fn a_question_that_a_card_does_not_answer_stays_empty() {
    let silent = json!({
        "name": null, "pci": null, "memory_mb": null, "temperature_c": null, "power_mw": null,
        "utilisation_percent": null, "processes": null,
    });
    let stage = Stage::with(json!({"cuda": null, "cards": [silent]}));

    let hardware = stage.open().unwrap().hardware().unwrap();

    assert_eq!(hardware.driver.cuda, "");
    let gpu = &hardware.gpus[0];
    assert_eq!((gpu.name.as_str(), gpu.memory, gpu.pci.as_str()), ("NVIDIA GPU", Bytes(0), ""));
    assert_eq!(gpu.sample, ionet_core::hardware::GpuSample::default());
}

#[test]
fn a_process_that_computes_and_draws_is_listed_once() {
    let stage = Stage::with(json!({"cards": [{"processes": [
        {"pid": 30, "memory_mb": 300, "kind": "both"},
        {"pid": 10, "memory_mb": null, "kind": "graphics"},
        {"pid": 20, "memory_mb": 200},
    ]}]}));

    let samples = stage.open().unwrap().sample().unwrap();

    let process =
        |pid, memory: Option<u64>| GpuProcess { pid, memory_used: memory.map(|mb| Bytes(mb << 20)) };
    assert_eq!(samples[0].processes, [process(10, None), process(20, Some(200)), process(30, Some(300))]);
}

#[test]
fn hundreds_of_processes_fit_into_the_list() {
    let many: Vec<Value> = (1..=400).map(|pid| json!({"pid": pid, "memory_mb": 1})).collect();
    let stage = Stage::with(json!({"cards": [{"processes": many}]}));

    let samples = stage.open().unwrap().sample().unwrap();

    assert_eq!(samples[0].processes.len(), 400);
}

#[test]
fn a_card_that_falls_off_the_bus_keeps_its_place_among_the_samples() {
    let stage = Stage::with(json!({"cards": [{"temperature_c": 40}, {"temperature_c": 50}]}));
    let gpus = stage.open().unwrap();

    stage.play(json!({"cards": [{"lost": true}, {"temperature_c": 51}]}));

    let temperatures: Vec<_> = gpus.sample().unwrap().iter().map(|sample| sample.temperature_c).collect();
    assert_eq!(temperatures, [None, Some(51)]);
    let left: Vec<_> = gpus.hardware().unwrap().gpus.iter().map(|gpu| gpu.index).collect();
    assert_eq!(left, [1]);
}

#[test]
fn when_every_card_is_gone_the_driver_is_called_broken() {
    let stage = Stage::with(json!({}));
    let gpus = stage.open().unwrap();

    stage.play(json!({"cards": [{"lost": true}]}));

    let fault = GpuFault::DriverBroken("the card has fallen off the bus".into());
    assert_eq!(gpus.sample(), Err(fault.clone()));
    assert_eq!(gpus.hardware().err(), Some(fault));
}

#[test]
fn a_library_that_is_not_there_means_no_driver_only_where_there_is_a_card() {
    let stage = Stage::with(json!({}));
    let missing = stage.folder.path().join("libnvidia-ml.so.1");

    let on = |pci: PathBuf| Gpus::find(&Search { library: missing.clone(), pci }).err();

    assert_eq!(on(stage.bus("0x10de", "0x030000")), Some(GpuFault::DriverMissing));
    assert_eq!(on(stage.bus("0x10de", "0x040300")), Some(GpuFault::NoGpu), "only its sound function");
    assert_eq!(on(stage.bus("0x1002", "0x030000")), Some(GpuFault::NoGpu), "another maker's card");
    assert_eq!(on(stage.folder.path().join("no-such-bus")), Some(GpuFault::DriverMissing));
}

#[test]
fn a_library_that_cannot_be_loaded_is_a_broken_driver() {
    let stage = Stage::with(json!({}));
    let library = stage.folder.path().join("libnvidia-ml.so.1");
    std::fs::write(&library, "not a library").unwrap();

    let fault = Gpus::open_at(&library).err();

    assert_eq!(fault, Some(GpuFault::DriverBroken("its management library cannot be loaded".into())));
}

#[test]
fn a_driver_that_is_not_loaded_is_broken_where_there_is_a_card() {
    let stage = Stage::with(json!({"init": 9}));

    let fault = stage.open().err();

    assert_eq!(fault, Some(GpuFault::DriverBroken("it is not loaded".into())));
    let pci = stage.bus("0x1002", "0x030000");
    assert_eq!(Gpus::find(&Search { library: double(), pci }).err(), Some(GpuFault::NoGpu));
}

#[test]
fn a_driver_replaced_under_its_library_asks_for_a_restart() {
    let stage = Stage::with(json!({"init": 18}));

    let Some(GpuFault::DriverBroken(why)) = stage.open().err() else { panic!("not called broken") };

    assert!(why.contains("restart"), "{why}");
}

#[test]
fn any_other_code_at_start_is_a_broken_driver_and_no_crash() {
    for code in (1..=30).chain([999, u32::MAX]).filter(|code| ![9, 18].contains(code)) {
        let stage = Stage::with(json!({"init": code}));

        let fault = stage.open().err();

        assert!(matches!(fault, Some(GpuFault::DriverBroken(_))), "code {code} gave {fault:?}");
    }
}

#[test]
fn an_old_driver_is_named_with_what_is_needed() {
    let stage = Stage::with(json!({"driver": "470.256.02"}));

    let fault = stage.open().err();

    let needed = MINIMUM_DRIVER.to_string();
    assert_eq!(fault, Some(GpuFault::DriverTooOld { found: "470.256.02".into(), needed }));
}

#[test]
fn a_driver_without_cards_is_no_gpu() {
    let stage = Stage::with(json!({"cards": []}));

    assert_eq!(stage.open().err(), Some(GpuFault::NoGpu));
}

/// The same expectations, whatever answers. Nothing here depends on which card it is.
fn expect_sound_answers(gpus: &Gpus) {
    let hardware = gpus.hardware().unwrap();
    assert!(!hardware.gpus.is_empty());
    for gpu in &hardware.gpus {
        assert!(gpu.uuid.starts_with("GPU-") && gpu.uuid.len() == 40, "{}", gpu.uuid);
        assert!(!gpu.name.is_empty() && gpu.memory.0 > 1 << 30, "{gpu:?}");
        assert!(gpu.pci.len() >= 12 && gpu.pci.ends_with('0'), "{}", gpu.pci);
        let sample = &gpu.sample;
        assert!(sample.memory_used.is_none_or(|used| used <= gpu.memory), "{sample:?}");
        assert!(sample.temperature_c.is_none_or(|celsius| (1..150).contains(&celsius)), "{sample:?}");
        assert!(sample.utilisation_percent.is_none_or(|percent| percent <= 100), "{sample:?}");
    }
    let (major, minor) = hardware.driver.cuda.split_once('.').unwrap();
    assert!(major.parse::<u32>().unwrap() >= 12 && minor.parse::<u32>().is_ok(), "{:?}", hardware.driver);
    assert_eq!(gpus.sample().unwrap().len(), hardware.gpus.len());
}

#[test]
fn the_double_answers_as_a_driver_does() {
    let stage = Stage::with(json!({"cards": [{}, {}]}));

    expect_sound_answers(&stage.open().unwrap());
}

#[test]
fn a_real_driver_answers_as_the_double_does() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    match Gpus::open() {
        Ok(gpus) if !gpus.driver().double => {
            expect_sound_answers(&gpus);
            assert!(Path::new("/proc/driver/nvidia").exists() || Path::new("/dev/dxg").exists());
        }
        Ok(_) | Err(_) if std::env::var_os("IONET_REAL_NVML").is_none() => {
            println!("skipped: needs an NVIDIA driver");
        }
        Ok(_) => panic!("IONET_REAL_NVML is set, but the double answered"),
        Err(fault) => panic!("IONET_REAL_NVML is set, but {fault}"),
    }
}

/// The double keeps one script for the process, so one test at a time is on stage.
static ALONE: Mutex<()> = Mutex::new(());

static SCRIPT: LazyLock<PathBuf> = LazyLock::new(|| {
    let script = std::env::temp_dir().join(format!("ionet-nvml-script-{}.json", std::process::id()));
    // SAFETY: the tests hold `ALONE`, and only the double reads the environment while they do.
    unsafe { std::env::set_var("IONET_NVML_SCRIPT", &script) };
    script
});

struct Stage {
    folder: TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Stage {
    fn with(script: Value) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let stage = Self { folder: TempDir::new().unwrap(), _alone: alone };
        stage.play(script);
        stage
    }

    fn play(&self, script: Value) {
        std::fs::write(&*SCRIPT, script.to_string()).unwrap();
    }

    /// The double, in a PC with a card.
    fn open(&self) -> Result<Gpus, GpuFault> {
        Gpus::find(&Search { library: double(), pci: self.bus("0x10de", "0x030000") })
    }

    /// A PCI bus with one device on it.
    fn bus(&self, vendor: &str, class: &str) -> PathBuf {
        let bus = self.folder.path().join(format!("pci-{vendor}-{class}"));
        let device = bus.join("0000:01:00.0");
        std::fs::create_dir_all(&device).unwrap();
        std::fs::write(device.join("vendor"), format!("{vendor}\n")).unwrap();
        std::fs::write(device.join("class"), format!("{class}\n")).unwrap();
        bus
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&*SCRIPT);
    }
}

/// Cargo puts the library of a dependency beside the tests' own programs or one folder above.
fn double() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let library = program.ancestors().skip(1).take(2).map(|folder| folder.join("libnvml_double.so"));
    library.into_iter().find(|path| path.is_file()).expect("libnvml_double.so lies beside the tests")
}
