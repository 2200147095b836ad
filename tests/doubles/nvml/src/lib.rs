//! A double of NVIDIA's management library: the C functions that `ionet-sensors` calls through `nvml-wrapper`, answering
//! from a script. The README beside this crate describes the script.
//!
//! Return codes are NVML's own. Every pointer that comes in is checked for null; beyond that the caller keeps NVML's
//! contract, as it must with the real library.

mod script;

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nvml_wrapper_sys::bindings as nvml;
use nvml_wrapper_sys::bindings::nvmlReturn_t as Code;

use crate::script::{Card, Kind, Process, Reader, Script};

const OK: Code = nvml::nvmlReturn_enum_NVML_SUCCESS;
const BAD_ARGUMENT: Code = nvml::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT;
const NOT_SUPPORTED: Code = nvml::nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED;
const TOO_SMALL: Code = nvml::nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE;
const UNINITIALIZED: Code = nvml::nvmlReturn_enum_NVML_ERROR_UNINITIALIZED;
const LOST: Code = nvml::nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST;
const WRONG_VERSION: Code = nvml::nvmlReturn_enum_NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
const UNKNOWN: Code = nvml::nvmlReturn_enum_NVML_ERROR_UNKNOWN;

/// What a caller must have written into `version` of the memory query: size of the struct, and 2.
const MEMORY_VERSION: c_uint = size_of::<nvml::nvmlMemory_v2_t>() as c_uint | (2 << 24);

static STAGE: Mutex<Stage> = Mutex::new(Stage { reader: Reader::new(), open: 0 });

