//! What `ionet-sensors` expects of NVML, held to the double and, where there is one, to a real driver.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "these are tests, their helpers too")]

mod cards;
mod driver;
mod sleep;
mod stage;
