//! What was earned, as it is printed. Amounts are the ledger's, to the millionth; nothing is rounded.

use anyhow::Result;
use chrono::{DateTime, NaiveDate, SecondsFormat, TimeZone};
use ionet_core::earnings::{JobEarned, JobEnd, JobsPage, Periods};
use ionet_core::{Money, UnixMs};
use serde_json::json;

use super::Form;

pub(super) fn periods<Z: TimeZone>(
    starts: &[NaiveDate],
    periods: &Periods,
    form: Form,
    zone: &Z,
) -> Result<String> {
    let total = sum(periods.amounts.iter().copied());
    let lines = starts.iter().zip(&periods.amounts);
    let currency = &periods.currency;
    Ok(match form {
        Form::Plain => {
            let mut text: Vec<String> = lines
                .map(|(start, amount)| format!("{start}  {:>14} {currency}", amount.to_string()))
                .collect();
            text.push(format!("{:<10}  {:>14} {currency}", "total", total.to_string()));
            text.push(format!("{:<10}  {}", "as of", moment(periods.as_of, zone)));
            text.join("\n")
        }
        Form::Csv => {
            let rows = lines.map(|(start, amount)| format!("{start},{amount},{currency}"));
            ["from,amount,currency".to_owned()].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
        }
        Form::Json => {
            let rows: Vec<_> =
                lines.map(|(start, amount)| json!({"from": start.to_string(), "amount": amount})).collect();
            serde_json::to_string_pretty(&json!({
                "periods": rows, "total": total, "currency": currency, "as_of": periods.as_of,
            }))?
        }
    })
}

pub(super) fn jobs<Z: TimeZone>(page: &JobsPage, form: Form, zone: &Z) -> Result<String> {
    let JobsPage { jobs, currency, as_of, .. } = page;
    Ok(match form {
        Form::Json => serde_json::to_string_pretty(&json!({
            "jobs": jobs, "total": sum(jobs.iter().map(|job| job.amount)), "currency": currency, "as_of": as_of,
        }))?,
        Form::Csv => {
            let head = "from,to,job,pc,card,rate_per_hour,amount,currency,end".to_owned();
            let rows = jobs.iter().map(|job| row(job, currency, zone).map(|field| quoted(&field)).join(","));
            [head].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
        }
        Form::Plain => {
            let rows =
                jobs.iter().map(|job| row(job, currency, zone).map(|field| one_line(&field)).join("  "));
            let total = sum(jobs.iter().map(|job| job.amount));
            let last = [format!("total  {total} {currency}"), format!("as of  {}", moment(*as_of, zone))];
            rows.chain(last).collect::<Vec<_>>().join("\n")
        }
    })
}

fn row<Z: TimeZone>(job: &JobEarned, currency: &str, zone: &Z) -> [String; 9] {
    let time = |at: Option<UnixMs>| at.map_or_else(|| "-".to_owned(), |at| moment(at, zone));
    [
        time(job.started_at.or(Some(job.placed_at))),
        time(job.ended_at),
        job.job.clone(),
        job.label.clone(),
        job.gpu.clone().unwrap_or_else(|| "-".to_owned()),
        job.rate_per_hour.to_string(),
        job.amount.to_string(),
        currency.to_owned(),
        job.end.map_or("-", end).to_owned(),
    ]
}

fn end(end: JobEnd) -> &'static str {
    match end {
        JobEnd::Complete => "complete",
        JobEnd::Failed => "failed",
        JobEnd::Lost => "lost",
        JobEnd::Stopped => "stopped",
        JobEnd::Disputed => "disputed",
        JobEnd::Unknown => "unknown",
    }
}

/// `2026-11-26T15:04:05+01:00`: with its offset, so that an hour that comes twice is told apart.
fn moment<Z: TimeZone>(at: UnixMs, zone: &Z) -> String {
    let time = DateTime::from_timestamp_millis(at.0).map(|at| at.with_timezone(zone).fixed_offset());
    time.map_or_else(|| at.0.to_string(), |time| time.to_rfc3339_opts(SecondsFormat::Secs, false))
}

