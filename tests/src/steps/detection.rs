//! The card that NVML tells of is the card that the window shows.

use anyhow::{Context as _, Result, ensure};
use ionet_core::time::Bytes;

use crate::card;
use crate::world::World;

pub(super) async fn walk(world: &mut World) -> Result<String> {
    let what = "the hardware is known";
    let snapshot = world.pc.snapshot_with(what, world.patience, |now| now.hardware.is_some()).await?;
    let hardware = snapshot.hardware.context("no hardware")?;
    let gpu = hardware.gpus.first().context("no card was found")?;
    let shown = world.window()?.says(&gpu.name, world.patience).await?;
    if card::is_real() {
        ensure!(!hardware.driver.double, "there is a real card, and the double answered");
    } else {
        ensure!(gpu.name == card::NAME, "the script plays {}, the app found {}", card::NAME, gpu.name);
        ensure!(hardware.driver.double, "the double does not say that it is one");
    }
    let memory = hardware.memory_of(gpu).unwrap_or_default();
    ensure!(gpu.uuid.starts_with("GPU-") && memory > Bytes(0), "uuid {}, memory {:?}", gpu.uuid, gpu.memory);
    ensure!(hardware.cpu.threads > 0 && hardware.memory > Bytes(0), "processor or memory is missing");
    ensure!(!hardware.os.kernel.is_empty(), "the kernel is missing");
    Ok(format!(
        "window shows “{shown}”; NVML says {} ({} MiB, driver {}), system {} {} with {} threads",
        gpu.name,
        memory.0 >> 20,
        hardware.driver.version,
        hardware.os.name,
        hardware.os.version,
        hardware.cpu.threads
    ))
}
