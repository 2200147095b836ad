//! NVML, through its wrapper. Every question is asked for itself: a card that does not answer one still answers others.

use std::collections::BTreeMap;

use ionet_core::fault::GpuFault;
use ionet_core::hardware::{Gpu, GpuProcess, GpuSample};
use ionet_core::time::Bytes;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use nvml_wrapper::{Device, Nvml, cuda_driver_version_major, cuda_driver_version_minor};

use super::Search;
use crate::platform;

pub(super) struct Library {
    nvml: Nvml,
    /// The cards that had an id when they were counted. Hardware and samples both follow this list.
    cards: Vec<Card>,
}

struct Card {
    index: u32,
    uuid: String,
}

impl Library {
    /// Loads and initialises the library; it knows no cards yet.
    pub(super) fn load(search: &Search) -> Result<Self, GpuFault> {
        match Nvml::builder().lib_path(search.library.as_os_str()).init() {
            Ok(nvml) => Ok(Self { nvml, cards: Vec::new() }),
            Err(error) => {
                let fault = fault_at_start(&error, search);
                tracing::debug!(%error, %fault, "NVML did not start");
                Err(fault)
            }
        }
    }

    /// Driver version, and the CUDA version it supports (empty where it does not say).
    pub(super) fn driver(&self) -> Result<(String, String), GpuFault> {
        let version = self.nvml.sys_driver_version().map_err(|error| broken(&error))?;
        let cuda = self.nvml.sys_cuda_driver_version().map(|number| {
            format!("{}.{}", cuda_driver_version_major(number), cuda_driver_version_minor(number))
        });
        Ok((version, cuda.unwrap_or_default()))
    }

    /// Counts the cards. One without an id cannot be told from another and is left out.
    pub(super) fn with_cards(mut self) -> Result<Self, GpuFault> {
        let count = self.nvml.device_count().map_err(|error| broken(&error))?;
        let mut first_error = None;
        for index in 0..count {
            match self.nvml.device_by_index(index).and_then(|device| device.uuid()) {
                Ok(uuid) => self.cards.push(Card { index, uuid }),
                Err(error) => {
                    tracing::warn!(index, %error, "a card does not say its id");
                    first_error.get_or_insert(error);
                }
            }
        }
        match first_error {
            _ if !self.cards.is_empty() => Ok(self),
            Some(error) => Err(broken(&error)),
            None => Err(GpuFault::NoGpu),
        }
    }

    pub(super) fn gpus(&self) -> Result<Vec<Gpu>, GpuFault> {
        let gpus = self.ask(|card, device| device.map(|device| describe(card, &device)))?;
        Ok(gpus.into_iter().flatten().collect())
    }

    pub(super) fn samples(&self) -> Result<Vec<GpuSample>, GpuFault> {
        let samples = self.ask(|_, device| device.map(|device| sample(&device)))?;
        Ok(samples.into_iter().map(Option::unwrap_or_default).collect())
    }

    /// One answer per card; an error only when none gives one.
    fn ask<'a, T>(
        &'a self,
        question: impl Fn(&Card, Result<Device<'a>, NvmlError>) -> Result<T, NvmlError>,
    ) -> Result<Vec<Option<T>>, GpuFault> {
        let mut first_error = None;
        let answers: Vec<_> = self
            .cards
            .iter()
            .map(|card| {
                question(card, self.nvml.device_by_index(card.index))
                    .inspect_err(|error| tracing::debug!(index = card.index, %error, "a card is silent"))
                    .map_err(|error| first_error.get_or_insert(error))
                    .ok()
            })
            .collect();
        match first_error {
            Some(error) if answers.iter().all(Option::is_none) => Err(broken(&error)),
            Some(_) | None => Ok(answers),
        }
    }
}

fn describe(card: &Card, device: &Device<'_>) -> Gpu {
    Gpu {
        index: card.index,
        uuid: card.uuid.clone(),
        name: device.name().unwrap_or_else(|_| "NVIDIA GPU".to_owned()),
        memory: Bytes(device.memory_info().map(|memory| memory.total).unwrap_or_default()),
        pci: device.pci_info().map(|pci| pci.bus_id).unwrap_or_default(),
        sample: sample(device),
    }
}

fn sample(device: &Device<'_>) -> GpuSample {
    GpuSample {
        temperature_c: device.temperature(TemperatureSensor::Gpu).ok(),
        power_mw: device.power_usage().ok(),
        utilisation_percent: device.utilization_rates().ok().map(|rates| rates.gpu),
        memory_used: device.memory_info().ok().map(|memory| Bytes(memory.used)),
        processes: processes(device),
    }
}

/// A process that computes and draws stands in both of NVML's lists, with the same figure.
fn processes(device: &Device<'_>) -> Vec<GpuProcess> {
    let compute = device.running_compute_processes().unwrap_or_default();
    let graphics = device.running_graphics_processes().unwrap_or_default();
    let mut by_pid = BTreeMap::<u32, Option<Bytes>>::new();
    for process in compute.iter().chain(&graphics) {
        let memory = by_pid.entry(process.pid).or_default();
        *memory = (*memory).max(memory_of(process));
    }
    by_pid.into_iter().map(|(pid, memory_used)| GpuProcess { pid, memory_used }).collect()
}

fn memory_of(process: &ProcessInfo) -> Option<Bytes> {
    match process.used_gpu_memory {
        UsedGpuMemory::Used(bytes) => Some(Bytes(bytes)),
        UsedGpuMemory::Unavailable => None,
    }
}

/// The library could not be loaded, or would not start.
fn fault_at_start(error: &NvmlError, search: &Search) -> GpuFault {
    let card = platform::nvidia_card(&search.pci);
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "NVML's codes are many and grow; only two of them differ"
    )]
    match error {
        NvmlError::LibloadingError(_) if search.library.is_file() => {
            GpuFault::DriverBroken("its management library cannot be loaded".to_owned())
        }
        NvmlError::LibloadingError(_) | NvmlError::DriverNotLoaded if card == Some(false) => GpuFault::NoGpu,
        NvmlError::LibloadingError(_) => GpuFault::DriverMissing,
        error => broken(error),
    }
}

fn broken(error: &NvmlError) -> GpuFault {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest is told in NVML's own words")]
    let why = match error {
        NvmlError::DriverNotLoaded => "it is not loaded".to_owned(),
        NvmlError::LibRmVersionMismatch => {
            "its library and its kernel module are of different versions; restart the PC".to_owned()
        }
        NvmlError::GpuLost => "the card has fallen off the bus".to_owned(),
        NvmlError::ResetRequired => "the card needs a restart of the PC".to_owned(),
        NvmlError::FailedToLoadSymbol(_) => "its management library is incomplete".to_owned(),
        NvmlError::NoPermission | NvmlError::OperatingSystem => "this program may not talk to it".to_owned(),
        error => error.to_string(),
    };
    GpuFault::DriverBroken(why)
}
