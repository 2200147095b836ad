//! One card. Every question is asked for itself: a card that does not answer one still answers others.

use std::collections::BTreeMap;

use ionet_core::hardware::{
    CardState, CardTrouble, Gpu, GpuFigures, GpuMemory, GpuProcess, Instance, UNNAMED,
};
use ionet_core::time::Bytes;
use nvml_wrapper::Device;
use nvml_wrapper::enum_wrappers::device::{ComputeMode, TemperatureSensor};
use nvml_wrapper::enums::device::{SampleValue, UsedGpuMemory};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::{MemoryInfo, ProcessInfo};
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::sys_exports::field_id;

use super::tidy;

/// What the names of those have in them that have no memory of their own. NVML's word for it, "not supported", is not
/// enough to promise the whole system's memory by.
const SHARES_MEMORY: &[&str] =
    &["GB10", "Orin", "Thor", "Xavier", "Tegra", "Jetson", "GH200", "GB200", "GB300", "Grace"];

/// More than any card has; beyond it a figure is a code for none.
const MOST_MEMORY: u64 = 64 << 40;
const MOST_CELSIUS: u32 = 200;
const MOST_MILLIWATTS: u32 = 10_000_000;

/// `nvmlDeviceGpuRecoveryAction_t`: reset, reboot, drain and reset. Draining its links alone leaves the card working.
const WANTS_RESET: &[u64] = &[1, 2, 4];

/// A card that can be cut is cut into seven at most.
const MOST_INSTANCES: u32 = 16;

/// What it is, and what it says that is the end of its work.
pub(super) fn describe(device: &Device<'_>, uuid: String) -> (Gpu, Option<CardTrouble>) {
    let fallen = fallen(device);
    let health = Health::of(device);
    let divided = device.mig_mode().is_ok_and(|mode| mode.current == 1);
    let name = name(device);
    let trouble = fallen
        .or(health.wants_reset.then_some(CardTrouble::NeedsReset))
        .or(divided.then_some(CardTrouble::Divided))
        .or(is_lent_out(device).then_some(CardTrouble::LentOut))
        .or(matches!(device.compute_mode(), Ok(ComputeMode::Prohibited)).then_some(CardTrouble::Prohibited))
        .or(health.worn.then_some(CardTrouble::Worn));
    let gpu = Gpu {
        memory: memory(device.memory_info(), !divided && shares_memory(&name)),
        pci: device.pci_info().map(|pci| tidy(&pci.bus_id)).unwrap_or_default(),
        state: trouble.map_or(CardState::Working, |trouble| CardState::Out { trouble }),
        instances: if divided { instances(device) } else { Vec::new() },
        repair_pending: health.repair_pending,
        uuid,
        name,
    };
    (gpu, fallen)
}

pub(super) fn figures(device: &Device<'_>, uuid: String) -> GpuFigures {
    let plain = |value: u32, most: u32| (value <= most).then_some(value);
    GpuFigures {
        uuid,
        asleep: false,
        temperature_c: celsius(device).ok().and_then(|celsius| plain(celsius, MOST_CELSIUS)),
        power_mw: device.power_usage().ok().and_then(|milliwatts| plain(milliwatts, MOST_MILLIWATTS)),
        utilisation_percent: device.utilization_rates().ok().and_then(|rates| plain(rates.gpu, 100)),
        memory_used: device
            .memory_info()
            .ok()
            .map(|info| info.used)
            .filter(|used| *used <= MOST_MEMORY)
            .map(Bytes),
        processes: processes(device),
    }
}

/// Whether it has left its work. The id is answered from memory, so two questions are asked that the card itself answers.
pub(super) fn fallen(device: &Device<'_>) -> Option<CardTrouble> {
    [celsius(device).err(), device.memory_info().err()].into_iter().flatten().find_map(|error| {
        matches!(error, NvmlError::GpuLost | NvmlError::ResetRequired).then(|| trouble(&error))
    })
}

