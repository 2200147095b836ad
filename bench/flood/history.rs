//! How long the past takes while nobody else asks for anything.

use anyhow::{Result, ensure};
use ionet_gateway_api::{JobsAnswer, JobsRequest};
use reqwest::Client;
use tokio::time::Instant;

use crate::report::Samples;

/// So often, and so many jobs on a page: within a device's pages a minute.
const READINGS: usize = 8;
const PAGE: u32 = 1_000;

/// Reads the whole past of a device again and again, page by page, and times the first page and all of them.
pub(crate) async fn read(client: &Client, url: &str, jobs: usize, samples: &Samples) -> Result<()> {
    for _ in 0..READINGS {
        let (begun, mut after, mut found, mut pages) = (Instant::now(), None, 0, 0);
        loop {
            let question = JobsRequest { from_ms: 0, to_ms: i64::MAX / 1_000_000, after, limit: PAGE };
            let answer = client.post(url).json(&question).send().await?.error_for_status()?;
            let body = answer.bytes().await?;
            if pages == 0 {
                samples.page(begun.elapsed());
            }
            let page: JobsAnswer = serde_json::from_slice(&body)?;
            (found, pages, after) = (found + page.jobs.len(), pages + 1, page.next);
            if after.is_none() {
                break;
            }
        }
        ensure!(found == jobs, "{found} of {jobs} jobs are told");
        samples.history(begun.elapsed());
    }
    Ok(())
}
