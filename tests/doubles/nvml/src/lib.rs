//! A double of NVIDIA's management library: the C functions that `ionet-sensors` calls through `nvml-wrapper`, answering
//! from a script. The README beside this crate describes the script.
//!
//! Return codes are NVML's own. Every pointer that comes in is checked for null; beyond that the caller keeps NVML's
//! contract, as it must with the real library.

mod instances;
mod put;
mod script;
mod stage;

use std::ffi::{CStr, c_char, c_int, c_uint};

use nvml_wrapper_sys::bindings as nvml;
use nvml_wrapper_sys::bindings::nvmlReturn_t as Code;

use crate::put::{megabytes, put, put_answer, put_number, put_processes, put_text};
use crate::script::{Card, Kind, Question};
use crate::stage::{Asked, answer, of_any, of_card};

const OK: Code = nvml::nvmlReturn_enum_NVML_SUCCESS;
const BAD_ARGUMENT: Code = nvml::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT;
const NOT_SUPPORTED: Code = nvml::nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED;
const NOT_PERMITTED: Code = nvml::nvmlReturn_enum_NVML_ERROR_NO_PERMISSION;
const NOT_FOUND: Code = nvml::nvmlReturn_enum_NVML_ERROR_NOT_FOUND;
const TOO_SMALL: Code = nvml::nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE;
const UNINITIALIZED: Code = nvml::nvmlReturn_enum_NVML_ERROR_UNINITIALIZED;
const LOST: Code = nvml::nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST;
const WRONG_VERSION: Code = nvml::nvmlReturn_enum_NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
const UNKNOWN: Code = nvml::nvmlReturn_enum_NVML_ERROR_UNKNOWN;

/// What a caller must have written into `version` of the memory query: size of the struct, and 2.
const MEMORY_VERSION: c_uint = size_of::<nvml::nvmlMemory_v2_t>() as c_uint | (2 << 24);

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> Code {
    stage::start()
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> Code {
    stage::end()
}

/// # Safety
/// `version` points to `length` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetDriverVersion(version: *mut c_char, length: c_uint) -> Code {
    // SAFETY: by this function's own contract.
    answer(|script| unsafe { put_text(version, length, script.driver.bytes()) })
}

/// # Safety
/// `version` points to a writable int.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetCudaDriverVersion_v2(version: *mut c_int) -> Code {
    answer(|script| match &script.cuda {
        // SAFETY: by this function's own contract.
        Some(cuda) => unsafe { put(version, script::cuda_number(cuda)) },
        None => NOT_SUPPORTED,
    })
}

/// # Safety
/// `count` points to a writable unsigned int.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCount_v2(count: *mut c_uint) -> Code {
    // SAFETY: by this function's own contract.
    answer(|script| unsafe { put(count, script.count.unwrap_or(script.cards.len() as c_uint)) })
}

/// # Safety
/// `device` points to a writable handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(
    index: c_uint,
    device: *mut nvml::nvmlDevice_t,
) -> Code {
    answer(|script| match stage::handle(script, index as usize) {
        // SAFETY: by this function's own contract.
        Ok(handle) => unsafe { put(device, handle) },
        Err(code) => code,
    })
}

/// # Safety
/// `address` is null or a closed string, `device` points to a writable handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByPciBusId_v2(
    address: *const c_char,
    device: *mut nvml::nvmlDevice_t,
) -> Code {
    if address.is_null() {
        return BAD_ARGUMENT;
    }
    // SAFETY: not null, and closed by this function's own contract.
    let Ok(address) = unsafe { CStr::from_ptr(address) }.to_str() else { return BAD_ARGUMENT };
    let Some(wanted) = script::pci_place(address) else { return BAD_ARGUMENT };
    answer(|script| {
        let is_there = |(place, card): &(usize, &Card)| {
            let of_place = pci_of(*place);
            let address = card.pci.as_ref().and_then(|given| str::from_utf8(given.or(&of_place)).ok());
            address.and_then(script::pci_place) == Some(wanted)
        };
        let found = script.cards.iter().enumerate().find(is_there);
        match found.map_or(Err(NOT_FOUND), |(place, _)| stage::handle(script, place)) {
            // SAFETY: by this function's own contract.
            Ok(handle) => unsafe { put(device, handle) },
            Err(code) => code,
        }
    })
}

