//! Why the region does not take this PC's node in, read from what the agent prints: it is the only place where a
//! client says so. Its health answers "ok" all the while.

use ionet_core::fault::RegistrationFault;
use serde::Deserialize;

/// What one line of the agent's JSON log says about its registration, if it says anything: taken in, or why not.
pub fn of_line(line: &str) -> Option<Result<(), RegistrationFault>> {
    let line: Line = serde_json::from_str(line).ok()?;
    let said = |text: &str| line.message.contains(text) || line.error.contains(text);
    let rpc =
        line.message.starts_with("error registering") || line.message.starts_with("error performing RPC");
    if line.message == "node registration complete" {
        return Some(Ok(()));
    }
    let fault = if said("remote error: tls: expired certificate") {
        // Also not valid yet, which is what a wrong clock makes of it: the servers say the same of both.
        RegistrationFault::CertificateExpired
    } else if said("remote error: tls:") {
        RegistrationFault::CertificateRefused
    } else if said("tls: failed to verify certificate") {
        RegistrationFault::ServersNotTrusted
    } else if rpc && line.error.ends_with("Permission denied") {
        RegistrationFault::Denied
    } else if (rpc && line.error.contains("dial tcp")) || line.message == "error heartbeating. retrying" {
        RegistrationFault::ServersUnreachable
    } else {
        return None;
    };
    Some(Err(fault))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Line {
    #[serde(rename = "@message")]
    message: String,
    error: String,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    /// Recorded from a real agent, one fault after the other.
    const RECORDED: &str = include_str!("../tests/agent_log_lines.ndjson");

    fn words_by_case() -> BTreeMap<String, Vec<Result<(), RegistrationFault>>> {
        let mut cases: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for line in RECORDED.lines() {
            let entry: Value = serde_json::from_str(line).unwrap();
            let words = cases.entry(entry["case"].as_str().unwrap().to_owned()).or_default();
            words.extend(of_line(&entry["line"].to_string()));
        }
        for words in cases.values_mut() {
            words.dedup();
        }
        cases
    }

    #[test]
    fn every_recorded_fault_is_told_from_its_lines() {
        let cases = words_by_case();

        assert_eq!(cases["client_cert_expired"], [Err(RegistrationFault::CertificateExpired)]);
        assert_eq!(cases["client_cert_not_yet_valid"], [Err(RegistrationFault::CertificateExpired)]);
        assert_eq!(cases["client_cert_signed_by_other_ca"], [Err(RegistrationFault::CertificateRefused)]);
        assert_eq!(cases["client_cert_wrong_region"], [Err(RegistrationFault::CertificateRefused)]);
        assert_eq!(cases["client_cert_no_role_san"], [Err(RegistrationFault::CertificateRefused)]);
        assert_eq!(cases["client_trusts_other_ca"], [Err(RegistrationFault::ServersNotTrusted)]);
        assert_eq!(cases["client_configured_for_other_region"], [Err(RegistrationFault::ServersNotTrusted)]);
        assert_eq!(cases["registration_denied"], [Err(RegistrationFault::Denied)]);
        assert_eq!(cases["servers_unreachable"], [Err(RegistrationFault::ServersUnreachable)]);
        for silent in ["port_in_use", "cert_file_missing"] {
            assert_eq!(cases[silent], [], "{silent}");
        }
    }

    #[test]
    fn a_normal_start_is_a_registration() {
        assert_eq!(words_by_case()["normal_start"], [Ok(())]);
    }

    #[test]
    fn text_that_is_no_json_says_nothing() {
        assert_eq!(of_line("==> WARNING: mTLS is not configured"), None);
        assert_eq!(of_line(r#"{"@message":5}"#), None);
    }
}
