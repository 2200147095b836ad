//! Writing answers where the caller wants them.

use std::ffi::{c_char, c_uint};

use nvml_wrapper_sys::bindings as nvml;

use crate::script::{Card, Kind, Process, Text};
use crate::{BAD_ARGUMENT, Code, NOT_SUPPORTED, OK, TOO_SMALL};

/// # Safety
/// `to` is null or writable.
pub(crate) unsafe fn put<T>(to: *mut T, value: T) -> Code {
    if to.is_null() {
        return BAD_ARGUMENT;
    }
    // SAFETY: not null, and writable by the caller's word.
    unsafe { to.write(value) };
    OK
}

/// # Safety
/// As [`put`].
pub(crate) unsafe fn put_number(to: *mut c_uint, value: Option<u32>) -> Code {
    match value {
        // SAFETY: passed on.
        Some(value) => unsafe { put(to, value) },
        None => NOT_SUPPORTED,
    }
}

/// # Safety
/// As [`put_text`].
pub(crate) unsafe fn put_answer(to: *mut c_char, length: c_uint, text: Option<&Text>) -> Code {
    match text {
        // SAFETY: passed on.
        Some(text) => unsafe { put_text(to, length, text.bytes()) },
        None => NOT_SUPPORTED,
    }
}

/// # Safety
/// `to` is null or has room for `length` bytes.
pub(crate) unsafe fn put_text(to: *mut c_char, length: c_uint, text: &[u8]) -> Code {
    if to.is_null() {
        return BAD_ARGUMENT;
    }
    if text.len() >= length as usize {
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
pub(crate) unsafe fn put_processes(
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

pub(crate) fn megabytes(count: u64) -> u64 {
    count << 20
}
