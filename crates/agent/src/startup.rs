//! Why an agent that ended at its start did so.
//!
//! Nomad's exit code is 1 whatever the reason, and the reason stands in its last words alone. This is the one place
//! that reads them; everybody else branches on the fault.

use ionet_core::fault::AgentFault;
use serde_json::Value;

/// The fault behind an exit: its code (none after a signal) and the end of what it printed, which is plain text
/// until its log is set up and JSON lines after that.
pub fn fault(code: Option<i32>, tail: &str) -> AgentFault {
    let words: Vec<String> = tail.lines().map(message).collect();
    let said = |texts: &[&str]| {
        let line = texts.iter().find_map(|text| words.iter().find(|line| line.contains(text)))?;
        Some(line.trim_start_matches("==> ").trim().to_owned())
    };
    let reason = REASONS.iter().find_map(|(texts, fault)| said(texts).map(fault));
    reason.unwrap_or_else(|| match broke_down_over_its_state(&words) {
        true => AgentFault::StateDamaged,
        false => AgentFault::Crashed { code },
    })
}

/// The library of its database breaks down on pages that were torn where it has not looked before. Any other breakdown
/// may list that library's work as well: what broke down is the first program that the runtime names, and of its own
/// library it says nothing here.
fn broke_down_over_its_state(words: &[String]) -> bool {
    const BEGINNINGS: [&str; 3] = ["panic: ", "fatal error: ", "unexpected fault address"];
    let is_beginning = |line: &&String| BEGINNINGS.iter().any(|word| line.starts_with(word));
    let mut lines = words.iter().skip_while(|line| !is_beginning(line));
    if lines.next().is_none_or(|first| first.starts_with("fatal error: ")) {
        return false;
    }
    let stack = lines.skip_while(|line| !line.starts_with("goroutine ")).skip(1);
    let mut frames = stack.take_while(|line| !line.is_empty());
    // Go's own library has no host in its names.
    let culprit = frames.find(|frame| frame.split_once('/').is_some_and(|(host, _)| is_host(host)));
    culprit.is_some_and(|frame| frame.starts_with("go.etcd.io/bbolt"))
}

fn is_host(text: &str) -> bool {
    text.contains('.') && text.chars().all(|letter| letter.is_ascii_alphanumeric() || ".-".contains(letter))
}

type Reason = (&'static [&'static str], fn(String) -> AgentFault);

/// What it says, the more telling first: a full disk makes other things fail as well.
const REASONS: &[Reason] = &[
    (&["address already in use"], |_| AgentFault::PortInUse),
    (&["no space left on device", "disk quota exceeded"], |_| AgentFault::DiskFull),
    (&["is another Nomad process accessing data_dir"], |_| AgentFault::FolderInUse),
    (CERTIFICATE, AgentFault::CertificateUnreadable),
    (CONTROL_GROUPS, AgentFault::NoControlGroups),
    (SYSTEM, AgentFault::FolderUnwritable),
    (DAMAGED, |_| AgentFault::StateDamaged),
    (NO_ROUTE, |_| AgentFault::NoNetwork),
    (&["fingerprinting failed"], AgentFault::PcUnreadable),
    (BAD_PLAN, AgentFault::BadPlan),
];

/// What the system says of a disk or of itself, in Go's words: nothing that lies there is known to be damaged by it.
const SYSTEM: &[&str] = &[
    "read-only file system",
    "permission denied",
    "operation not permitted",
    "not a directory",
    "is a directory",
    "input/output error",
    "stale file handle",
    "stale NFS file handle",
    "transport endpoint is not connected",
    "too many open files",
    "cannot allocate memory",
    "resource temporarily unavailable",
    "structure needs cleaning",
    "no such device",
    "bad message",
    "remote I/O error",
    "no data available",
    "connection timed out",
    "host is down",
    "no locks available",
    "device or resource busy",
    "interrupted system call",
    "operation not supported",
    "function not implemented",
    "required key not available",
    // Whatever the system says of the database's file: the database's own words name none.
    "state database: open /",
    "state database: stat /",
    "state database: read /",
    "state database: write /",
    "state database: truncate /",
    "file resize error: ",
    "mmap stat error: ",
    "mmap allocate error: ",
];

const CERTIFICATE: &[&str] = &[
    "Failed to load cert/key pair",
    "Failed to read CA file",
    "Failed to parse any valid certificates in CA file",
    "failed to set up TLS expiration metrics",
];

const CONTROL_GROUPS: &[&str] = &[
    "failed to initialize process manager",
    "failed to create nomad cgroup",
    "failed to set subtree control",
    "cpuset partition",
    "failed to detect memset",
];

/// The database of its state: torn, of another program, or of a Nomad that is not understood.
const DAMAGED: &[&str] = &[
    "failed to create state database",
    "failed to open state database",
    "failed to upgrade state database",
    "incompatible state version",
    "Nomad is unable to start due to corrupt state",
    "failed to restore state",
    "error reading dynamic node metadata",
];

