//! Questions about the past, held against the ledger's own arithmetic.

use std::collections::BTreeMap;

use ionet_gateway::ledger::amount;
use ionet_gateway_api::{JobEarnings, JobsAnswer, PeriodsAnswer, code, path};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::SqlitePool;

use crate::stand::region::now_s;
use crate::stand::{Pc, Stand, is, problem, read};

const HOUR_MS: i64 = 3_600_000;
const RATE: i64 = 7_777_777;

/// Writes ended jobs straight into the ledger: number `i` was placed `i` minutes after `begin_ms` and ran for `run_ms(i)`.
async fn fill(stand: &Stand, pc: &Pc, name: &str, begin_ms: i64, count: i64, run_ms: impl Fn(i64) -> i64) {
    let pool = SqlitePool::connect(&stand.config.database_url).await.unwrap();
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query(
        "INSERT INTO nodes (node, device, status, eligible, present, create_index, modify_index, status_updated_s) \
         VALUES ($1, $2, 'down', 0, 0, 1, 1, 0) ON CONFLICT (node) DO NOTHING",
    )
    .bind(format!("node-of-{}", pc.id()))
    .bind(pc.id())
    .execute(&mut *tx)
    .await
    .unwrap();
    for i in 0..count {
        let begin_ns = (begin_ms + i * 60_000) * 1_000_000;
        sqlx::query(INSERT)
            .bind(format!("{name}-{i:05}"))
            .bind(format!("node-of-{}", pc.id()))
            .bind(pc.id())
            .bind(begin_ns)
            .bind(begin_ns + run_ms(i) * 1_000_000)
            .bind(RATE)
            .bind(record(begin_ns, begin_ns + run_ms(i) * 1_000_000))
            .execute(&mut *tx)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    pool.close().await;
}

const INSERT: &str = "INSERT INTO allocations (allocation, node, device, account, job, status, modify_index, \
    created_ns, ran, ended_ns, confirmed_ns, rate_micros_per_hour, marks) VALUES ($1, $2, $3, \
    (SELECT account FROM devices WHERE device = $3), 'render', 'complete', 1, $4, 1, $5, 0, $6, $7)";

/// The servers' record of one that ran from its placement to its end.
fn record(begin_ns: i64, end_ns: i64) -> String {
    let mark = |at_ns: i64, status: &str| json!({ "at_ns": at_ns, "status": status, "told": true });
    json!({ "1": mark(begin_ns, "running"), "2": mark(end_ns, "complete") }).to_string()
}

/// Some moment of last week.
fn begin() -> i64 {
    (now_s() - 8 * 86_400) * 1_000
}

async fn ask(stand: &Stand, pc: &Pc, path: &str, body: Value) -> reqwest::Response {
    stand.send(&pc.http, Method::POST, path, Some(body)).await
}

async fn ask_as(stand: &Stand, subject: &str, path: &str, body: Value) -> reqwest::Response {
    stand.send_as(&stand.issuer.token(subject), Method::POST, path, Some(body)).await
}

fn micros(amount: &str) -> i64 {
    let (whole, part) = amount.split_once('.').unwrap();
    assert_eq!(part.len(), 6, "{amount}");
    whole.parse::<i64>().unwrap() * 1_000_000 + part.parse::<i64>().unwrap()
}

fn sum<'a>(amounts: impl IntoIterator<Item = &'a String>) -> i64 {
    amounts.into_iter().map(|amount| micros(amount)).sum()
}

/// All pages; between the first and the second, `meanwhile` happens.
async fn all_jobs(
    page: impl AsyncFn(Value) -> JobsAnswer,
    (from_ms, to_ms): (i64, i64),
    limit: u32,
    meanwhile: impl AsyncFnOnce(),
) -> Vec<JobEarnings> {
    let mut ask = json!({ "from_ms": from_ms, "to_ms": to_ms, "limit": limit });
    let mut found = Vec::new();
    let mut meanwhile = Some(meanwhile);
    loop {
        let answer = page(ask.clone()).await;
        assert!(answer.jobs.len() <= limit as usize);
        found.extend(answer.jobs);
        let Some(next) = answer.next else { return found };
        ask["after"] = json!(next);
        if let Some(meanwhile) = meanwhile.take() {
            meanwhile().await;
        }
    }
}

