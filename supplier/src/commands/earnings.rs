//! `earnings`: what was earned, by period or by job, for people, tables and programs. The gateway's ledger answers, through the
//! running app; days are this PC's.

mod days;
mod print;

use anyhow::{Context as _, Result, bail};
use chrono::{Days, Local, NaiveDate};
use ionet_core::UnixMs;
use ionet_core::earnings::{EarningsAnswer, EarningsQuestion, JobsPage, Periods, Scope};
use ionet_core::question::{Answer, Question, Refused};
use ionet_wire::WireError;
use ionet_wire::client::Client;
use ionet_wire::message::Kind;
use ionet_wire::paths::Folders;
use ionet_words::Words;

use crate::day;

pub use days::By;

#[derive(clap::Args)]
pub struct Arguments {
    /// The first day, 2026-11-01; without it the last thirty days.
    #[arg(long, value_name = "DATE")]
    from: Option<NaiveDate>,
    /// The last day; without it today.
    #[arg(long, value_name = "DATE")]
    to: Option<NaiveDate>,
    /// A line for each of these.
    #[arg(long, value_enum, default_value_t = By::Day, conflicts_with = "jobs")]
    by: By,
    /// A line for each job instead: from, to, card, rate, amount, and why it ended.
    #[arg(long)]
    jobs: bool,
    /// Of all PCs of the account that is signed in, not of this one alone.
    #[arg(long)]
    account: bool,
    /// Comma-separated, with a head line.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    #[arg(long)]
    json: bool,
}

/// How it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Csv,
    Json,
}

/// As many as the gateway gives at once.
const PAGE: u32 = 1_000;

/// # Errors
/// [`WireError::NobodyThere`] when the app does not run; else why there is no answer, in words for its owner.
pub async fn earnings(folders: &Folders, arguments: &Arguments) -> Result<String> {
    let to = arguments.to.unwrap_or_else(|| Local::now().date_naive());
    let from = arguments.from.or_else(|| to.checked_sub_days(Days::new(29))).unwrap_or(to);
    if from > to {
        bail!("the first day, {from}, comes after the last one, {to}");
    }
    let scope = if arguments.account { Scope::Account } else { Scope::ThisPc };
    let mut client = Client::connect(&folders.meeting(), Kind::Command).await?;
    let form = match (arguments.csv, arguments.json) {
        (true, _) => Form::Csv,
        (_, true) => Form::Json,
        (false, false) => Form::Plain,
    };
    if arguments.jobs {
        let jobs = jobs(&mut client, scope, from, to).await?;
        return print::jobs(&jobs, form, &Local);
    }
    let (starts, boundaries) = days::periods(arguments.by, from, to, &Local)?;
    let periods = periods(&mut client, scope, boundaries).await?;
    print::periods(&starts, &periods, form, &Local)
}

async fn periods(client: &mut Client, scope: Scope, boundaries: Vec<UnixMs>) -> Result<Periods> {
    match ask(client, EarningsQuestion::Periods { scope, boundaries }).await? {
        EarningsAnswer::Periods(periods) => Ok(periods),
        EarningsAnswer::Jobs(_) => bail!("the app answered another question"),
    }
}

/// All pages in one, newest placement first, as of the oldest of them.
async fn jobs(client: &mut Client, scope: Scope, from: NaiveDate, to: NaiveDate) -> Result<JobsPage> {
    let (from, to) = (day::began(from, &Local)?, days::ended(to, &Local)?);
    let mut all: Option<JobsPage> = None;
    loop {
        let after = all.as_ref().and_then(|page| page.next.clone());
        let question = EarningsQuestion::Jobs { scope, from, to, after, limit: PAGE };
        let EarningsAnswer::Jobs(page) = ask(client, question).await? else {
            bail!("the app answered another question");
        };
        let whole = match all.take() {
            Some(before) => JobsPage {
                as_of: before.as_of.min(page.as_of),
                jobs: before.jobs.into_iter().chain(page.jobs).collect(),
                ..page
            },
            None => page,
        };
        if whole.next.is_none() {
            return Ok(whole);
        }
        all = Some(whole);
    }
}

async fn ask(client: &mut Client, question: EarningsQuestion) -> Result<EarningsAnswer> {
    match client.ask(Question::Earnings(question)).await {
        Ok(Answer::Earnings(answer)) => Ok(answer),
        Err(WireError::Refused(Refused::Problem { problem })) => {
            let words = Words::of_this_desktop();
            bail!("{}: {}", words.problem_title(&problem), words.problem_body(&problem))
        }
        Err(error) => Err(error).context("the app gave no answer"),
    }
}
