//! The second opinion on money: `tests/audit/earnings.py`, which shares no line with the gateway.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::Value;
use tokio::process::Command;

/// What the script printed. Amounts are whole millionths.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Audit {
    pub allocations: Vec<Line>,
    pub recomputed: i64,
    pub ledger: i64,
    /// Line by line, the ledger holds what was recomputed.
    pub equal: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Line {
    pub id: String,
    pub job: String,
    pub status: String,
    pub ended: bool,
    pub recomputed: i64,
    /// None: the ledger knows nothing of it.
    pub ledger: Option<i64>,
}

/// What the servers said, and what is to be held against it.
#[derive(Debug)]
pub struct Books<'a> {
    /// The servers' list of allocations.
    pub allocations: &'a Value,
    /// The lines of the servers' event stream.
    pub events: &'a Value,
    /// Job id to job.
    pub jobs: &'a Value,
    /// `{"default_micros_per_hour": N, "gpus": {slug: N}}`.
    pub prices: &'a Value,
    /// The gateway's SQLite file.
    pub ledger: &'a Path,
    pub node: &'a str,
    pub as_of_ns: i64,
}

/// Runs the script on `books`; `folder` gets its input files.
pub async fn recompute(folder: &Path, books: &Books<'_>) -> Result<Audit> {
    std::fs::create_dir_all(folder)?;
    let mut command = Command::new("python3");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("audit/earnings.py"));
    let inputs = [
        ("allocations", books.allocations),
        ("events", books.events),
        ("jobs", books.jobs),
        ("prices", books.prices),
    ];
    for (name, value) in inputs {
        let file = folder.join(format!("{name}.json"));
        std::fs::write(&file, serde_json::to_vec(value)?)?;
        command.arg(format!("--{name}")).arg(file);
    }
    command.arg("--ledger").arg(books.ledger).args(["--node", books.node]);
    command.args(["--as-of-ns", &books.as_of_ns.to_string()]);
    let output = command.output().await.context("python3 cannot be started")?;
    ensure!(output.status.success(), "the audit failed: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("the audit printed something else")
}

/// Whether these lines of the servers' event stream tell the allocation's end.
pub fn tells_the_end(lines: &[Value], allocation: &str) -> bool {
    let events = lines.iter().filter_map(|line| line["Events"].as_array()).flatten();
    let mut told = events.map(|event| &event["Payload"]["Allocation"]).filter(|of| of["ID"] == allocation);
    told.any(|of| matches!(of["ClientStatus"].as_str(), Some("complete" | "failed" | "lost")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A ledger with one ended allocation: 36 s of running at 0.36 an hour, but for 6 in which its node was away.
    fn ledger(folder: &Path, rate: i64) -> std::path::PathBuf {
        let file = folder.join("ledger.db");
        let marks = json!({
            "1": {"at_ns": 1_000_000_000_i64, "status": "pending", "told": true},
            "2": {"at_ns": 7_000_000_000_i64, "status": "running", "told": true},
            "5": {"at_ns": 43_000_000_000_i64, "status": "complete", "told": true},
        });
        let sql = format!(
            "CREATE TABLE allocations (allocation, node, job, status, marks, ended_ns, rate_micros_per_hour); \
             CREATE TABLE node_gaps (node, from_s, to_s); INSERT INTO node_gaps VALUES ('n1', 10, 16); \
             INSERT INTO allocations VALUES ('a1', 'n1', 'j', 'complete', '{marks}', 43000000000, {rate})"
        );
        let script =
            "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2]); c.close()";
        let made = std::process::Command::new("python3").args(["-c", script]).arg(&file).arg(sql).status();
        assert!(made.unwrap().success());
        file
    }

    async fn audit(rate: i64) -> Audit {
        audit_of(rate, &json!([])).await
    }

    /// Of a job that was given these devices.
    async fn audit_of(rate: i64, devices: &Value) -> Audit {
        let folder = tempfile::tempdir().unwrap();
        let allocations = json!([
            {"ID": "a1", "NodeID": "n1", "JobID": "j", "ClientStatus": "complete"},
            {"ID": "other", "NodeID": "n2", "JobID": "j", "ClientStatus": "running"}
        ]);
        let of_allocation = |index: i64, status: &str, second: i64| {
            let given = json!({"Tasks": {"t": {"Devices": devices}, "u": {"Devices": null}}});
            let payload = json!({"ID": "a1", "ClientStatus": status, "ModifyTime": second * 1_000_000_000,
                "AllocatedResources": given});
            json!({"Index": index, "Events": [{"Topic": "Allocation", "Index": index, "Payload": {"Allocation": payload}}]})
        };
        let of_node = |index: i64, status: &str, second: i64| {
            let payload = json!({"ID": "n1", "Status": status, "StatusUpdatedAt": second});
            json!({"Index": index, "Events": [{"Topic": "Node", "Index": index, "Payload": {"Node": payload}}]})
        };
        let events = json!([
            {},
            of_allocation(1, "pending", 1),
            of_allocation(2, "running", 7),
            of_node(3, "disconnected", 10),
            of_node(4, "ready", 16),
            of_allocation(5, "complete", 43),
        ]);
        let ledger = ledger(folder.path(), rate);
        let books = Books {
            allocations: &allocations,
            events: &events,
            jobs: &json!({"j": {"Constraints": [{"LTarget": "${meta.ionet.gpu}", "RTarget": "x", "Operand": "="}]}}),
            prices: &json!({"default_micros_per_hour": 1, "gpus": {"x": 360_000, "card-y": 720_000}}),
            ledger: &ledger,
            node: "n1",
            as_of_ns: 100_000_000_000,
        };
        recompute(folder.path(), &books).await.unwrap()
    }

    #[tokio::test]
    async fn a_ledger_that_is_right_is_found_to_be_right_to_the_millionth() {
        let audit = audit(360_000).await;

        assert!(audit.equal);
        assert_eq!((audit.recomputed, audit.ledger, audit.allocations.len()), (3_000, 3_000, 1));
    }

    #[tokio::test]
    async fn a_job_is_paid_for_the_cards_that_it_was_given_and_not_for_what_it_asked() {
        let given = json!([{"Type": "gpu", "Name": "Card Y", "DeviceIDs": ["1", "2"]}, {"Type": "fpga", "Name": "x", "DeviceIDs": ["3"]}]);

        let audit = audit_of(1_440_000, &given).await;

        assert!(audit.equal);
        assert_eq!(audit.recomputed, 12_000);
    }

    #[tokio::test]
    async fn an_altered_ledger_is_found_out() {
        let audit = audit(361_000).await;

        assert!(!audit.equal);
        assert_eq!(audit.recomputed, 3_000);
    }
}
