//! The agent's guard, inside: the one that there is outside, on the capsule's folders and engine.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use ionet_agent::{engine, images, teardown};
use tokio::time::{Instant, sleep};

use crate::inside::{AGENT_DATA, ENGINE, GUARD, LOGS};
use crate::linux::tools::ended;

/// A cold one on a slow disk.
const ENGINE_UP_WITHIN: Duration = Duration::from_secs(30);
/// An image of twenty gigabytes is worth having for the next job, and not for ever.
const IMAGES_STAY: Duration = Duration::from_secs(3_600);
const IMAGES_EVERY: Duration = Duration::from_secs(600);

/// The whole life of the guard's process. The first one of a capsule finds what an earlier capsule has left on the disk that ended by
/// force: none of it runs any more, and it goes before anybody is let in.
pub fn run(first: bool) -> ExitCode {
    let served = || -> io::Result<()> {
        if ionet_agent::guard::keep(Path::new(GUARD)).map_err(io::Error::other)? {
            return Ok(());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            if first {
                clear().await;
            }
            tokio::spawn(collect_images());
            let log = Path::new(LOGS).join("guard.log");
            ionet_agent::guard::serve(Path::new(GUARD), Some(&log)).await.map_err(io::Error::other)
        })
    };
    ended("guard", served())
}

async fn clear() {
    let deadline = Instant::now() + ENGINE_UP_WITHIN;
    while engine::ask(Path::new(ENGINE), false).await.is_err() && Instant::now() < deadline {
        sleep(Duration::from_millis(10)).await;
    }
    if !Path::new(AGENT_DATA).exists() {
        return;
    }
    let swept = teardown::in_new_world(Path::new(AGENT_DATA), Path::new(ENGINE)).await;
    if let Err(fault) = swept {
        let _ = io::Write::write_fmt(
            &mut io::stderr(),
            format_args!("guard: an earlier capsule left something: {fault}\n"),
        );
    }
}

/// As long as the capsule is there, with an agent or without: Nomad's own clean-up begins anew with each agent.
async fn collect_images() {
    loop {
        sleep(IMAGES_EVERY).await;
        let removed = images::collect(Path::new(AGENT_DATA), Path::new(ENGINE), IMAGES_STAY).await;
        if removed > 0 {
            tracing::info!(removed, "images that no job uses any more are gone");
        }
    }
}