fn sum(amounts: impl Iterator<Item = Money>) -> Money {
    Money { micros: amounts.fold(0, |sum, amount| sum.saturating_add(amount.micros)) }
}

/// A job's name is its customer's choice: it makes no further line.
fn one_line(text: &str) -> String {
    ionet_redact::printable(text).replace(['\n', '\r'], " ")
}

/// RFC 4180. What a table would take for a formula stays a text; amounts stay numbers.
fn quoted(text: &str) -> String {
    let text = one_line(text);
    let formula = text.starts_with(['=', '+', '-', '@', '\t']) && text != "-" && text.parse::<f64>().is_err();
    let text = if formula { format!("'{text}") } else { text };
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;

    fn job(name: &str) -> JobEarned {
        JobEarned {
            allocation: "a".into(),
            job: name.into(),
            device: "d-1".into(),
            label: "desk".into(),
            gpu: Some("rtx-4090".into()),
            placed_at: UnixMs(1_793_000_000_000),
            started_at: Some(UnixMs(1_793_000_060_000)),
            ended_at: None,
            rate_per_hour: Money { micros: 510_000 },
            amount: Money { micros: 1_020_001 },
            end: None,
        }
    }

    fn page<const N: usize>(jobs: [JobEarned; N]) -> JobsPage {
        let as_of = UnixMs(1_793_000_100_000);
        JobsPage { jobs: jobs.into(), next: None, currency: "USDC".into(), as_of }
    }

    #[test]
    fn periods_are_printed_with_their_exact_sum() {
        let starts = ["2026-11-25", "2026-11-26"].map(|day| day.parse().unwrap());
        let amounts = vec![Money { micros: 3_426_500 }, Money { micros: 1 }];
        let earned = Periods { amounts, currency: "USDC".into(), as_of: UnixMs(5) };

        insta::assert_snapshot!(periods(&starts, &earned, Form::Plain, &Tz::UTC).unwrap(), @r"
        2026-11-25        3.426500 USDC
        2026-11-26        0.000001 USDC
        total             3.426501 USDC
        as of       1970-01-01T00:00:00+00:00
        ");
        insta::assert_snapshot!(periods(&starts, &earned, Form::Csv, &Tz::UTC).unwrap(), @r"
        from,amount,currency
        2026-11-25,3.426500,USDC
        2026-11-26,0.000001,USDC
        ");
    }

    #[test]
    fn a_jobs_name_becomes_neither_a_formula_nor_another_column_nor_a_terminals_order() {
        let printed = jobs(&page([job("=1+1,\u{1b}[2J\"x\"")]), Form::Csv, &Tz::Europe__Berlin).unwrap();

        insta::assert_snapshot!(printed.lines().nth(1).unwrap());
    }

    #[test]
    fn no_sign_makes_a_name_a_formula_and_no_amount_becomes_a_text() {
        for name in ["=1+1", "+1+1", "-1+1", "@SUM(1)", "\t=1"] {
            assert!(quoted(name).starts_with('\''), "{name}");
        }
        assert_eq!(["-0.510000", "0.510000", "-"].map(quoted), ["-0.510000", "0.510000", "-"]);
    }

    #[test]
    fn what_a_program_reads_has_decimal_strings_and_the_sum() {
        let printed = jobs(&page([job("a"), job("b")]), Form::Json, &Tz::UTC).unwrap();

        let read: serde_json::Value = serde_json::from_str(&printed).unwrap();
        assert_eq!((&read["total"], &read["jobs"][0]["amount"]), (&json!("2.040002"), &json!("1.020001")));
    }

    #[test]
    fn every_list_says_as_of_when_it_is() {
        let read = |form| jobs(&page([job("a")]), form, &Tz::Europe__Berlin).unwrap();

        assert_eq!(read(Form::Plain).lines().last(), Some("as of  2026-10-26T08:35:00+01:00"));
        let json: serde_json::Value = serde_json::from_str(&read(Form::Json)).unwrap();
        assert_eq!(json["as_of"], 1_793_000_100_000_i64);
    }
}
