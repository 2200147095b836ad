//! A PC with the double for a driver.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ionet_core::fault::GpuFault;
use ionet_core::hardware::{CardState, CardTrouble, Gpu};
use ionet_sensors::{Cards, Search};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longer than any machine is slow.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// The double keeps one script for the process, so one test at a time is on stage.
static ALONE: Mutex<()> = Mutex::new(());

static FILES: LazyLock<[PathBuf; 2]> = LazyLock::new(|| {
    let named = |what: &str| std::env::temp_dir().join(format!("ionet-nvml-{what}-{}", std::process::id()));
    let files = [named("script"), named("journal")];
    // SAFETY: the tests hold `ALONE`, and only the double reads the environment while they do.
    unsafe {
        std::env::set_var("IONET_NVML_SCRIPT", &files[0]);
        std::env::set_var("IONET_NVML_JOURNAL", &files[1]);
    }
    files
});

pub(crate) struct Stage {
    pub(crate) root: TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Stage {
    /// A PC with one card on its bus.
    pub(crate) fn with(script: Value) -> Self {
        let stage = Self { _alone: alone(), root: TempDir::new().unwrap() };
        stage.put_on_bus("0000:01:00.0", "0x10de", "0x030000");
        stage.play(script);
        stage
    }

    pub(crate) fn play(&self, script: Value) {
        // At once: a thread that hangs may be reading.
        let written = FILES[0].with_extension("new");
        fs::write(&written, script.to_string()).unwrap();
        fs::rename(written, &FILES[0]).unwrap();
    }

    pub(crate) fn cards(&self) -> Cards {
        self.cards_of(double(), LONG)
    }

    pub(crate) fn cards_of(&self, library: PathBuf, patience: Duration) -> Cards {
        Cards::new(Search { libraries: vec![library], root: self.root.path().to_owned(), patience })
    }

    pub(crate) fn fault(&self) -> Option<GpuFault> {
        self.cards().look().err()
    }

    pub(crate) fn put_on_bus(&self, address: &str, vendor: &str, class: &str) {
        let device = self.device(address);
        fs::create_dir_all(device.join("power")).unwrap();
        for (file, text) in [("vendor", vendor), ("class", class), ("power/control", "on")] {
            fs::write(device.join(file), format!("{text}\n")).unwrap();
        }
        self.power(address, "active");
    }

    pub(crate) fn power(&self, address: &str, status: &str) {
        fs::write(self.device(address).join("power/runtime_status"), format!("{status}\n")).unwrap();
    }

    pub(crate) fn device(&self, address: &str) -> PathBuf {
        self.root.path().join("sys/bus/pci/devices").join(address)
    }

    /// What was asked since this was last called.
    pub(crate) fn asked(&self) -> Vec<String> {
        let journal = fs::read_to_string(&FILES[1]).unwrap_or_default();
        let _ = fs::remove_file(&FILES[1]);
        journal.lines().map(str::to_owned).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for file in &*FILES {
            let _ = fs::remove_file(file);
        }
    }
}

pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Cargo puts the library of a dependency beside the tests' own programs or one folder above.
pub(crate) fn double() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let library = program.ancestors().skip(1).take(2).map(|folder| folder.join("libnvml_double.so"));
    library.into_iter().find(|path| path.is_file()).expect("libnvml_double.so lies beside the tests")
}

pub(crate) const SMALL: &str = "GPU-aaaaaaaa-0000-4000-8000-000000000001";
pub(crate) const LARGE: &str = "GPU-bbbbbbbb-0000-4000-8000-000000000002";

pub(crate) fn small() -> Value {
    json!({
        "name": "NVIDIA GeForce RTX 3060", "uuid": SMALL, "pci": "00000000:01:00.0",
        "memory_mb": 12288, "temperature_c": 44,
    })
}

pub(crate) fn large() -> Value {
    json!({
        "name": "NVIDIA GeForce RTX 4090", "uuid": LARGE, "pci": "00000000:02:00.0",
        "memory_mb": 24564, "temperature_c": 77,
    })
}

/// `card` with these fields changed.
pub(crate) fn but(mut card: Value, changes: Value) -> Value {
    for (field, value) in changes.as_object().unwrap() {
        card[field] = value.clone();
    }
    card
}

pub(crate) fn out(trouble: CardTrouble) -> CardState {
    CardState::Out { trouble }
}

pub(crate) fn states(gpus: &[Gpu]) -> Vec<(&str, CardState)> {
    gpus.iter().map(|gpu| (gpu.uuid.as_str(), gpu.state)).collect()
}

pub(crate) fn missing(folder: &Path) -> PathBuf {
    folder.join("libnvidia-ml.so.1")
}

/// A package's library: the file by its version, and the link that programs load.
pub(crate) fn install(folder: &Path, version: &str) {
    let file = folder.join(format!("libnvidia-ml.so.{version}"));
    fs::copy(double(), &file).unwrap();
    let link = missing(folder);
    let _ = fs::remove_file(&link);
    symlink(&file, &link).unwrap();
}
