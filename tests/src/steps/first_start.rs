//! The app is started twice; one tray item, one window, one resident program.

use std::time::Instant;

use anyhow::{Result, ensure};
use rustix::process::Signal;

use crate::pc::Pc;
use crate::processes::{self, Process};
use crate::wait::until_seen;
use crate::window::web_view;
use crate::world::World;

pub(super) async fn walk(world: &mut World) -> Result<String> {
    let pc = &world.pc;
    let started = Instant::now();
    let first = pc.command(&[]).await?;
    ensure!(first.status.success(), "the first start failed: {}", String::from_utf8_lossy(&first.stderr));
    let face = world.desktop.tray.item(world.patience).await?;
    world.learnt.measured.insert("first_start_to_tray", started.elapsed());
    ensure!(face.has_icon, "the tray item has no icon");

    let window = until_seen("one window that holds the wire", world.patience, || one_window(pc)).await?;
    let resident = pc.resident_pid().await?;
    let again = pc.command(&[]).await?;
    ensure!(again.status.success(), "the second start failed: {}", String::from_utf8_lossy(&again.stderr));
    ensure!(pc.resident_pid().await? == resident, "the second start replaced the resident program");
    let residents = residents(pc);
    ensure!(residents.len() == 1, "resident programs: {}", processes::listed(&residents));
    until_seen("still one window", world.patience, || one_window(pc)).await?;

    processes::signal(window.pid, Signal::TERM)?;
    until_seen("the window's process ends", world.patience, || Ok(pc.windows().is_empty().then_some(())))
        .await?;
    ensure!(pc.resident_pid().await? == resident, "the resident program ended with the window");
    world.open_window().await?;
    world.window()?.shows(&["welcome"], world.patience).await?;
    let shown = until_seen("the window", world.patience, || Ok(world.pc.windows().pop())).await?;
    let web_view = web_view(shown.pid, world.patience).await?;
    ensure!(leaves_the_card_alone(&web_view), "the window's web view is free to use the graphics card");
    let heading = world.window()?.field("phase", world.patience).await?;
    let lead = world.window()?.field("phase-detail", world.patience).await?;
    let title = world.desktop.tray.titled(&heading, world.patience).await?;
    Ok(format!(
        "tray item “{title}” with an icon, window “{heading}: {lead}”; window process {} held the wire to resident {resident}, \
         a second start ended with 0 and left one of each, the resident stayed when the window closed; the page is painted by the processor",
        window.pid
    ))
}

fn one_window(pc: &Pc) -> Result<Option<Process>> {
    let windows = pc.windows();
    ensure!(windows.len() <= 1, "windows: {}", processes::listed(&windows));
    let open = processes::connections(&pc.folders().run.join("supplier.sock"))?;
    Ok(windows.into_iter().next().filter(|_| open == 1))
}

/// Whether WebKitGTK is told to paint its page by the processor.
fn leaves_the_card_alone(web_view: &Process) -> bool {
    web_view.environment().contains(&("WEBKIT_DISABLE_COMPOSITING_MODE".to_owned(), "1".to_owned()))
}

fn residents(pc: &Pc) -> Vec<Process> {
    let resident = |process: &Process| {
        process.name() == "ionet-supplier" && process.command.split(' ').any(|argument| argument == "run")
    };
    pc.processes(None).into_iter().filter(resident).collect()
}
