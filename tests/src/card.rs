//! The graphics card of a PC that has none: the NVML double, put where the loader looks first.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::pc::Pc;

/// The card that the double plays.
pub const NAME: &str = "NVIDIA GeForce RTX 4090";

pub fn is_real() -> bool {
    Path::new("/dev/nvidia0").exists()
}

/// What the double reads on every question.
pub fn script(folder: &Path) -> PathBuf {
    folder.join("script.json")
}

/// Gives `pc` the double's card; `folder` gets the library and its script.
pub fn put(pc: &mut Pc, folder: &Path, programs: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let places = ["libnvml_double.so", "deps/libnvml_double.so"].map(|name| programs.join(name));
    let double = places.iter().find(|file| file.is_file()).context("nvml-double is not built")?;
    std::fs::copy(double, folder.join("libnvidia-ml.so.1"))?;
    std::fs::write(script(folder), serde_json::to_vec(&serde_json::json!({"cards": [{"name": NAME}]}))?)?;
    pc.set("LD_LIBRARY_PATH", &folder.to_string_lossy());
    pc.set("IONET_NVML_SCRIPT", &script(folder).to_string_lossy());
    Ok(())
}