#[tokio::test]
async fn ten_thousand_jobs_are_paged_through_whole_and_add_up_with_the_periods_to_the_millionth() {
    let stand = Stand::start_with(|config| config.limits.history.count = 1_000).await;
    let pc = stand.enrol("alice").await;
    let run_ms = |i: i64| 1_000 + (i * 7_919) % HOUR_MS;
    fill(&stand, &pc, "job", begin(), 10_000, run_ms).await;
    let range = (begin() - HOUR_MS, now_s() * 1_000);

    let by_device = async |body| read(ask(&stand, &pc, path::DEVICE_JOBS, body).await).await;
    let jobs = all_jobs(by_device, range, 1_000, async || {
        fill(&stand, &pc, "later", begin() + 10_000 * 60_000, 50, |_| 1_000).await;
    })
    .await;

    let names: Vec<&str> = jobs.iter().map(|job| job.allocation.as_str()).collect();
    let expected: Vec<String> = (0..10_000).rev().map(|i| format!("job-{i:05}")).collect();
    assert_eq!(names, expected);
    let ledger: i64 = (0..10_000).map(|i| amount(run_ms(i) * 1_000_000, RATE)).sum();
    assert_eq!(sum(jobs.iter().map(|job| &job.amount)), ledger);
    let later = 50 * amount(1_000_000_000, RATE);
    let step = (range.1 - range.0) / 999;
    let boundaries: Vec<i64> = (0..999).map(|i| range.0 + i * step).chain([range.1]).collect();
    for (path, answer) in [
        (
            path::DEVICE_PERIODS,
            ask(&stand, &pc, path::DEVICE_PERIODS, json!({ "boundaries_ms": boundaries })).await,
        ),
        (
            path::ACCOUNT_PERIODS,
            ask_as(&stand, "alice", path::ACCOUNT_PERIODS, json!({ "boundaries_ms": boundaries })).await,
        ),
    ] {
        let periods: PeriodsAnswer = read(answer).await;
        assert_eq!(periods.amounts.len(), 999);
        assert_eq!(sum(&periods.amounts), ledger + later, "{path}");
        assert_eq!(periods.currency, ionet_gateway_api::CURRENCY);
    }
}

#[tokio::test]
async fn periods_that_meet_add_up_over_several_questions_too() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    fill(&stand, &pc, "job", begin(), 40, |i| 333_333 * (i + 1)).await;
    let moments: Vec<i64> = (0..12).map(|i| begin() - 12_345 + i * 4_444_444).collect();

    let whole: PeriodsAnswer = read(
        ask(&stand, &pc, path::DEVICE_PERIODS, json!({ "boundaries_ms": [moments[0], moments[11]] })).await,
    )
    .await;
    let mut parts = 0;
    for pair in moments.windows(2) {
        let part: PeriodsAnswer =
            read(ask(&stand, &pc, path::DEVICE_PERIODS, json!({ "boundaries_ms": pair })).await).await;
        parts += sum(&part.amounts);
    }

    assert_eq!(parts, sum(&whole.amounts));
    assert!(parts > 0);
}

#[tokio::test]
async fn a_job_is_told_with_its_pc_its_price_its_times_and_what_it_earned_in_the_range() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    let begin = begin();
    fill(&stand, &pc, "job", begin, 1, |_| HOUR_MS).await;

    let half = json!({ "from_ms": begin + HOUR_MS / 2, "to_ms": begin + 9 * HOUR_MS, "limit": 10 });
    let answer: JobsAnswer = read(ask(&stand, &pc, path::DEVICE_JOBS, half).await).await;

    assert_eq!(answer.jobs.len(), 1);
    let job = &answer.jobs[0];
    assert_eq!((job.allocation.as_str(), job.job.as_str()), ("job-00000", "render"));
    assert_eq!((job.device.as_str(), job.label.as_str()), (pc.id(), "My PC"));
    assert_eq!((job.placed_at_ms, job.ended_at_ms), (begin, Some(begin + HOUR_MS)));
    assert_eq!((job.started_at_ms, job.end.as_deref()), (Some(begin), Some("complete")));
    assert_eq!(micros(&job.rate_per_hour), RATE);
    assert!((micros(&job.amount) - RATE / 2).abs() <= 1, "{}", job.amount);
    assert_eq!(answer.next, None);
}

#[tokio::test]
async fn what_lies_outside_the_range_is_not_in_it() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    let begin = begin();
    // One a minute, half a minute long: numbers 2 to 4 touch the range, the last of them with its first moment alone.
    fill(&stand, &pc, "job", begin, 8, |_| 30_000).await;

    let range = json!({ "from_ms": begin + 60_000 + 30_000, "to_ms": begin + 4 * 60_000 + 1, "limit": 10 });
    let answer: JobsAnswer = read(ask(&stand, &pc, path::DEVICE_JOBS, range).await).await;

    let names: Vec<&str> = answer.jobs.iter().map(|job| job.allocation.as_str()).collect();
    assert_eq!(names, ["job-00004", "job-00003", "job-00002"]);
}

