//! Every attack on the list is withstood by a real capsule, and each layer by itself withstands what is its alone.

#![cfg(target_os = "linux")]
#![expect(clippy::print_stdout, reason = "a test that is left out says so")]
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::process::{Command, Output};
use std::sync::Mutex;

/// Each has a network and a capsule of its own; two at once are too slow to see a cap.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn every_attack_on_the_list_is_withstood() {
    let Some(said) = walls(&["--check"]) else { return };

    let report: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap_or_default();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let attacks = report["attacks"].as_array().unwrap();
    assert!(attacks.len() >= 250, "only {} of them", attacks.len());
    for layer in ["gate", "images", "card", "filter", "disk", "knowledge", "namespaces"] {
        assert!(attacks.iter().any(|attack| attack["layer"] == layer), "none on {layer}");
    }
    assert_eq!(report["succeeded"], 0);
}

#[test]
fn of_a_layer_that_is_open_exactly_those_attacks_succeed_that_only_it_withstands() {
    for layer in ["gate", "images", "card", "filter", "disk", "knowledge"] {
        let Some(said) = walls(&["--break", layer, "--layer", layer]) else { return };

        assert!(said.status.success(), "{layer}: {}", String::from_utf8_lossy(&said.stderr));
        let report: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
        assert_ne!(report["succeeded"], 0, "{layer} withstands nothing that another does not");
    }
}

/// All pairs are tried by `--each-alone`, which takes longer.
#[test]
fn what_a_layer_withstands_alone_it_withstands_while_another_is_open() {
    for (open, layer) in [
        ("filter", "gate"),
        ("disk", "images"),
        ("knowledge", "card"),
        ("gate", "disk"),
        ("gate", "knowledge"),
    ] {
        let Some(said) = walls(&["--break", open, "--layer", layer]) else { return };

        assert!(said.status.success(), "{layer} without {open}: {}", String::from_utf8_lossy(&said.stderr));
        let report: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
        assert_eq!(report["succeeded"], 0, "{layer} hides behind {open}");
    }
}

/// None where that cannot be tried, which is said.
fn walls(args: &[&str]) -> Option<Output> {
    let _alone = ONE_AT_A_TIME.lock().unwrap();
    let said = Command::new(env!("CARGO_BIN_EXE_ionet-walls")).args(args).output().unwrap();
    let complaint = String::from_utf8_lossy(&said.stderr);
    match complaint.lines().find_map(|line| line.strip_prefix("walls: needs ")) {
        Some(missing) => {
            println!("skipped: needs what a capsule lives on: {missing}");
            None
        }
        None => Some(said),
    }
}
