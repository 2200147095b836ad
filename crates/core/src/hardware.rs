//! What this PC is made of, what its cards are doing, and the tags its node carries.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::{Bytes, UnixMs};
use crate::wall::CapsuleUse;

/// What a look at this PC found: what is fixed about it, and which of its cards can take jobs. What changes by the second
/// is in [`Figures`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Hardware {
    /// By PCI address. A card that was seen and is gone stays in the list, as out.
    pub gpus: Vec<Gpu>,
    pub driver: Driver,
    pub cpu: Cpu,
    pub memory: Bytes,
    pub disks: Vec<Disk>,
    pub os: Os,
}

impl Hardware {
    /// The cards that a job can be given; one that sleeps wakes for it.
    pub fn for_jobs(&self) -> impl Iterator<Item = &Gpu> {
        self.gpus.iter().filter(|gpu| !matches!(gpu.state, CardState::Out { .. }))
    }

    /// The memory that a job finds on this card; none where that is not known.
    pub fn memory_of(&self, gpu: &Gpu) -> Option<Bytes> {
        match gpu.memory {
            GpuMemory::Own { total } => Some(total),
            GpuMemory::Shared => Some(self.memory).filter(|memory| memory.0 > 0),
            GpuMemory::Unknown => None,
        }
    }

    /// Why cards are out, with the names of those that are.
    pub fn troubles(&self) -> BTreeMap<CardTrouble, Vec<&str>> {
        let mut troubles = BTreeMap::<_, Vec<_>>::new();
        for gpu in &self.gpus {
            if let CardState::Out { trouble } = gpu.state {
                troubles.entry(trouble).or_default().push(gpu.name.as_str());
            }
        }
        troubles
    }
}

/// What a card is called that does not say its name.
pub const UNNAMED: &str = "NVIDIA GPU";

/// One card. Everything here stays as it is until the card or its set-up is changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Gpu {
    /// NVML's own id, `GPU-…`, and the card's only identity: it is stable across driver updates and slots, and the order
    /// of the cards is not.
    pub uuid: String,
    /// [`UNNAMED`] where the card does not say.
    pub name: String,
    pub memory: GpuMemory,
    /// PCI bus id as NVML prints it, `00000000:01:00.0`; empty where the card does not say.
    pub pci: String,
    pub state: CardState,
    /// What a card is cut into that is [`CardTrouble::Divided`].
    pub instances: Vec<Instance>,
    /// It puts faulty memory aside at the next restart, and works until then.
    pub repair_pending: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum GpuMemory {
    Own {
        total: Bytes,
    },
    /// It has none of its own and works in the system's: DGX Spark, Jetson, Grace.
    Shared,
    /// The card does not say, or not to this user.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum CardState {
    Working,
    /// The system has put it to sleep, and nobody asks it anything that would wake it.
    Asleep,
    /// No job can be given to it.
    Out {
        trouble: CardTrouble,
    },
}

/// Why no job can be given to a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "snake_case")]
pub enum CardTrouble {
    /// It was there, and does not answer on its bus any longer.
    Lost,
    NeedsReset,
    /// Its power cables are not plugged in.
    Unpowered,
    /// Memory that failed and could not be put aside: what it computes may be wrong.
    Worn,
    /// Cut into instances (MIG). A job asks for a card by its model and memory, and would get the whole card's name with a
    /// slice's memory; an instance has neither tag nor price. So the card is not offered until it is whole again.
    Divided,
    /// Its compute mode lets no program compute on it.
    Prohibited,
    /// Handed out to virtual machines by this PC's hypervisor.
    LentOut,
    /// This user may not talk to it.
    Forbidden,
    /// It answers none of the questions that every card answers.
    Silent,
}

/// A part of a card that is cut into instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Instance {
    /// `MIG-…`
    pub uuid: String,
    pub name: String,
    pub memory: GpuMemory,
}

/// What the cards were doing at one moment, and the jobs' capsule about then. A card that did not answer then is not in it, and one that sleeps has no figures.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Figures {
    pub at: UnixMs,
    pub gpus: Vec<GpuFigures>,
    /// Of the jobs' capsule, with a time of its own; none without one.
    pub capsule: Option<CapsuleUse>,
}

/// A question that the card does not answer leaves its field empty.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct GpuFigures {
    /// Of [`Gpu`].
    pub uuid: String,
    /// It was not asked, so as not to wake it.
    pub asleep: bool,
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

/// The node's static tags (Nomad `meta`), by hardware and by OS. Keys are dotted HCL identifiers. What is not known has no
/// tag: a job that asks for it goes elsewhere.
pub fn tags(hardware: &Hardware) -> BTreeMap<String, String> {
    let offer = Offer::of(hardware);
    let (model, memory, count) =
        offer.map_or((None, None, 0), |offer| (offer.model, offer.gigabytes, offer.count));
    let any = count > 0;
    let threads = Some(hardware.cpu.threads).filter(|threads| *threads > 0);
    let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    [
        ("ionet.os", text(&hardware.os.family)),
        ("ionet.os_name", text(&hardware.os.name)),
        ("ionet.os_version", text(&hardware.os.version)),
        ("ionet.arch", text(&hardware.os.arch)),
        ("ionet.cpu_threads", threads.map(|threads| threads.to_string())),
        ("ionet.memory_gb", gigabytes(hardware.memory).map(|memory| memory.to_string())),
        ("ionet.gpu_count", Some(count.to_string())),
        ("ionet.gpu", model),
        ("ionet.gpu_memory_gb", memory.map(|memory| memory.to_string())),
        ("ionet.driver", text(&hardware.driver.version).filter(|_| any)),
        ("ionet.cuda", text(&hardware.driver.cuda).filter(|_| any)),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key.to_owned(), value?)))
    .collect()
}

/// The cards that the tags speak of. A node has one set of tags, and a job may ask for any of them together: count, model
/// and memory. So they speak only of cards that are alike, and the others are not counted. Of several kinds it is the one
/// with the most memory in all its cards, and between equals the one with the larger card.
struct Offer {
    model: Option<String>,
    gigabytes: Option<u64>,
    count: u64,
}

impl Offer {
    fn of(hardware: &Hardware) -> Option<Self> {
        let mut kinds = BTreeMap::<_, u64>::new();
        for gpu in hardware.for_jobs() {
            let model = Some(slug(&gpu.name)).filter(|slug| !slug.is_empty() && gpu.name != UNNAMED);
            *kinds.entry((model, hardware.memory_of(gpu).and_then(gigabytes))).or_default() += 1;
        }
        kinds.into_iter().map(|((model, gigabytes), count)| Self { model, gigabytes, count }).max_by_key(
            |offer| (offer.gigabytes.unwrap_or_default() * offer.count, offer.gigabytes, offer.count),
        )
    }
}

/// Whole gigabytes, rounded: cards of "24 GB" report 24 564 MiB. None for less than half of one.
fn gigabytes(size: Bytes) -> Option<u64> {
    Some(size.0.saturating_add(1 << 29) >> 30).filter(|gigabytes| *gigabytes > 0)
}

/// `NVIDIA GeForce RTX 4090` becomes `nvidia-geforce-rtx-4090`.
fn slug(name: &str) -> String {
    let dashed: String =
        name.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    dashed.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests;
