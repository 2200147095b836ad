//! Past earnings, by period and by job, of one PC or of all that an account ever had.
//!
//! Every amount is a difference of two running totals of the ledger, so that periods which meet add up to the whole.

use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ionet_gateway_api::{JobEarnings, JobsAnswer, JobsRequest, PeriodsAnswer, PeriodsRequest, Problem, path};

use crate::Shared;
use crate::accounts::Account;
use crate::clock::now_ns;
use crate::devices::Device;
use crate::extract::{Asked, Json};
use crate::ledger::{Entry, decimal};
use crate::problem::Refusal;
use crate::store::{Cursor, HistoryRow, Whose};

/// What a question by period counts for, measured by a page of jobs: it may read many of them.
const PERIODS_COUNT: u64 = 4;
const MOST_BOUNDARIES: usize = 1_000;
const LONGEST_PAGE: u32 = 1_000;
const NS_IN_MS: i64 = 1_000_000;

/// What this device earned in each period.
#[utoipa::path(
    post, path = path::DEVICE_PERIODS, tag = "device", request_body = PeriodsRequest, security(("device" = [])),
    responses(
        (status = 200, body = PeriodsAnswer),
        (status = 400, body = Problem, description = "bad-request", content_type = "application/problem+json"),
        (status = 401, body = Problem, description = "no-certificate", content_type = "application/problem+json"),
        (status = 403, body = Problem, description = "device-lost, device-retired", content_type = "application/problem+json"),
    )
)]
pub(crate) async fn device_periods(
    State(gateway): State<Shared>,
    Asked(device, body): Asked<Device, PeriodsRequest>,
) -> Result<Json<PeriodsAnswer>, Refusal> {
    gateway.limits.history.take_many(device.id.as_str(), PERIODS_COUNT)?;
    periods(&gateway, Whose::Device(&device.id), &body).await.map(Json)
}

/// What this device earned with each job, newest placement first.
#[utoipa::path(
    post, path = path::DEVICE_JOBS, tag = "device", request_body = JobsRequest, security(("device" = [])),
    responses(
        (status = 200, body = JobsAnswer),
        (status = 400, body = Problem, description = "bad-request", content_type = "application/problem+json"),
        (status = 401, body = Problem, description = "no-certificate", content_type = "application/problem+json"),
        (status = 403, body = Problem, description = "device-lost, device-retired", content_type = "application/problem+json"),
    )
)]
pub(crate) async fn device_jobs(
    State(gateway): State<Shared>,
    Asked(device, body): Asked<Device, JobsRequest>,
) -> Result<Json<JobsAnswer>, Refusal> {
    gateway.limits.history.take(device.id.as_str())?;
    jobs(&gateway, Whose::Device(&device.id), &body).await.map(Json)
}

/// What all devices that the account ever had earned in each period.
#[utoipa::path(
    post, path = path::ACCOUNT_PERIODS, tag = "account", request_body = PeriodsRequest, security(("account" = [])),
    responses(
        (status = 200, body = PeriodsAnswer),
        (status = 400, body = Problem, description = "bad-request", content_type = "application/problem+json"),
        (status = 401, body = Problem, description = "not-signed-in, session-ended", content_type = "application/problem+json"),
    )
)]
pub(crate) async fn account_periods(
    State(gateway): State<Shared>,
    Asked(account, body): Asked<Account, PeriodsRequest>,
) -> Result<Json<PeriodsAnswer>, Refusal> {
    gateway.limits.history.take_many(account.id.as_str(), PERIODS_COUNT)?;
    periods(&gateway, Whose::Account(&account.id), &body).await.map(Json)
}

/// What all devices that the account ever had earned with each job, newest placement first.
#[utoipa::path(
    post, path = path::ACCOUNT_JOBS, tag = "account", request_body = JobsRequest, security(("account" = [])),
    responses(
        (status = 200, body = JobsAnswer),
        (status = 400, body = Problem, description = "bad-request", content_type = "application/problem+json"),
        (status = 401, body = Problem, description = "not-signed-in, session-ended", content_type = "application/problem+json"),
    )
)]
pub(crate) async fn account_jobs(
    State(gateway): State<Shared>,
    Asked(account, body): Asked<Account, JobsRequest>,
) -> Result<Json<JobsAnswer>, Refusal> {
    gateway.limits.history.take(account.id.as_str())?;
    jobs(&gateway, Whose::Account(&account.id), &body).await.map(Json)
}