/// It asks for the interface of the default route, to know which address is this PC's.
const NO_ROUTE: &[&str] = &[
    "No default interface found",
    "no default interface",
    "failed to determine interface attached to default route",
    "no such network interface",
];

const BAD_PLAN: &[&str] = &[
    "unexpected keys",
    "Error loading configuration",
    "failed to initialize plugin loader",
    "client setup failed",
    "Must specify",
    "must be given as an absolute path",
    "Error parsing",
    "Configuration is invalid",
    "Failed to parse",
    "invalid:",
    "Invalid ",
];

fn message(line: &str) -> String {
    match serde_json::from_str::<Value>(line) {
        Ok(value) => value["@message"].as_str().unwrap_or_default().to_owned(),
        Err(_) => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(message: &str) -> String {
        serde_json::json!({"@level": "error", "@message": message, "@module": "agent"}).to_string()
    }

    fn client(cause: &str) -> AgentFault {
        fault(Some(1), &json(&format!("Error starting agent: client setup failed: {cause}")))
    }

    /// From a real agent: its state damaged in all ways, without a route, on a disk that is full or takes no changes.
    const RECORDED: &str = include_str!("../tests/agent_start_faults.ndjson");

    #[test]
    fn every_recorded_start_is_told_from_its_words() {
        for line in RECORDED.lines() {
            let entry: Value = serde_json::from_str(line).unwrap();
            let case = entry["case"].as_str().unwrap();
            let code = entry["code"].as_i64().map(|code| code as i32);

            let fault = fault(code, entry["words"].as_str().unwrap());

            let right = match case {
                "no_default_route" => fault == AgentFault::NoNetwork,
                "folder_read_only" => {
                    matches!(&fault, AgentFault::FolderUnwritable(why) if why.contains("/data/"))
                }
                "disk_full" => fault == AgentFault::DiskFull,
                _ => case.starts_with("state_") && fault == AgentFault::StateDamaged,
            };
            assert!(right, "{case}: {fault:?}");
        }
        assert_eq!(RECORDED.lines().count(), 8);
    }

    #[test]
    fn a_taken_port_is_told_from_a_json_line() {
        let tail = r#"{"@level":"error","@message":"Error starting http server: 1 error occurred:\n\t* failed to start HTTP listener: listen tcp 127.0.0.1:15646: bind: address already in use\n\n","@module":"agent","@timestamp":"2026-11-22T20:21:02.231100Z"}"#;

        assert_eq!(fault(Some(1), tail), AgentFault::PortInUse);
    }

    #[test]
    fn a_configuration_that_nomad_refuses_is_a_bad_plan_with_its_reason() {
        let tail = "==> Error loading configuration from agent.hcl: client unexpected keys bogus_key\n";
        let reason = "Error loading configuration from agent.hcl: client unexpected keys bogus_key";

        assert_eq!(fault(Some(1), tail), AgentFault::BadPlan(reason.to_owned()));
    }

    #[test]
    fn no_default_route_is_no_network_however_it_is_said() {
        for cause in [
            "fingerprinting failed: Error while detecting network interface  during fingerprinting: No default interface found",
            "fingerprinting failed: Error while detecting network interface  during fingerprinting: no network_interface given and failed to determine interface attached to default route",
            "fingerprinting failed: no default interface",
        ] {
            assert_eq!(client(cause), AgentFault::NoNetwork, "{cause}");
        }
        let plain =
            "==> Error starting agent: client setup failed: fingerprinting failed: no default interface";
        assert_eq!(fault(Some(1), plain), AgentFault::NoNetwork);
    }

    #[test]
    fn state_that_is_torn_or_foreign_is_damaged() {
        for cause in [
            "failed to initialize client: failed to open state database: failed to create state database: invalid database",
            "failed to initialize client: failed to open state database: failed to create state database: checksum error",
            "failed to initialize client: failed to open state database: failed to create state database: version mismatch",
            "failed to initialize client: failed to open state database: failed to create state database: file size too small 17",
            "failed to initialize client: failed to upgrade state database: incompatible state version. expected \"3\" but found \"9\"",
            "failed to restore state",
        ] {
            assert_eq!(client(cause), AgentFault::StateDamaged, "{cause}");
        }
        let broken_down = "panic: assertion failed: Page expected to be: 5, but self identifies as 0\n\ngoroutine 1 [running]:\ngo.etcd.io/bbolt/internal/common.Assert(...)\n\t/go/pkg/mod/go.etcd.io/bbolt@v1.5.0/internal/common/utils.go:1\n";
        assert_eq!(fault(Some(2), broken_down), AgentFault::StateDamaged);
    }

    #[test]
    fn a_breakdown_that_only_finds_the_database_at_work_leaves_it_good() {
        for elsewhere in [
            "fatal error: runtime: out of memory\n\nruntime stack:\nruntime.throw({0x1, 0x2})\n\ngoroutine 1 [running]:\ngo.etcd.io/bbolt.(*DB).mmap(0x1)\n\tgo.etcd.io/bbolt@v1.5.0/db.go:1\n",
            "panic: nil\n\ngoroutine 7 [running]:\npanic({0x1})\n\truntime/panic.go:1\ngithub.com/hashicorp/nomad/client.(*Client).run()\n\tgithub.com/hashicorp/nomad/client.go:1\ngo.etcd.io/bbolt.(*DB).View(0x1)\n\n",
            "panic: nil\n\ngoroutine 7 [running]:\ngithub.com/hashicorp/nomad/client.(*Client).run()\n\ngoroutine 9 [select]:\ngo.etcd.io/bbolt.(*DB).freepages()\n",
        ] {
            assert_eq!(fault(Some(2), elsewhere), AgentFault::Crashed { code: Some(2) }, "{elsewhere}");
        }
    }

    #[test]
    fn a_disk_that_takes_nothing_is_not_damaged_state() {
        let full = "failed to initialize client: failed to open state database: failed to create state database: write /data/client/state.db: no space left on device";
        assert_eq!(client(full), AgentFault::DiskFull);
        for cause in [
            "failed to initialize client: failed creating state dir: mkdir /data/client: read-only file system",
            "failed to initialize client: failed creating state dir: mkdir /data/client: not a directory",
            "failed to initialize client: failed to open state database: failed to create state database: open /data/client/state.db: permission denied",
            "failed to initialize client: failed creating alloc dir: mkdir /data/alloc: permission denied",
            "failed to initialize client: failed to open state database: failed to create state database: open /data/client/state.db: input/output error",
            "failed to initialize client: failed to open state database: failed to create state database: open /data/client/state.db: too many open files",
            "failed to initialize client: failed to open state database: failed to create state database: open /data/client/state.db: stale file handle",
            "failed to initialize client: failed to open state database: failed to create state database: open /data/client/state.db: cannot allocate memory",
            "failed to initialize client: failed to open state database: failed to create state database: open /data/client/state.db: structure needs cleaning",
            "failed to initialize client: failed to open state database: failed to create state database: read /data/client/state.db: bad message",
            "failed to initialize client: failed to open state database: failed to create state database: open /data/client/state.db: too many levels of symbolic links",
            "failed to initialize client: failed to open state database: stat /data/client/state.db: required key not available",
            "failed to initialize client: failed to open state database: failed to create state database: file resize error: truncate /data/client/state.db: file too large",
            "node setup failed: node ID setup failed: open /data/client/client-id: permission denied",
        ] {
            assert!(
                matches!(client(cause), AgentFault::FolderUnwritable(why) if why.contains("/data/")),
                "{cause}"
            );
        }
        // What a lock, a map or a write to the disk says has no name of a file.
        for bare in ["input/output error", "no locks available", "mmap allocate error: no such device"] {
            let cause = format!(
                "failed to initialize client: failed to open state database: failed to create state database: {bare}"
            );
            assert!(matches!(client(&cause), AgentFault::FolderUnwritable(_)), "{bare}");
        }
        let used = "failed to initialize client: failed to open state database: timed out while opening database, is another Nomad process accessing data_dir /data/client?";
        assert_eq!(client(used), AgentFault::FolderInUse);
    }

    #[test]
    fn control_groups_certificates_and_a_pc_that_cannot_be_read_are_told_apart() {
        let groups = "failed to initialize process manager: failed to create nomad cgroup: mkdir /sys/fs/cgroup/nomad.slice: permission denied";
        assert!(matches!(client(groups), AgentFault::NoControlGroups(why) if why.contains("nomad.slice")));
        let v1 = "failed to initialize process manager: failed to create nomad cgroup freezer: mkdir /sys/fs/cgroup/freezer: read-only file system";
        assert!(matches!(client(v1), AgentFault::NoControlGroups(_)));

        let missing = "Failed to load cert/key pair: Failed to load cert/key pair: open client.pem: no such file or directory";
        assert!(
            matches!(client(missing), AgentFault::CertificateUnreadable(why) if why.contains("client.pem"))
        );
        let closed = "Failed to load cert/key pair: open client-key.pem: permission denied";
        assert!(matches!(client(closed), AgentFault::CertificateUnreadable(_)));

        let disk = "fingerprinting failed: failed to determine disk space for /data/alloc: exec: \"df\": executable file not found in $PATH";
        assert!(matches!(client(disk), AgentFault::PcUnreadable(why) if why.contains("disk space")));
    }

    #[test]
    fn anything_else_is_a_crash_with_its_code() {
        assert_eq!(fault(Some(2), "panic: nil pointer"), AgentFault::Crashed { code: Some(2) });
        assert_eq!(fault(None, ""), AgentFault::Crashed { code: None });
        let own = r#"{"@message":"error registering","error":"rpc error: Permission denied"}"#;
        assert_eq!(fault(None, own), AgentFault::Crashed { code: None }, "the servers' word, not a file's");
    }
}
