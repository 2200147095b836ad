//! What a machine must have before a journey can be walked on it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use ionet_stage::AgentKind;

/// Programs of the system, each with the Debian package that brings it.
const PROGRAMS: &[(&str, &str)] = &[
    ("WebKitWebDriver", "webkit2gtk-driver"),
    ("dbus-daemon", "dbus"),
    ("gnome-keyring-daemon", "gnome-keyring"),
];

/// Programs of this project that a walk starts.
const BUILT: &[&str] = &["ionet-supplier", "ionet-supplier-window"];

/// Where the built programs are, with nothing missing for a walk with a desktop.
///
/// # Errors
/// What is missing.
pub fn met() -> Result<PathBuf> {
    let programs = programs()?;
    let missing = missing(&programs);
    ensure!(missing.is_empty(), "needs {}", missing.join(", "));
    Ok(programs)
}

/// What is missing for a walk with a desktop, in words: empty when nothing is.
pub fn missing(programs: &Path) -> Vec<String> {
    let mut wanted: Vec<(&str, &str)> = PROGRAMS.to_vec();
    if std::env::var_os("DISPLAY").is_none_or(|display| display.is_empty()) {
        wanted.push(("Xvfb", "xvfb"));
    }
    let mut missing: Vec<String> = wanted.iter().filter_map(absent_from_path).collect();
    missing.extend(missing_for_headless(programs));
    missing.extend(unbuilt(programs, BUILT));
    missing.sort();
    missing.dedup();
    missing
}

/// What is missing for capsules, in words: empty when nothing is.
pub fn missing_for_capsules(programs: &Path, agent: AgentKind) -> Vec<String> {
    let made_with = ["dockerd", "containerd", "runc", "pasta", "nft"];
    let lacking = !absent(&made_with).is_empty() || !Path::new("/bin/busybox").is_file();
    let missing = [
        (!rustix::process::geteuid().is_root()).then_some("root, to make a capsule's disk"),
        lacking.then_some(
            "what a capsule is made with (packages docker.io, passt, nftables, uidmap and busybox-static)",
        ),
        (agent != AgentKind::Nomad).then_some("NOMAD=/path of a real Nomad"),
    ];
    let unbuilt = unbuilt(programs, &["ionet-capsule"]);
    missing.into_iter().flatten().map(str::to_owned).chain(unbuilt).collect()
}

/// The library that gives a program another time, where it is installed.
pub fn false_clock() -> Option<PathBuf> {
    let folder = Path::new("/usr/lib").join(format!("{}-linux-gnu/faketime", std::env::consts::ARCH));
    Some(folder.join("libfaketimeMT.so.1")).filter(|library| library.is_file())
}

/// What is missing for a walk without a desktop.
pub fn missing_for_headless(programs: &Path) -> Vec<String> {
    // Some journeys put a program of their own in an agent's place.
    let of_the_system = [("node", "nodejs"), ("python3", "python3")];
    let mut missing: Vec<String> = of_the_system.iter().filter_map(absent_from_path).collect();
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../platform/identity/node_modules");
    if !modules.is_dir() {
        missing.push("node modules (npm ci in platform/identity)".to_owned());
    }
    missing.extend(unbuilt(programs, &["ionet-supplier", "ionet-card-plugin"]));
    missing
}

fn unbuilt(programs: &Path, wanted: &[&str]) -> Vec<String> {
    let absent = wanted.iter().filter(|name| !programs.join(name).is_file());
    absent.map(|name| format!("{name} (not built in {})", programs.display())).collect()
}

/// Which of these programs are nowhere on `PATH`.
pub fn absent(programs: &[&str]) -> Vec<String> {
    programs
        .iter()
        .filter(|program| on_path(program).is_none())
        .map(|program| (*program).to_owned())
        .collect()
}

/// Where this project's programs lie: beside this one, or, for a test, one folder up.
pub fn programs() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let folder = here.parent().context("a program lies in a folder")?;
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    Ok(folder.to_owned())
}

fn absent_from_path((program, package): &(&str, &str)) -> Option<String> {
    on_path(program).is_none().then(|| format!("{program} (package {package})"))
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