async fn periods(
    gateway: &Shared,
    whose: Whose<'_>,
    asked: &PeriodsRequest,
) -> Result<PeriodsAnswer, Refusal> {
    let boundaries = &asked.boundaries_ms;
    if !(2..=MOST_BOUNDARIES).contains(&boundaries.len()) {
        return Err(bad("boundaries_ms holds 2 to 1000 moments"));
    }
    if !boundaries.is_sorted_by(|earlier, later| earlier < later) {
        return Err(bad("boundaries_ms must rise"));
    }
    let now = known_until_ns(gateway);
    let moments: Vec<i64> = boundaries.iter().map(|ms| ns(*ms).min(now)).collect();
    let (first, last) = (moments[0], moments[moments.len() - 1]);
    let mut amounts = vec![0; moments.len() - 1];
    let mut cursor = Cursor::at(last);
    let question = gateway.history.question(whose.name()).await;
    loop {
        let _page = question.page().await?;
        let rows = gateway.store.ledger(whose, first, &cursor, LONGEST_PAGE).await?;
        for row in &rows {
            add(&mut amounts, &moments, &row.entry(), row.silent_since_ns());
        }
        match rows.last() {
            Some(row) if rows.len() == LONGEST_PAGE as usize => cursor = Cursor::of(row),
            Some(_) | None => break,
        }
    }
    Ok(PeriodsAnswer {
        amounts: amounts.into_iter().map(decimal).collect(),
        currency: gateway.config.prices.currency.clone(),
        as_of_ms: now / NS_IN_MS,
    })
}

/// Adds what one allocation earned in each period. A total never falls, so beyond the boundary at which it is what it is
/// at the last one there is nothing to add.
fn add(amounts: &mut [i64], moments: &[i64], entry: &Entry, silent_since_ns: Option<i64>) {
    let total_at = |moment: i64| entry.total_at(moment, silent_since_ns);
    let whole = moments.last().map_or(0, |last| total_at(*last));
    let begin = moments.partition_point(|moment| *moment <= entry.created_ns).saturating_sub(1);
    let mut before = total_at(moments[begin]);
    for (amount, moment) in amounts[begin..].iter_mut().zip(&moments[begin + 1..]) {
        if before == whole {
            break;
        }
        let total = total_at(*moment);
        *amount = amount.saturating_add(total.saturating_sub(before));
        before = total;
    }
}

async fn jobs(gateway: &Shared, whose: Whose<'_>, asked: &JobsRequest) -> Result<JobsAnswer, Refusal> {
    if !(1..=LONGEST_PAGE).contains(&asked.limit) {
        return Err(bad("limit is 1 to 1000"));
    }
    if asked.from_ms >= asked.to_ms {
        return Err(bad("from_ms must be before to_ms"));
    }
    let now = known_until_ns(gateway);
    let (from, to) = (ns(asked.from_ms), ns(asked.to_ms));
    let after = match &asked.after {
        Some(text) => read_cursor(text).ok_or_else(|| bad("after is not the next of a page"))?,
        None => Cursor::at(to),
    };
    let question = gateway.history.question(whose.name()).await;
    let _page = question.page().await?;
    let mut rows = gateway.store.history(whose, from, &after, asked.limit + 1).await?;
    let more = rows.len() > asked.limit as usize;
    rows.truncate(asked.limit as usize);
    Ok(JobsAnswer {
        next: rows.last().filter(|_| more).map(|row| write_cursor(&Cursor::of(&row.ledger))),
        jobs: rows.into_iter().map(|row| job(row, from, to.min(now))).collect(),
        currency: gateway.config.prices.currency.clone(),
        as_of_ms: now / NS_IN_MS,
    })
}

fn job(row: HistoryRow, from_ns: i64, to_ns: i64) -> JobEarnings {
    let HistoryRow { ledger, label, gpu, .. } = row;
    let entry = ledger.entry();
    JobEarnings {
        amount: decimal(entry.earned_between(from_ns, to_ns, ledger.silent_since_ns())),
        placed_at_ms: entry.created_ns / NS_IN_MS,
        started_at_ms: entry.started_ns().map(|started| started / NS_IN_MS),
        ended_at_ms: entry.ended_ns.map(|ended| ended / NS_IN_MS),
        rate_per_hour: decimal(entry.rate_micros_per_hour),
        end: entry.end().map(str::to_owned),
        allocation: ledger.allocation,
        job: ledger.job,
        device: ledger.device,
        label,
        gpu,
    }
}