struct Stage {
    reader: Reader,
    /// NVML counts its initialisations; each is to be shut down once.
    open: u32,
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> Code {
    let mut stage = stage();
    let code = match stage.reader.script() {
        Some(script) => script.init,
        None => UNKNOWN,
    };
    if code == OK {
        stage.open += 1;
    }
    code
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> Code {
    let mut stage = stage();
    if stage.open == 0 {
        return UNINITIALIZED;
    }
    stage.open -= 1;
    OK
}

/// # Safety
/// `version` points to `length` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetDriverVersion(version: *mut c_char, length: c_uint) -> Code {
    // SAFETY: by this function's own contract.
    answer(|script| unsafe { put_text(version, length as usize, &script.driver) })
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
    answer(|script| unsafe { put(count, script.cards.len() as c_uint) })
}

/// # Safety
/// `device` points to a writable handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(
    index: c_uint,
    device: *mut nvml::nvmlDevice_t,
) -> Code {
    answer(|script| match script.cards.get(index as usize) {
        Some(card) if card.lost => LOST,
        // A handle is never followed: it is the card's place, counted from one.
        // SAFETY: by this function's own contract.
        Some(_) => unsafe { put(device, std::ptr::without_provenance_mut(index as usize + 1)) },
        None => BAD_ARGUMENT,
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
    // SAFETY: by this function's own contract.
    of_card(device, |card, _| unsafe { put_answer(name, length, card.name.as_deref()) })
}

/// # Safety
/// `uuid` points to `length` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUUID(
    device: nvml::nvmlDevice_t,
    uuid: *mut c_char,
    length: c_uint,
) -> Code {
    of_card(device, |card, place| {
        let uuid_of_place = format!("GPU-00000000-0000-4000-8000-{place:012}");
        // SAFETY: by this function's own contract.
        unsafe { put_answer(uuid, length, card.uuid.as_ref().map(|given| given.or(&uuid_of_place))) }
    })
}

/// # Safety
/// `memory` points to a writable struct whose `version` is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(
    device: nvml::nvmlDevice_t,
    memory: *mut nvml::nvmlMemory_v2_t,
) -> Code {
    of_card(device, |card, _| {
        if memory.is_null() {
            return BAD_ARGUMENT;
        }
        // SAFETY: not null, and initialised by this function's own contract.
        if unsafe { (*memory).version } != MEMORY_VERSION {
            return WRONG_VERSION;
        }
        let Some(total) = card.memory_mb.map(megabytes) else {
            return NOT_SUPPORTED;
        };
        let used = megabytes(card.memory_used_mb).min(total);
        let reserved = 0;
        let info =
            nvml::nvmlMemory_v2_t { version: MEMORY_VERSION, total, reserved, free: total - used, used };
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
    of_card(device, |card, place| {
        let id_of_place = format!("00000000:{:02X}:00.0", place + 1);
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
        for (slot, byte) in info.busId[..31].iter_mut().zip(id.bytes()) {
            *slot = byte as c_char;
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
    of_card(device, |card, _| unsafe { put_number(celsius, card.temperature_c) })
}

/// # Safety
/// `milliwatts` points to a writable unsigned int.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetPowerUsage(
    device: nvml::nvmlDevice_t,
    milliwatts: *mut c_uint,
) -> Code {
    // SAFETY: by this function's own contract.
    of_card(device, |card, _| unsafe { put_number(milliwatts, card.power_mw) })
}

/// # Safety
/// `rates` points to a writable struct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUtilizationRates(
    device: nvml::nvmlDevice_t,
    rates: *mut nvml::nvmlUtilization_t,
) -> Code {
    of_card(device, |card, _| match card.utilisation_percent {
        // SAFETY: by this function's own contract.
        Some(gpu) => unsafe { put(rates, nvml::nvmlUtilization_t { gpu, memory: 0 }) },
        None => NOT_SUPPORTED,
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
    of_card(device, |card, _| unsafe { put_processes(card, Kind::Compute, count, list) })
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
    of_card(device, |card, _| unsafe { put_processes(card, Kind::Graphics, count, list) })
}

fn stage() -> MutexGuard<'static, Stage> {
    STAGE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(with: impl FnOnce(&Script) -> Code) -> Code {
    let mut stage = stage();
    if stage.open == 0 {
        return UNINITIALIZED;
    }
    match stage.reader.script() {
        Some(script) => with(script),
        None => UNKNOWN,
    }
}

fn of_card(device: nvml::nvmlDevice_t, with: impl FnOnce(&Card, usize) -> Code) -> Code {
    answer(|script| {
        let Some(place) = device.cast::<c_void>().addr().checked_sub(1) else {
            return BAD_ARGUMENT;
        };
        match script.cards.get(place) {
            Some(card) if card.lost => LOST,
            Some(card) => with(card, place),
            // The script was cut short under an open handle.
            None => LOST,
        }
    })
}

/// # Safety
/// `to` is null or writable.
unsafe fn put<T>(to: *mut T, value: T) -> Code {
    if to.is_null() {
        return BAD_ARGUMENT;
    }
    // SAFETY: not null, and writable by the caller's word.
    unsafe { to.write(value) };
    OK
}

/// # Safety
/// As [`put`].
unsafe fn put_number(to: *mut c_uint, value: Option<u32>) -> Code {
    match value {
        // SAFETY: passed on.
        Some(value) => unsafe { put(to, value) },
        None => NOT_SUPPORTED,
    }
}

/// # Safety
/// As [`put_text`].
unsafe fn put_answer(to: *mut c_char, length: c_uint, text: Option<&str>) -> Code {
    match text {
        // SAFETY: passed on.
        Some(text) => unsafe { put_text(to, length as usize, text) },
        None => NOT_SUPPORTED,
    }
}

/// # Safety
/// `to` is null or has room for `length` bytes.
unsafe fn put_text(to: *mut c_char, length: usize, text: &str) -> Code {
    if to.is_null() {
        return BAD_ARGUMENT;
    }
    if text.len() >= length {
        return TOO_SMALL;
    }
    // SAFETY: `text` and its closing nul fit into `length`.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), to.cast::<u8>(), text.len());
        to.add(text.len()).write(0);
    }
    OK
}

/// # Safety
/// `count` is null or initialised; `list` has room for that many, or is null when `count` says zero.
unsafe fn put_processes(
    card: &Card,
    kind: Kind,
    count: *mut c_uint,
    list: *mut nvml::nvmlProcessInfo_t,
) -> Code {
    let Some(processes) = &card.processes else {
        return NOT_SUPPORTED;
    };
    if count.is_null() {
        return BAD_ARGUMENT;
    }
    let shown: Vec<&Process> = processes.iter().filter(|process| process.is(kind)).collect();
    // SAFETY: not null, and initialised by the caller's word.
    let room = unsafe { count.replace(shown.len() as c_uint) } as usize;
    if shown.len() > room {
        return TOO_SMALL;
    }
    for (place, process) in shown.into_iter().enumerate() {
        let info = nvml::nvmlProcessInfo_t {
            pid: process.pid,
            usedGpuMemory: process.memory_mb.map_or(u64::MAX, megabytes),
            gpuInstanceId: u32::MAX,
            computeInstanceId: u32::MAX,
        };
        // SAFETY: there is room for `room` structs, and `place` is below it.
        unsafe { list.add(place).write(info) };
    }
    OK
}

fn megabytes(count: u64) -> u64 {
    count << 20
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