#[tokio::test]
async fn an_account_is_told_of_all_its_pcs_also_of_lost_ones_and_of_nobody_elses() {
    let stand = Stand::start().await;
    let (mine, lost, bobs) =
        (stand.enrol("alice").await, stand.enrol("alice").await, stand.enrol("bob").await);
    fill(&stand, &mine, "mine", begin(), 3, |_| HOUR_MS).await;
    fill(&stand, &lost, "lost", begin() + 1, 3, |_| HOUR_MS).await;
    fill(&stand, &bobs, "bobs", begin(), 3, |_| HOUR_MS).await;
    ionet_gateway::report_lost(&stand.config, lost.id()).await.unwrap();
    let range = (begin() - HOUR_MS, now_s() * 1_000);

    let by_account = async |body| read(ask_as(&stand, "alice", path::ACCOUNT_JOBS, body).await).await;
    let jobs = all_jobs(by_account, range, 2, async || {}).await;
    let by_device = async |body| read(ask(&stand, &mine, path::DEVICE_JOBS, body).await).await;
    let own = all_jobs(by_device, range, 2, async || {}).await;
    let periods = json!({ "boundaries_ms": [range.0, range.1] });
    let whole: PeriodsAnswer = read(ask_as(&stand, "alice", path::ACCOUNT_PERIODS, periods).await).await;

    let names: Vec<&str> = jobs.iter().map(|job| job.allocation.as_str()).collect();
    assert_eq!(names, ["lost-00002", "mine-00002", "lost-00001", "mine-00001", "lost-00000", "mine-00000"]);
    assert_eq!(own.len(), 3);
    let by_device = jobs.iter().fold(BTreeMap::<&str, i64>::new(), |mut sums, job| {
        *sums.entry(&job.device).or_default() += micros(&job.amount);
        sums
    });
    assert_eq!(by_device, BTreeMap::from([(mine.id(), 3 * RATE), (lost.id(), 3 * RATE)]));
    assert_eq!(sum(&whole.amounts), 6 * RATE);
}

#[tokio::test]
async fn jobs_of_one_moment_are_paged_through_once_each() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    for name in ["a", "b", "c", "d", "e"] {
        fill(&stand, &pc, name, begin(), 1, |_| HOUR_MS).await;
    }

    let by_device = async |body| read(ask(&stand, &pc, path::DEVICE_JOBS, body).await).await;
    let jobs = all_jobs(by_device, (begin(), now_s() * 1_000), 2, async || {}).await;

    let names: Vec<&str> = jobs.iter().map(|job| job.allocation.as_str()).collect();
    assert_eq!(names, ["e-00000", "d-00000", "c-00000", "b-00000", "a-00000"]);
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_refused_with_its_reason() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    let many: Vec<i64> = (0..1_001).collect();
    let periods = [json!([]), json!([1]), json!([2, 1]), json!([1, 1]), json!(many)];
    let jobs = [
        json!({ "from_ms": 0, "to_ms": 1, "limit": 0 }),
        json!({ "from_ms": 0, "to_ms": 1, "limit": 1_001 }),
        json!({ "from_ms": 1, "to_ms": 1, "limit": 1 }),
        json!({ "from_ms": 2, "to_ms": 1, "limit": 1 }),
        json!({ "from_ms": 0, "to_ms": 1, "limit": 1, "after": "not ours" }),
        json!({ "from_ms": 0, "to_ms": 1, "limit": 1, "after": "" }),
        json!({ "from_ms": 0, "to_ms": 1, "limit": 1, "after": "MQ" }),
    ];

    for boundaries in periods {
        let body = json!({ "boundaries_ms": boundaries });
        let answer = ask(&stand, &pc, path::DEVICE_PERIODS, body.clone()).await;
        assert_eq!(problem(answer).await, is(code::BAD_REQUEST, 400), "{body}");
        let answer = ask_as(&stand, "alice", path::ACCOUNT_PERIODS, body.clone()).await;
        assert_eq!(problem(answer).await, is(code::BAD_REQUEST, 400), "{body}");
    }
    for body in jobs {
        let answer = ask(&stand, &pc, path::DEVICE_JOBS, body.clone()).await;
        assert_eq!(problem(answer).await, is(code::BAD_REQUEST, 400), "{body}");
    }
}

#[tokio::test]
async fn moments_at_the_ends_of_time_are_no_reason_to_fail() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    fill(&stand, &pc, "job", begin(), 2, |_| HOUR_MS).await;

    let body = json!({ "boundaries_ms": [i64::MIN, 0, i64::MAX] });
    let periods: PeriodsAnswer = read(ask(&stand, &pc, path::DEVICE_PERIODS, body).await).await;
    let body = json!({ "from_ms": i64::MIN, "to_ms": i64::MAX, "limit": 1_000 });
    let jobs: JobsAnswer = read(ask(&stand, &pc, path::DEVICE_JOBS, body).await).await;

    assert_eq!(sum(&periods.amounts), 2 * RATE);
    assert_eq!(sum(jobs.jobs.iter().map(|job| &job.amount)), 2 * RATE);
}