/// What a silent region does not confirm is not counted as earned.
fn known_until_ns(gateway: &Shared) -> i64 {
    gateway.region.confirmed_until_ms().map_or_else(now_ns, ns)
}

fn write_cursor(cursor: &Cursor) -> String {
    URL_SAFE_NO_PAD.encode(format!("{} {}", cursor.placed_ns, cursor.allocation))
}

fn read_cursor(text: &str) -> Option<Cursor> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let (placed_ns, allocation) = text.split_once(' ')?;
    Some(Cursor { placed_ns: placed_ns.parse().ok()?, allocation: allocation.to_owned() })
}

fn ns(ms: i64) -> i64 {
    ms.saturating_mul(NS_IN_MS)
}

fn bad(what: &str) -> Refusal {
    Refusal::BadRequest(what.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ledger::{ClientStatus, Gap, Sighting};

    const MINUTE: i64 = 60_000_000_000;

    fn sighting(status: ClientStatus, modify_index: i64, modify_ns: i64) -> Sighting {
        Sighting {
            status,
            stop_desired: false,
            started: false,
            lead_ns: None,
            modify_index,
            modify_ns,
            told: true,
        }
    }

    /// Lives with all that bears on their amount: whether they ran, a stop, an end, gaps of their node, silence.
    fn any_entry() -> impl Strategy<Value = (Entry, Option<i64>)> {
        let life = (-50..50_i64, prop::option::of(0..60_i64), prop::option::of(60..200_i64));
        let bounds = (prop::option::of(0..200_i64), prop::option::of(0..200_i64));
        let gaps = prop::collection::vec((0..200_i64, prop::option::of(0..30_i64)), 0..4);
        (life, bounds, gaps, 0..90_000_000_i64).prop_map(
            |((placed, ran, ended), (stop, silent), gaps, rate_micros_per_hour)| {
                // Minutes and a bit, so that amounts have parts below a millionth.
                let after = |minutes: i64| (placed + minutes) * (MINUTE + 123_457);
                let first = sighting(ClientStatus::Pending, 1, after(0));
                let mut entry = Entry::new(after(0), rate_micros_per_hour, first);
                if let Some(ran) = ran {
                    entry.see(sighting(ClientStatus::Running, 2 + ran, after(ran)));
                }
                if let Some(ended) = ended {
                    entry.see(sighting(ClientStatus::Complete, 2 + ended, after(ended)));
                }
                entry.stop_desired_ns = stop.map(after);
                let to_ns = |from: i64, long: Option<i64>| long.map(|long| after(from + long));
                entry.gaps = gaps
                    .into_iter()
                    .map(|(from, long)| Gap { from_ns: after(from), to_ns: to_ns(from, long) })
                    .collect();
                (entry, silent.map(after))
            },
        )
    }

    proptest! {
        #[test]
        fn periods_are_to_the_millionth_what_the_ledger_says_of_each_and_of_the_whole(
            entries in prop::collection::vec(any_entry(), 1..20),
            moments in prop::collection::btree_set(-100..300_i64, 2..40),
        ) {
            let moments: Vec<i64> = moments.into_iter().map(|minute| minute * MINUTE).collect();
            let mut amounts = vec![0; moments.len() - 1];

            for (entry, silent) in &entries {
                add(&mut amounts, &moments, entry, *silent);
            }

            let earned = |from: i64, to: i64| -> i64 {
                entries.iter().map(|(entry, silent)| entry.earned_between(from, to, *silent)).sum()
            };
            let by_ledger: Vec<i64> = moments.windows(2).map(|pair| earned(pair[0], pair[1])).collect();
            prop_assert_eq!(&amounts, &by_ledger);
            prop_assert_eq!(amounts.iter().sum::<i64>(), earned(moments[0], moments[moments.len() - 1]));
        }

        #[test]
        fn a_cursor_reads_back_as_it_was_written(placed_ns in any::<i64>(), allocation in ".{0,60}") {
            let cursor = Cursor { placed_ns, allocation };

            prop_assert_eq!(read_cursor(&write_cursor(&cursor)), Some(cursor));
        }
    }
}
