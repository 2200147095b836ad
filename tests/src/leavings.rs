//! What work may leave on a PC: processes, ports, mounts, a capsule.

use anyhow::{Result, ensure};

use crate::processes::{self, Process};
use crate::world::World;
use crate::{mounts, wait};

/// Waits until nothing of the app is left but what `kept` names, nor anything of these allocations.
pub async fn gone(world: &World, allocations: &[String], kept: impl Fn(&Process) -> bool) -> Result<()> {
    let driver = world.window.as_ref().and_then(|window| window.driver_pid());
    wait::until_seen("nothing of the app's work is left", world.patience, || {
        let (stay, mut left): (Vec<Process>, Vec<Process>) =
            world.pc.processes(driver).into_iter().partition(&kept);
        left.extend(allocations.iter().flat_map(|allocation| processes::of_allocation(allocation)));
        ensure!(left.is_empty(), "still there: {}", processes::listed(&left));
        let listening: Vec<_> = stay.iter().flat_map(processes::listening).collect();
        ensure!(listening.is_empty(), "still listening: {listening:?}");
        world.pc.capsule_gone()?;
        let mounted = mounts::below(world.pc.home());
        ensure!(mounted.is_empty(), "still mounted: {mounted:?}");
        Ok(Some(()))
    })
    .await
}
