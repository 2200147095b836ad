//! What the window shows, what the gateway's ledger holds, and what the servers' own list comes to, are one amount.

use anyhow::{Context as _, Result, ensure};
use ionet_core::money::Money;
use serde_json::{Map, Value};

use super::job;
use crate::audit::{self, Audit, Books};
use crate::step::Step;
use crate::wait::until;
use crate::world::World;
use crate::{breaks, card, region};

#[expect(clippy::too_many_lines, reason = "one scene from its beginning to its end")]
pub(super) async fn walk(world: &mut World) -> Result<String> {
    let more_than_nothing = |amount: &str| amount.parse().is_ok_and(|money: Money| money.micros > 0);
    let window = world.window()?;
    window.attribute("today", "data-amount", world.patience, more_than_nothing).await?;
    let so_far = window.attribute("job-earned", "data-amount", world.patience, more_than_nothing).await?;

    let name = world.learnt.job()?.to_owned();
    let allocation = world.learnt.first_allocation.clone().context("no job ran")?;
    world.stage.customer().delete(&format!("/v1/job/{name}")).await?;
    until("the job has ended", world.patience, || async {
        let now = world.stage.nomad_get(&format!("/v1/allocation/{allocation}")).await?;
        let status = now["ClientStatus"].clone();
        let ended = matches!(status.as_str(), Some("complete" | "failed" | "lost"));
        ensure!(ended, "it is {status}");
        Ok(Some(()))
    })
    .await?;
    world.learnt.printed = std::fs::read(job::output(world, &allocation)?).context("what the job printed")?;
    if world.is_broken(Step::Earnings) {
        breaks::alter_ledger(&world.stage.gateway_db()).await?;
    }

    let audit = until("ledger and servers agree", world.patience, || async {
        let audit = recompute(world).await?;
        ensure!(
            audit.equal && audit.allocations.iter().all(|line| line.ended),
            "servers' list comes to {}, the ledger to {}",
            amount(audit.recomputed),
            amount(audit.ledger)
        );
        Ok(Some(audit))
    })
    .await?;
    ensure!(audit.recomputed > 0 && audit.allocations.len() == 1, "{audit:?}");
    let exact = amount(audit.recomputed);
    let shown = world.window()?.attribute("today", "data-amount", world.patience, |now| now == exact).await?;
    let said = world.window()?.field("today", world.patience).await?;
    Ok(format!(
        "window showed the job at {so_far} and shows “{said}” for today after it ended; the servers' list comes to \
         {exact}, the gateway's ledger to {}, the window to {shown}",
        amount(audit.ledger)
    ))
}

/// The second opinion on everything that this node ever ran.
async fn recompute(world: &World) -> Result<Audit> {
    let mut jobs = Map::new();
    for name in &world.learnt.jobs {
        jobs.insert(name.clone(), world.stage.nomad_get(&format!("/v1/job/{name}")).await?);
    }
    let allocation = world.learnt.first_allocation.clone().context("no job ran")?;
    let events = world.stage.operator().told(|lines| audit::tells_the_end(lines, &allocation)).await?;
    let as_of_ns = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos();
    let prices = region::prices(&world.stage)?;
    let own = world.learnt.card.as_ref().is_some_and(|card| prices["gpus"][card].is_i64());
    ensure!(own || card::is_real(), "the card that the job asks for has no price of its own");
    let books = Books {
        allocations: &world.stage.nomad_get("/v1/allocations").await?,
        events: &Value::Array(events),
        jobs: &Value::Object(jobs),
        prices: &prices,
        ledger: &world.stage.gateway_db(),
        node: world.learnt.node()?,
        as_of_ns: i64::try_from(as_of_ns)?,
    };
    audit::recompute(&world.notes("audit"), &books).await
}

fn amount(micros: i64) -> String {
    Money { micros }.to_string()
}
