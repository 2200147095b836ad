//! The agent's log as facts. It is the only place where a client says why it is not registered.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// What a line of the agent's log means to this project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogFact {
    /// The region took the node in.
    Registered,
    /// No introduction token, or one that was expired or for another node: the client cannot tell which.
    RegistrationDenied,
    /// Expired, or not yet valid, which is what a wrong clock makes of it: the servers say the same of both.
    CertificateExpired,
    /// Another authority's, another region's, or without a client's name.
    CertificateRefused,
    /// The servers' certificate is not one that this PC trusts for its region.
    ServerNotTrusted,
    ServersUnreachable,
    /// Registered before, and the servers do not answer now.
    HeartbeatFailed,
    PortInUse,
    Task {
        alloc_id: String,
        task: String,
        /// Nomad's own word: `Received`, `Started`, `Terminated` …
        event: String,
        message: String,
    },
}

/// The fact in one line of the agent's JSON log, if there is one.
pub fn fact(line: &str) -> Option<LogFact> {
    let line: Line = serde_json::from_str(line).ok()?;
    let said = |text: &str| line.message.contains(text) || line.error.contains(text);
    let rpc =
        line.message.starts_with("error registering") || line.message.starts_with("error performing RPC");
    match line.message.as_str() {
        "node registration complete" => return Some(LogFact::Registered),
        "error heartbeating. retrying" => return Some(LogFact::HeartbeatFailed),
        "Task event" => return Some(line.task_event()),
        _ => {}
    }
    if said("remote error: tls: expired certificate") {
        Some(LogFact::CertificateExpired)
    } else if said("remote error: tls:") {
        Some(LogFact::CertificateRefused)
    } else if said("tls: failed to verify certificate") {
        Some(LogFact::ServerNotTrusted)
    } else if rpc && line.error.ends_with("Permission denied") {
        Some(LogFact::RegistrationDenied)
    } else if rpc && line.error.contains("dial tcp") {
        Some(LogFact::ServersUnreachable)
    } else if said("address already in use") {
        Some(LogFact::PortInUse)
    } else {
        None
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Line {
    #[serde(rename = "@message")]
    message: String,
    error: String,
    alloc_id: String,
    task: String,
    #[serde(rename = "type")]
    event: String,
    msg: String,
}

impl Line {
    fn task_event(self) -> LogFact {
        LogFact::Task { alloc_id: self.alloc_id, task: self.task, event: self.event, message: self.msg }
    }
}

/// Reads a log file on and on, over its rotations: whoever holds it asks for what is new.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    reader: BufReader<File>,
    /// A line whose end is not written yet.
    partial: String,
}

impl Tail {
    /// From the file's end as it is now; from the start of a file that is not there yet.
    pub fn from_here(path: &Path) -> io::Result<Self> {
        let mut tail = Self { path: path.to_owned(), open: None };
        tail.read_lines(|_| {})?;
        Ok(tail)
    }

    /// The facts that were written since the last call.
    pub fn new_facts(&mut self) -> io::Result<Vec<LogFact>> {
        let mut facts = Vec::new();
        self.read_lines(|line| facts.extend(fact(line)))?;
        Ok(facts)
    }

    fn read_lines(&mut self, mut each: impl FnMut(&str)) -> io::Result<()> {
        if let Some(open) = &mut self.open {
            open.drain(&mut each)?;
        }
        // The file's name may mean a newer file by now; the rest of the older one was read above.
        match File::open(&self.path) {
            Ok(file) => {
                let same = self.open.as_ref().is_some_and(|open| open.is(&file));
                if !same {
                    let mut open = Open { reader: BufReader::new(file), partial: String::new() };
                    open.drain(&mut each)?;
                    self.open = Some(open);
                }
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Open {
    fn drain(&mut self, each: &mut impl FnMut(&str)) -> io::Result<()> {
        while self.reader.read_line(&mut self.partial)? > 0 {
            if !self.partial.ends_with('\n') {
                break;
            }
            each(self.partial.trim_end());
            self.partial.clear();
        }
        Ok(())
    }

    fn is(&self, other: &File) -> bool {
        crate::files::same(self.reader.get_ref(), other)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Write;

    use serde_json::Value;

    use super::*;

    /// Recorded from a real agent, one fault after the other.
    const RECORDED: &str = include_str!("../tests/agent_log_lines.ndjson");

    fn facts_by_case() -> BTreeMap<String, Vec<LogFact>> {
        let mut cases: BTreeMap<String, Vec<LogFact>> = BTreeMap::new();
        for line in RECORDED.lines() {
            let entry: Value = serde_json::from_str(line).unwrap();
            let facts = cases.entry(entry["case"].as_str().unwrap().to_owned()).or_default();
            facts.extend(fact(&entry["line"].to_string()));
        }
        for facts in cases.values_mut() {
            facts.dedup();
        }
        cases
    }

    #[test]
    fn every_recorded_fault_is_told_from_its_lines() {
        let cases = facts_by_case();

        assert_eq!(cases["client_cert_expired"], [LogFact::CertificateExpired]);
        assert_eq!(cases["client_cert_not_yet_valid"], [LogFact::CertificateExpired]);
        assert_eq!(cases["client_cert_signed_by_other_ca"], [LogFact::CertificateRefused]);
        assert_eq!(cases["client_cert_wrong_region"], [LogFact::CertificateRefused]);
        assert_eq!(cases["client_cert_no_role_san"], [LogFact::CertificateRefused]);
        assert_eq!(cases["client_trusts_other_ca"], [LogFact::ServerNotTrusted]);
        assert_eq!(cases["client_configured_for_other_region"], [LogFact::ServerNotTrusted]);
        assert_eq!(cases["registration_denied"], [LogFact::RegistrationDenied]);
        assert_eq!(cases["servers_unreachable"], [LogFact::ServersUnreachable]);
        assert_eq!(cases["port_in_use"], [LogFact::PortInUse]);
        assert_eq!(cases["cert_file_missing"], []);
    }

    #[test]
    fn a_normal_start_registers_and_tells_the_life_of_its_task() {
        let normal = &facts_by_case()["normal_start"];

        assert_eq!(normal[0], LogFact::Registered);
        let events: Vec<&str> = normal
            .iter()
            .filter_map(|fact| match fact {
                LogFact::Task { event, .. } => Some(event.as_str()),
                LogFact::Registered
                | LogFact::RegistrationDenied
                | LogFact::CertificateExpired
                | LogFact::CertificateRefused
                | LogFact::ServerNotTrusted
                | LogFact::ServersUnreachable
                | LogFact::HeartbeatFailed
                | LogFact::PortInUse => None,
            })
            .collect();
        assert_eq!(events, ["Received", "Task Setup", "Started", "Terminated"]);
    }

    #[test]
    fn text_that_is_no_json_is_no_fact() {
        assert_eq!(fact("==> WARNING: mTLS is not configured"), None);
        assert_eq!(fact(r#"{"@message":5}"#), None);
    }

    #[test]
    fn a_tail_follows_a_rotation_and_loses_no_line() {
        let line = |message: &str| format!("{{\"@message\":\"{message}\"}}\n");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("client.log");
        std::fs::write(&path, line("error heartbeating. retrying")).unwrap();
        let mut tail = Tail::from_here(&path).unwrap();
        let mut log = File::options().append(true).open(&path).unwrap();
        let whole = line("node registration complete");
        let (head, rest) = whole.split_at(10);

        log.write_all(head.as_bytes()).unwrap();
        assert_eq!(tail.new_facts().unwrap(), []);
        log.write_all(rest.as_bytes()).unwrap();
        assert_eq!(tail.new_facts().unwrap(), [LogFact::Registered]);

        log.write_all(line("error heartbeating. retrying").as_bytes()).unwrap();
        std::fs::rename(&path, dir.path().join("agent-1.log")).unwrap();
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(tail.new_facts().unwrap(), [LogFact::HeartbeatFailed, LogFact::Registered]);
        assert_eq!(tail.new_facts().unwrap(), []);
    }
}
