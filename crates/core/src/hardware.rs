//! What this PC is made of, and the tags its node carries.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::{Bytes, UnixMs};

/// What detection found. Read once at start and again on request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Hardware {
    pub gpus: Vec<Gpu>,
    pub driver: Driver,
    pub cpu: Cpu,
    pub memory: Bytes,
    pub disks: Vec<Disk>,
    pub os: Os,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Gpu {
    pub index: u32,
    /// NVML's own id, `GPU-…`; stable across driver updates and slots.
    pub uuid: String,
    pub name: String,
    pub memory: Bytes,
    /// PCI bus id as NVML prints it, `00000000:01:00.0`.
    pub pci: String,
    /// What it was doing when it was looked at; absent where the card does not say.
    pub sample: GpuSample,
}

/// One reading of a card. A card that does not answer a question leaves that field empty.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct GpuSample {
    pub temperature_c: Option<u32>,
    pub power_mw: Option<u32>,
    pub utilisation_percent: Option<u32>,
    pub memory_used: Option<Bytes>,
    pub processes: Vec<GpuProcess>,
}

/// Live figures of every card that answered, of one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Figures {
    pub at: UnixMs,
    pub gpus: Vec<GpuFigures>,
}

/// A card is known by its UUID: places change when one falls off.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct GpuFigures {
    pub uuid: String,
    pub temperature_c: Option<u32>,
    pub power_mw: Option<u32>,
    pub utilisation_percent: Option<u32>,
    pub memory_used: Option<Bytes>,
    pub processes: Vec<GpuProcess>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct GpuProcess {
    pub pid: u32,
    pub memory_used: Option<Bytes>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Driver {
    pub version: String,
    /// CUDA version the driver supports, `12.4`; empty where unknown.
    pub cuda: String,
    /// The library that answered is this project's NVML double.
    pub double: bool,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Cpu {
    pub name: String,
    pub threads: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Disk {
    pub mount: String,
    pub total: Bytes,
    pub free: Bytes,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Os {
    /// `linux`, `windows` or `macos`.
    pub family: String,
    pub name: String,
    pub version: String,
    pub kernel: String,
    /// `x86_64`, `aarch64`.
    pub arch: String,
}

/// The node's static tags (Nomad `meta`), by hardware and by OS. Keys are dotted HCL identifiers.
pub fn tags(hardware: &Hardware) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::from([
        ("ionet.os".to_owned(), hardware.os.family.clone()),
        ("ionet.os_name".to_owned(), hardware.os.name.clone()),
        ("ionet.os_version".to_owned(), hardware.os.version.clone()),
        ("ionet.arch".to_owned(), hardware.os.arch.clone()),
        ("ionet.cpu_threads".to_owned(), hardware.cpu.threads.to_string()),
        ("ionet.memory_gb".to_owned(), gigabytes(hardware.memory)),
        ("ionet.gpu_count".to_owned(), hardware.gpus.len().to_string()),
    ]);
    if let Some(gpu) = hardware.gpus.first() {
        tags.insert("ionet.gpu".to_owned(), slug(&gpu.name));
        tags.insert("ionet.gpu_memory_gb".to_owned(), gigabytes(gpu.memory));
        tags.insert("ionet.driver".to_owned(), hardware.driver.version.clone());
        tags.insert("ionet.cuda".to_owned(), hardware.driver.cuda.clone());
    }
    tags
}

/// Whole gigabytes, rounded: cards of "24 GB" report 24 564 MiB.
fn gigabytes(size: Bytes) -> String {
    ((size.0 + (1 << 29)) >> 30).to_string()
}

/// `NVIDIA GeForce RTX 4090` becomes `nvidia-geforce-rtx-4090`.
fn slug(name: &str) -> String {
    let dashed: String =
        name.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    dashed.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}