/// # Safety
/// `name` points to `length` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetName(
    device: nvml::nvmlDevice_t,
    name: *mut c_char,
    length: c_uint,
) -> Code {
    of_any(device, Question::Name, |asked| {
        let text = match asked {
            Asked::Card(card, _) => card.name.as_ref(),
            Asked::Instance(instance) => Some(&instance.name),
        };
        // SAFETY: by this function's own contract.
        unsafe { put_answer(name, length, text) }
    })
}

/// # Safety
/// `uuid` points to `length` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUUID(
    device: nvml::nvmlDevice_t,
    uuid: *mut c_char,
    length: c_uint,
) -> Code {
    of_any(device, Question::Uuid, |asked| match asked {
        Asked::Card(card, place) => {
            let uuid_of_place = format!("GPU-00000000-0000-4000-8000-{place:012}");
            match &card.uuid {
                // SAFETY: by this function's own contract.
                Some(given) => unsafe { put_text(uuid, length, given.or(&uuid_of_place)) },
                None => NOT_SUPPORTED,
            }
        }
        // SAFETY: by this function's own contract.
        Asked::Instance(instance) => unsafe { put_text(uuid, length, instance.uuid.bytes()) },
    })
}

/// # Safety
/// `memory` points to a writable struct whose `version` is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(
    device: nvml::nvmlDevice_t,
    memory: *mut nvml::nvmlMemory_v2_t,
) -> Code {
    of_any(device, Question::Memory, |asked| {
        if memory.is_null() {
            return BAD_ARGUMENT;
        }
        // SAFETY: not null, and initialised by this function's own contract.
        if unsafe { (*memory).version } != MEMORY_VERSION {
            return WRONG_VERSION;
        }
        let (total, used) = match asked {
            // The sum over all instances is for the administrator alone.
            Asked::Card(Card { instances: Some(_), .. }, _) => return NOT_PERMITTED,
            Asked::Card(Card { memory_mb: None, .. }, _) => return NOT_SUPPORTED,
            Asked::Card(Card { memory_mb: Some(total), memory_used_mb, .. }, _) => (*total, *memory_used_mb),
            Asked::Instance(instance) => (instance.memory_mb, 0),
        };
        let (total, used) = (megabytes(total), megabytes(used.min(total)));
        let info =
            nvml::nvmlMemory_v2_t { version: MEMORY_VERSION, total, reserved: 0, free: total - used, used };
        // SAFETY: by this function's own contract.
        unsafe { put(memory, info) }
    })
}

/// # Safety
/// `pci` points to a writable struct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetPciInfo_v3(
    device: nvml::nvmlDevice_t,
    pci: *mut nvml::nvmlPciInfo_t,
) -> Code {
    of_card(device, Question::Pci, |card, place| {
        let id_of_place = pci_of(place);
        let Some(id) = card.pci.as_ref().map(|given| given.or(&id_of_place)) else {
            return NOT_SUPPORTED;
        };
        let mut info = nvml::nvmlPciInfo_t {
            busIdLegacy: [0; 16],
            domain: 0,
            bus: place as c_uint + 1,
            device: 0,
            // RTX 4090: device 2684, vendor 10de.
            pciDeviceId: 0x2684_10de,
            pciSubSystemId: 0,
            busId: [0; 32],
        };
        for (slot, byte) in info.busId[..31].iter_mut().zip(id) {
            *slot = *byte as c_char;
        }
        // SAFETY: by this function's own contract.
        unsafe { put(pci, info) }
    })
}

/// # Safety
/// `celsius` points to a writable unsigned int.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetTemperature(
    device: nvml::nvmlDevice_t,
    _sensor: nvml::nvmlTemperatureSensors_t,
    celsius: *mut c_uint,
) -> Code {
    // SAFETY: by this function's own contract.
    of_card(device, Question::Temperature, |card, _| unsafe { put_number(celsius, card.temperature_c) })
}

