//! Earnings by period and by job, from the gateway's ledger.

use ionet_core::earnings::{JobEarned, JobEnd, JobsPage, Periods, Scope};
use ionet_core::fault::CloudFault;
use ionet_core::{Money, UnixMs};
use ionet_gateway_api::{JobEarnings, JobsAnswer, JobsRequest, PeriodsAnswer, PeriodsRequest, path};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cloud::Cloud;
use crate::gateway::Ask;

/// What the gateway takes in one request.
const MOST_BOUNDARIES: usize = 1000;
const MOST_JOBS: u32 = 1000;

impl Cloud {
    /// One amount for each period between two neighbours of these rising moments. Any number of them.
    pub async fn periods(&self, scope: Scope, boundaries_ms: &[i64]) -> Result<Periods, CloudFault> {
        if boundaries_ms.len() < 2 || !boundaries_ms.is_sorted_by(|one, next| one < next) {
            return Err(CloudFault::Refused(ionet_gateway_api::code::BAD_REQUEST.into()));
        }
        let mut all: Option<Periods> = None;
        let mut rest = boundaries_ms;
        while rest.len() > 1 {
            let (now, _) = rest.split_at(rest.len().min(MOST_BOUNDARIES));
            // Where one request ends, the next begins.
            rest = &rest[now.len() - 1..];
            let some = self.some_periods(scope, now).await?;
            all = Some(match all {
                None => some,
                Some(earlier) => joined(earlier, some)?,
            });
        }
        all.ok_or(CloudFault::Garbled)
    }

    /// A page of at most `limit` jobs that earned between these moments, newest first; the next one is `after` its `next`.
    pub async fn jobs(
        &self,
        scope: Scope,
        from_ms: i64,
        to_ms: i64,
        after: Option<String>,
        limit: u32,
    ) -> Result<JobsPage, CloudFault> {
        let request = JobsRequest { from_ms, to_ms, after, limit: limit.clamp(1, MOST_JOBS) };
        let paths = (path::DEVICE_JOBS, path::ACCOUNT_JOBS);
        let answer: JobsAnswer = self.asked_as(scope, paths, &request).await?;
        let jobs = answer.jobs.into_iter().map(earned).collect::<Option<_>>().ok_or(CloudFault::Garbled)?;
        Ok(JobsPage { jobs, next: answer.next, currency: answer.currency, as_of: UnixMs(answer.as_of_ms) })
    }

    async fn some_periods(&self, scope: Scope, boundaries_ms: &[i64]) -> Result<Periods, CloudFault> {
        let request = PeriodsRequest { boundaries_ms: boundaries_ms.to_vec() };
        let paths = (path::DEVICE_PERIODS, path::ACCOUNT_PERIODS);
        let answer: PeriodsAnswer = self.asked_as(scope, paths, &request).await?;
        let amounts: Option<Vec<Money>> = answer.amounts.iter().map(|text| text.parse().ok()).collect();
        let amounts = amounts.filter(|amounts| amounts.len() + 1 == boundaries_ms.len());
        let amounts = amounts.ok_or(CloudFault::Garbled)?;
        Ok(Periods { amounts, currency: answer.currency, as_of: UnixMs(answer.as_of_ms) })
    }

    async fn asked_as<T: DeserializeOwned>(
        &self,
        scope: Scope,
        (device, account): (&'static str, &'static str),
        request: &impl Serialize,
    ) -> Result<T, CloudFault> {
        match scope {
            Scope::ThisPc if !self.is_enrolled().await => Err(CloudFault::NotEnrolled),
            Scope::ThisPc => self.as_device(Ask::post(device).body(request)?).await,
            Scope::Account => self.as_account(Ask::post(account).body(request)?).await,
        }
    }
}

/// As of the older of the two: what came later may lack.
fn joined(earlier: Periods, later: Periods) -> Result<Periods, CloudFault> {
    if earlier.currency != later.currency {
        return Err(CloudFault::Garbled);
    }
    let amounts = earlier.amounts.into_iter().chain(later.amounts).collect();
    Ok(Periods { amounts, currency: earlier.currency, as_of: earlier.as_of.min(later.as_of) })
}

/// None where an amount is none: a statement with a hole would mislead.
fn earned(job: JobEarnings) -> Option<JobEarned> {
    Some(JobEarned {
        rate_per_hour: job.rate_per_hour.parse().ok()?,
        amount: job.amount.parse().ok()?,
        allocation: job.allocation,
        job: job.job,
        device: job.device,
        label: job.label,
        gpu: job.gpu,
        placed_at: UnixMs(job.placed_at_ms),
        started_at: job.started_at_ms.map(UnixMs),
        ended_at: job.ended_at_ms.map(UnixMs),
        end: job.end.as_deref().map(end_of),
    })
}

fn end_of(word: &str) -> JobEnd {
    match word {
        "complete" => JobEnd::Complete,
        "failed" => JobEnd::Failed,
        "lost" => JobEnd::Lost,
        "stopped" => JobEnd::Stopped,
        "disputed" => JobEnd::Disputed,
        _ => JobEnd::Unknown,
    }
}
