//! Cards that are cut into instances, and what else is told by field values.

use std::ffi::{c_int, c_uint};

use nvml_wrapper_sys::bindings as nvml;
use nvml_wrapper_sys::bindings::field_id;

use crate::put::put;
use crate::script::{Card, Question};
use crate::stage::of_card;
use crate::{BAD_ARGUMENT, Code, NOT_FOUND, NOT_SUPPORTED, OK};

/// A card can be cut into seven at most.
const MOST_INSTANCES: c_uint = 7;

/// # Safety
/// Both point to writable unsigned ints.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetMigMode(
    device: nvml::nvmlDevice_t,
    current: *mut c_uint,
    pending: *mut c_uint,
) -> Code {
    of_card(device, Question::Mig, |card, _| match card.instances {
        // SAFETY: by this function's own contract.
        Some(_) => unsafe { put(current, nvml::NVML_DEVICE_MIG_ENABLE).max(put(pending, 1)) },
        None => NOT_SUPPORTED,
    })
}

/// # Safety
/// `count` points to a writable unsigned int.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetMaxMigDeviceCount(
    device: nvml::nvmlDevice_t,
    count: *mut c_uint,
) -> Code {
    of_card(device, Question::Mig, |card, _| {
        // SAFETY: by this function's own contract.
        unsafe { put(count, if card.instances.is_some() { MOST_INSTANCES } else { 0 }) }
    })
}

/// # Safety
/// `instance` points to a writable handle.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(
    device: nvml::nvmlDevice_t,
    index: c_uint,
    instance: *mut nvml::nvmlDevice_t,
) -> Code {
    of_card(device, Question::Mig, |card, place| match &card.instances {
        Some(instances) if (index as usize) < instances.len() => {
            // SAFETY: by this function's own contract.
            unsafe { put(instance, crate::stage::handle_of_instance(place, index as usize)) }
        }
        Some(_) => NOT_FOUND,
        None => NOT_SUPPORTED,
    })
}

/// # Safety
/// `values` is null or points to `count` structs whose `fieldId` is set.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetFieldValues(
    device: nvml::nvmlDevice_t,
    count: c_int,
    values: *mut nvml::nvmlFieldValue_t,
) -> Code {
    let count = usize::try_from(count).unwrap_or_default();
    if values.is_null() || count == 0 {
        return BAD_ARGUMENT;
    }
    of_card(device, Question::Fields, |card, _| {
        // SAFETY: not null, and that many by this function's own contract.
        for value in unsafe { std::slice::from_raw_parts_mut(values, count) } {
            let said = field(card, value.fieldId);
            value.nvmlReturn = if said.is_some() { OK } else { NOT_SUPPORTED };
            value.valueType = nvml::nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT;
            value.value = nvml::nvmlValue_t { uiVal: said.unwrap_or_default() };
        }
        OK
    })
}

fn field(card: &Card, id: c_uint) -> Option<u32> {
    match id {
        field_id::NVML_FI_DEV_GET_GPU_RECOVERY_ACTION => card.recovery,
        // Not to be had of a card that is cut.
        _ if card.instances.is_some() => None,
        field_id::NVML_FI_DEV_REMAPPED_PENDING => card.repair_pending.map(u32::from),
        field_id::NVML_FI_DEV_REMAPPED_FAILURE => card.repair_failed.map(u32::from),
        _ => None,
    }
}
