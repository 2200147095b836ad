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
    let says = |text: &str| words.iter().find(|line| line.contains(text));
    if says("address already in use").is_some() {
        return AgentFault::PortInUse;
    }
    match BAD_PLAN.iter().find_map(|text| says(text)) {
        Some(line) => AgentFault::BadPlan(line.trim_start_matches("==> ").trim().to_owned()),
        None => AgentFault::Crashed { code },
    }
}

/// The more telling first.
const BAD_PLAN: [&str; 7] = [
    "unexpected keys",
    "Error loading configuration",
    "failed to initialize plugin loader",
    "client setup failed",
    "Must specify",
    "Error parsing",
    "Configuration is invalid",
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

        let missing = r#"{"@level":"error","@message":"Error starting agent: client setup failed: Failed to load cert/key pair: open client.pem: no such file or directory","@module":"agent","@timestamp":"2026-11-22T20:20:40.412592Z"}"#;
        assert!(matches!(fault(Some(1), missing), AgentFault::BadPlan(why) if why.contains("client.pem")));
    }

    #[test]
    fn anything_else_is_a_crash_with_its_code() {
        assert_eq!(fault(Some(2), "panic: nil pointer"), AgentFault::Crashed { code: Some(2) });
        assert_eq!(fault(None, ""), AgentFault::Crashed { code: None });
    }
}