/// # Safety
/// `milliwatts` points to a writable unsigned int.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetPowerUsage(
    device: nvml::nvmlDevice_t,
    milliwatts: *mut c_uint,
) -> Code {
    // SAFETY: by this function's own contract.
    of_card(device, Question::Power, |card, _| unsafe { put_number(milliwatts, card.power_mw) })
}

/// # Safety
/// `rates` points to a writable struct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUtilizationRates(
    device: nvml::nvmlDevice_t,
    rates: *mut nvml::nvmlUtilization_t,
) -> Code {
    of_card(device, Question::Utilisation, |card, _| match card.utilisation_percent {
        // SAFETY: by this function's own contract.
        Some(gpu) if card.instances.is_none() => unsafe {
            put(rates, nvml::nvmlUtilization_t { gpu, memory: 0 })
        },
        Some(_) | None => NOT_SUPPORTED,
    })
}

/// # Safety
/// `count` points to a writable unsigned int that says how many structs `list` has room for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetComputeRunningProcesses_v3(
    device: nvml::nvmlDevice_t,
    count: *mut c_uint,
    list: *mut nvml::nvmlProcessInfo_t,
) -> Code {
    // SAFETY: by this function's own contract.
    of_card(device, Question::Processes, |card, _| unsafe { put_processes(card, Kind::Compute, count, list) })
}

/// # Safety
/// `count` points to a writable unsigned int that says how many structs `list` has room for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetGraphicsRunningProcesses_v3(
    device: nvml::nvmlDevice_t,
    count: *mut c_uint,
    list: *mut nvml::nvmlProcessInfo_t,
) -> Code {
    // SAFETY: by this function's own contract.
    of_card(device, Question::Processes, |card, _| unsafe {
        put_processes(card, Kind::Graphics, count, list)
    })
}

/// # Safety
/// `mode` points to a writable unsigned int.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetComputeMode(
    device: nvml::nvmlDevice_t,
    mode: *mut nvml::nvmlComputeMode_t,
) -> Code {
    of_card(device, Question::ComputeMode, |card, _| match card.instances {
        // It is then the instances that have one.
        Some(_) => BAD_ARGUMENT,
        // SAFETY: by this function's own contract.
        None => unsafe { put_number(mode, card.compute_mode) },
    })
}

/// # Safety
/// `mode` points to a writable unsigned int.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetVirtualizationMode(
    device: nvml::nvmlDevice_t,
    mode: *mut nvml::nvmlGpuVirtualizationMode_t,
) -> Code {
    // SAFETY: by this function's own contract.
    of_card(device, Question::Virtualisation, |card, _| unsafe { put_number(mode, card.virtualisation) })
}

/// Where a card is that the script does not place.
fn pci_of(place: usize) -> String {
    format!("00000000:{:02X}:00.0", place + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_query_wants_its_version_and_every_query_wants_a_start() {
        let mut memory = nvml::nvmlMemory_v2_t { version: 0, total: 0, reserved: 0, free: 0, used: 0 };
        let mut card = std::ptr::null_mut();
        // SAFETY: every pointer is to a variable of this function.
        unsafe {
            assert_eq!(nvmlDeviceGetHandleByIndex_v2(0, &mut card), UNINITIALIZED);
            assert_eq!(nvmlInit_v2(), OK);
            assert_eq!(nvmlDeviceGetHandleByIndex_v2(1, &mut card), BAD_ARGUMENT);
            assert_eq!(nvmlDeviceGetHandleByIndex_v2(0, &mut card), OK);
            assert_eq!(nvmlDeviceGetMemoryInfo_v2(card, &mut memory), WRONG_VERSION);
            memory.version = MEMORY_VERSION;
            assert_eq!(nvmlDeviceGetMemoryInfo_v2(card, &mut memory), OK);
            assert_eq!(memory.total, 24564 << 20);
            let mut short = [0; 4];
            assert_eq!(nvmlDeviceGetName(card, short.as_mut_ptr(), 4), TOO_SMALL);
            assert_eq!(nvmlDeviceGetName(std::ptr::null_mut(), short.as_mut_ptr(), 4), BAD_ARGUMENT);
            assert_eq!(nvmlDeviceGetName(card, std::ptr::null_mut(), 64), BAD_ARGUMENT);
            assert_eq!(nvmlShutdown(), OK);
        }
    }
}
