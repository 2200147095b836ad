//! What packages hold: no double, no rehearsal, nothing of the tests.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::process::Command;

const SHIPPED: [&str; 5] =
    ["ionet-supplier", "ionet-supplier-window", "ionet-capsule", "ionet-card-plugin", "ionet-gateway"];

/// Crates and features that only tests, benches and the demo may have.
const OURS_ALONE: [&str; 8] = [
    "nomad-double ",
    "nvml-double ",
    "journeys ",
    "contract ",
    "ionet-stage ",
    "ionet-walls ",
    "rehearsal",
    "visitor",
];

/// Every crate in the program as it is built by itself, with its features.
fn built_in(program: &str, features: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--edges", "normal,build", "--prefix", "none", "--format", "{p} [{f}]"])
        .args(["--package", program])
        .args(features)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// The lines that name what does not ship. Where a crate lies says nothing.
fn not_to_be_shipped(lines: &[String]) -> Vec<&String> {
    let known = |line: &&String| {
        let (before, features) = line.rsplit_once('[').unwrap();
        let name = before.split_inclusive(' ').next().unwrap();
        OURS_ALONE.iter().any(|ours| name == *ours || features.split([',', ']']).any(|one| one == *ours))
    };
    lines.iter().filter(known).collect()
}

#[test]
fn what_ships_holds_no_double_no_rehearsal_and_nothing_of_the_tests() {
    for program in SHIPPED {
        let lines = built_in(program, &[]);

        assert!(lines.len() > 100, "{lines:?}");
        assert_eq!(not_to_be_shipped(&lines), Vec::<&String>::new(), "{program}");
    }
}

#[test]
fn a_rehearsal_would_be_seen() {
    let lines = built_in("ionet-supplier", &["--features", "ionet-supplier/rehearsal"]);

    let seen: Vec<&str> =
        not_to_be_shipped(&lines).iter().filter_map(|line| line.split(' ').next()).collect();
    assert!(seen.contains(&"ionet-supplier") && seen.contains(&"ionet-agent"), "{seen:?}");
}