/// What an error of a card means for it.
pub(super) fn trouble(error: &NvmlError) -> CardTrouble {
    #[expect(clippy::wildcard_enum_match_arm, reason = "of the rest only one thing is known: no answer")]
    match error {
        NvmlError::GpuLost => CardTrouble::Lost,
        NvmlError::ResetRequired => CardTrouble::NeedsReset,
        NvmlError::InsufficientPower => CardTrouble::Unpowered,
        NvmlError::NoPermission | NvmlError::OperatingSystem => CardTrouble::Forbidden,
        _ => CardTrouble::Silent,
    }
}

/// What a card says of its own health. Those that keep no account of it, as in gamers' PCs, are well.
#[derive(Default)]
struct Health {
    wants_reset: bool,
    worn: bool,
    repair_pending: bool,
}

impl Health {
    fn of(device: &Device<'_>) -> Self {
        let fields = [
            field_id::NVML_FI_DEV_GET_GPU_RECOVERY_ACTION,
            field_id::NVML_FI_DEV_REMAPPED_FAILURE,
            field_id::NVML_FI_DEV_REMAPPED_PENDING,
            field_id::NVML_FI_DEV_RETIRED_PENDING,
        ];
        let Ok(samples) = device.field_values_for(&fields.map(FieldId)) else { return Self::default() };
        let values: Vec<_> =
            samples.into_iter().map(|sample| sample.and_then(|it| it.value).ok().and_then(whole)).collect();
        let [action, failed, remapping, retiring] = values[..] else { return Self::default() };
        Self {
            wants_reset: action.is_some_and(|action| WANTS_RESET.contains(&action)),
            worn: failed == Some(1),
            repair_pending: remapping == Some(1) || retiring == Some(1),
        }
    }
}

fn whole(value: SampleValue) -> Option<u64> {
    match value {
        SampleValue::U32(value) => Some(u64::from(value)),
        SampleValue::U64(value) => Some(value),
        SampleValue::I64(value) => u64::try_from(value).ok(),
        SampleValue::F64(_) => None,
    }
}

#[cfg(target_os = "linux")]
fn is_lent_out(device: &Device<'_>) -> bool {
    use nvml_wrapper::enum_wrappers::device::GpuVirtualizationMode as Mode;
    matches!(device.virtualization_mode(), Ok(Mode::HostVgpu | Mode::HostVsga))
}

/// No hypervisor that hands out cards runs here.
#[cfg(not(target_os = "linux"))]
fn is_lent_out(_device: &Device<'_>) -> bool {
    false
}

fn instances(device: &Device<'_>) -> Vec<Instance> {
    let places = 0..device.mig_device_count().unwrap_or_default().min(MOST_INSTANCES);
    let found = places.filter_map(|place| device.mig_device_by_index(place).ok());
    found
        .filter_map(|instance| {
            let memory = memory(instance.memory_info(), false);
            Some(Instance { uuid: super::id(&instance).ok()?, name: name(&instance), memory })
        })
        .collect()
}

fn name(device: &Device<'_>) -> String {
    let name = device.name().map(|name| tidy(&name)).unwrap_or_default();
    if name.is_empty() { UNNAMED.to_owned() } else { name }
}

fn shares_memory(name: &str) -> bool {
    name.split([' ', '-', '(', ')'])
        .any(|word| SHARES_MEMORY.iter().any(|known| known.eq_ignore_ascii_case(word)))
}

fn memory(info: Result<MemoryInfo, NvmlError>, shared: bool) -> GpuMemory {
    match info {
        Ok(info) if (1..=MOST_MEMORY).contains(&info.total) => GpuMemory::Own { total: Bytes(info.total) },
        Err(NvmlError::NotSupported) if shared => GpuMemory::Shared,
        Ok(_) | Err(_) => GpuMemory::Unknown,
    }
}

fn celsius(device: &Device<'_>) -> Result<u32, NvmlError> {
    device.temperature(TemperatureSensor::Gpu)
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
