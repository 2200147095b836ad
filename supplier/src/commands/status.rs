//! `status`: what the window would say, for people and for programs.

use ionet_core::snapshot::AccountView;
use ionet_core::{Phase, Snapshot};
use ionet_words::Words;

use super::exit;

/// The exit code says the phase, so that a script needs no parser.
pub fn exit_code(snapshot: &Snapshot) -> u8 {
    match snapshot.phase {
        Phase::Waiting | Phase::Earning => exit::OK,
        Phase::Paused { .. } => exit::PAUSED,
        Phase::Welcome | Phase::SigningIn | Phase::Agreement | Phase::Blocked { .. } => exit::NEEDS_OWNER,
        Phase::Loading
        | Phase::Enrolling
        | Phase::Detecting
        | Phase::Starting
        | Phase::Connecting
        | Phase::Pausing
        | Phase::SigningOut
        | Phase::Quitting => exit::UNDER_WAY,
    }
}

/// The whole snapshot for a program, with the version of its form: the wire's.
pub fn to_json(snapshot: &Snapshot) -> serde_json::Result<String> {
    #[derive(serde::Serialize)]
    struct Told<'a> {
        protocol: u32,
        #[serde(flatten)]
        snapshot: &'a Snapshot,
    }
    serde_json::to_string_pretty(&Told { protocol: ionet_wire::PROTOCOL, snapshot })
}

/// A few lines for a person.
pub fn describe(snapshot: &Snapshot, words: &Words) -> String {
    let mut lines = Vec::new();
    if snapshot.rehearsal {
        lines.push(words.say("rehearsal-mark", &[]));
    }
    lines.push(words.phase_title(snapshot));
    lines.push(words.phase_detail(snapshot));
    lines.push(match &snapshot.account {
        AccountView::SignedIn { name, .. } | AccountView::Locked { name } => name.shown.clone(),
        AccountView::SignedOut | AccountView::SigningIn { .. } => words.say("account-signed-out", &[]),
    });
    if let Some(paid) = &snapshot.paid {
        lines.push(words.say("pc-earns-for", &[("name", &paid.shown)]));
    }
    if let Some(earnings) = &snapshot.earnings {
        let today = words.money(earnings.today, &earnings.currency);
        lines.push(words.say("tray-today", &[("amount", &today)]));
    }
    for problem in &snapshot.problems {
        lines.push(format!("{}: {}", words.problem_title(problem), words.problem_body(problem)));
    }
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}
