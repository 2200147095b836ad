//! The owner reads one page and agrees; the PC gets a certificate of its own.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ionet_core::Phase;
use ionet_wire::Meeting;
use ionet_wire::client::Client;
use ionet_wire::message::Kind;

use crate::account::Account;
use crate::step::Step;
use crate::wait::until;
use crate::world::World;
use crate::{breaks, certificate};

/// What the page must say before anything runs: headings of the terms.
const TERMS: [&str; 3] = ["What will run here", "What it may see", "What it costs"];

pub(super) async fn walk(world: &mut World) -> Result<String> {
    if world.is_broken(Step::Enrolment) {
        breaks::foreign_authority(&mut world.stage).await?;
    }
    let page = world.window()?.shows(&["agreement"], world.patience).await?;
    for heading in TERMS {
        ensure!(page.contains(heading), "the page does not say {heading:?}");
    }
    ensure!(
        !world.pc.folders().identity().join("chain.pem").exists(),
        "it was enrolled before anybody agreed"
    );
    world.learnt.online = Some(tokio::spawn(time_to_online(world.pc.folders().meeting(), world.patience)));
    let button = world.window()?.press("agree", world.patience).await?;

    let what = "the app is enrolled";
    let snapshot = world.pc.snapshot_with(what, world.patience, |now| now.device.is_some()).await?;
    let device = snapshot.device.context("no device")?;
    let seen = seen(world, &device.id).await?;
    let judged =
        certificate::judge(&world.pc.folders().identity(), &world.stage.pki().ca, &device.id, &device.region)
            .context("the certificate")?;
    ensure!(judged.days == 7, "the certificate lives {} days", judged.days);

    let account = Account::sign_in(&world.stage.endpoints(), "alice", "demo").await?;
    let listed = account.devices().await?.devices;
    let [one] = listed.as_slice() else { anyhow::bail!("the gateway lists {} devices", listed.len()) };
    ensure!(one.device == device.id && one.end.is_none(), "the gateway lists {}", one.device);
    let other = Account::sign_in(&world.stage.endpoints(), "bob", "demo").await?;
    ensure!(other.devices().await?.devices.is_empty(), "another account sees this PC");
    world.learnt.device = Some(device.id.clone());
    Ok(format!(
        "the page told what runs, what it sees and what it costs; after “{button}” the window shows {seen}; the gateway \
         lists {} for alice and nothing for bob; the chain leads to the region's root, names {}, lives {} days, and its \
         key (0600) is this PC's",
        device.id,
        judged.names.join(" and "),
        judged.days
    ))
}

/// The set-up list goes by quickly: its line, or the device itself on the screen after it.
async fn seen(world: &World, device: &str) -> Result<String> {
    let window = world.window()?;
    until("the window shows that this PC is enrolled", world.patience, || async {
        let text = window.text().await?;
        if text.contains(device) {
            return Ok(Some(format!("device {device}")));
        }
        let steps: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let done = steps.windows(2).any(|pair| pair == ["A certificate for this PC", "done"]);
        Ok(done.then(|| "“A certificate for this PC: done”".to_owned()))
    })
    .await
}

/// From the owner's agreement to the app's word that it is online; none if that never comes.
async fn time_to_online(meeting: Meeting, patience: Duration) -> Option<Duration> {
    let watch = async {
        let mut app = Client::connect(&meeting, Kind::Command).await.ok()?;
        while app.next().await.ok()?.agreement.agreed.is_none() {}
        let agreed = Instant::now();
        while app.next().await.ok()?.phase != Phase::Waiting {}
        Some(agreed.elapsed())
    };
    tokio::time::timeout(patience, watch).await.ok()?
}
