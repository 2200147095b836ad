//! Quit asks while a job runs, then leaves nothing and says so.

use anyhow::{Context as _, Result, ensure};

use crate::step::Step;
use crate::wait::until;
use crate::world::World;
use crate::{breaks, leavings};

pub(super) async fn walk(world: &mut World) -> Result<String> {
    let window = world.window()?;
    window.shows(&["earning"], world.patience).await?;
    let asked = world.desktop.tray.click("Quit", world.patience, |line| line.label.trim() == "Quit").await?;
    let question = window.says("Quit anyway?", world.patience).await?;
    let in_menu = world.desktop.tray.menu().await?;
    ensure!(
        in_menu.iter().any(|line| line.label.contains("Quit and stop")),
        "the tray does not ask: {in_menu:?}"
    );
    ensure!(!world.live_allocations().await?.is_empty(), "the job was stopped before anybody answered");
    window.press("quit-anyway", world.patience).await?;

    let mut resident = world.resident.take().context("no resident program of ours runs")?;
    let ended = resident.ended(world.patience).await;
    let _orphan = if world.is_broken(Step::Quit) { Some(breaks::orphan(world)?) } else { None };
    let code = ended?;
    ensure!(code == Some(0), "the resident program ended with {code:?}");
    let farewell = world.window()?.says("Nothing of it is left", world.patience).await?;
    world.close_window().await?;
    leavings::gone(world, &allocations(world).await?, |_| false).await?;
    until("socket and tray item are gone", world.patience, || async {
        ensure!(!world.pc.folders().run.join("supplier.sock").exists(), "the socket still lies there");
        ensure!(!world.desktop.tray.is_shown().await, "the tray item is still there");
        Ok(Some(()))
    })
    .await?;
    until("the region has nothing on this PC", world.patience, || async {
        let live = world.live_allocations().await?;
        ensure!(live.is_empty(), "{} allocations hold the PC", live.len());
        Ok(Some(()))
    })
    .await?;
    let last = last_words(world)?;
    let told = world.desktop.notifications.shown();
    ensure!(told.iter().any(|one| one.body.contains("Nothing of it is left")), "the owner was told {told:?}");
    Ok(format!(
        "tray's “{asked}” asked “{question}”; after that it ended with 0, window said “{farewell}”; no process, container, port, socket or \
         tray item is left, the region has nothing on the node, and a notification says so, and the log ends with “{last}” and clean"
    ))
}

/// Every allocation that this PC has had.
async fn allocations(world: &World) -> Result<Vec<String>> {
    let all = world.allocations().await?;
    Ok(all.iter().filter_map(|one| one["ID"].as_str()).map(str::to_owned).collect())
}

/// The last line that the app wrote, wherever the logbook has put it by now: it says that nothing was left.
pub(super) fn last_words(world: &World) -> Result<String> {
    let mut lines = Vec::new();
    for file in crate::files::below(&world.pc.folders().logs)? {
        let path = file.to_string_lossy();
        if !path.contains("/app/") {
            continue;
        }
        let bytes = std::fs::read(&file)?;
        let text = if path.ends_with(".gz") { crate::files::unpacked(&bytes)? } else { bytes };
        let newest = String::from_utf8_lossy(&text).lines().last().map(str::to_owned);
        lines.extend(newest.and_then(|line| serde_json::from_str::<serde_json::Value>(&line).ok()));
    }
    let time = |line: &serde_json::Value| line["timestamp"].as_str().unwrap_or_default().to_owned();
    let last = lines.into_iter().max_by_key(time).context("the app wrote no log")?;
    ensure!(last["clean"] == true, "the log ends with {last}");
    Ok(last["message"].as_str().unwrap_or_default().to_owned())
}
