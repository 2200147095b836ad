//! Snapshot -> menu, as plain data.

use ionet_core::event::SignInMethod;
use ionet_core::problem::Action;
use ionet_core::region::JobStatus;
use ionet_core::target::PauseEnd;
use ionet_core::time::UnixMs;
use ionet_core::{Intent, Snapshot, Verb};
use ionet_words::Words;

#[derive(Debug, Clone, PartialEq)]
pub struct Menu {
    pub entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// Said, not clickable.
    Text(String),
    Separator,
    Button {
        label: String,
        press: Press,
    },
}

/// What a click asks for. A pause's end is counted from the click, not from when the menu was made.
#[derive(Debug, Clone, PartialEq)]
pub enum Press {
    Intent(Intent),
    PauseFor { ms: i64 },
}

impl Press {
    pub fn intent(&self, now: UnixMs) -> Intent {
        match self {
            Self::Intent(intent) => intent.clone(),
            Self::PauseFor { ms } => Intent::Pause { until: PauseEnd::At { at: now.plus(*ms) } },
        }
    }
}

const HOUR_MS: i64 = 3_600_000;

pub fn menu(snapshot: &Snapshot, words: &Words) -> Menu {
    let sections = [
        said(snapshot, words),
        earned(snapshot, words),
        asked(snapshot, words),
        account(snapshot, words),
        always(snapshot, words),
    ];
    let mut entries = Vec::new();
    for section in sections.into_iter().filter(|section| !section.is_empty()) {
        if !entries.is_empty() {
            entries.push(Entry::Separator);
        }
        entries.extend(section);
    }
    Menu { entries }
}

fn said(snapshot: &Snapshot, words: &Words) -> Vec<Entry> {
    let mut entries = Vec::new();
    if snapshot.rehearsal {
        entries.push(Entry::Text(words.say("rehearsal-mark", &[])));
    }
    entries.push(Entry::Text(words.phase_title(snapshot)));
    entries.push(Entry::Text(words.phase_detail(snapshot)));
    entries.retain(|entry| !matches!(entry, Entry::Text(text) if text.is_empty()));
    entries
}

fn earned(snapshot: &Snapshot, words: &Words) -> Vec<Entry> {
    let Some(earnings) = &snapshot.earnings else { return Vec::new() };
    let today = words.money(earnings.today, &earnings.currency);
    let mut entries = vec![Entry::Text(words.say("tray-today", &[("amount", &today)]))];
    if let Some(job) = snapshot.jobs.iter().find(|job| job.status == JobStatus::Running) {
        entries.push(Entry::Text(words.say("tray-job", &[("name", &job.name)])));
    }
    entries
}

/// What can be done now, the likeliest first. What is possible, core has decided.
fn asked(snapshot: &Snapshot, words: &Words) -> Vec<Entry> {
    let question = [
        Entry::Text(words.say("quit-question", &[])),
        button(words, "quit-anyway", Intent::Quit { confirmed: true }),
        button(words, "quit-keep-running", Intent::KeepRunning),
    ];
    let question = question.into_iter().filter(|_| snapshot.quit_asked);
    let hour = Entry::Button { label: words.say("pause-hour", &[]), press: Press::PauseFor { ms: HOUR_MS } };
    let retry = snapshot.problems.first().is_some_and(|problem| problem.action == Action::Retry);
    let offers = [
        (Verb::Agree, true, vec![button(words, "tray-agreement", Intent::Open)]),
        (Verb::Resume, true, vec![button(words, "resume", Intent::Resume)]),
        (Verb::Pause, true, vec![button(words, "pause", Intent::Pause { until: PauseEnd::Resumed }), hour]),
        (Verb::Retry, retry, vec![button(words, "action-retry", Intent::Retry)]),
        (Verb::CancelSignIn, true, vec![button(words, "sign-in-cancel", Intent::CancelSignIn)]),
    ];
    let possible = offers.into_iter().filter(|(verb, wanted, _)| *wanted && snapshot.can.contains(verb));
    question.chain(possible.flat_map(|(_, _, entries)| entries)).collect()
}

/// An enrolled PC earns without a session; its owner can begin one again, and another account can take it over.
fn account(snapshot: &Snapshot, words: &Words) -> Vec<Entry> {
    let sign_in = Intent::SignIn { method: SignInMethod::Browser };
    let offers = [
        (Verb::TakeOver, button(words, "action-take-over", Intent::TakeOver)),
        (Verb::SignIn, button(words, "account-sign-in", sign_in)),
    ];
    offers.into_iter().filter(|(verb, _)| snapshot.can.contains(verb)).map(|(_, entry)| entry).collect()
}

fn always(snapshot: &Snapshot, words: &Words) -> Vec<Entry> {
    let mut entries = vec![button(words, "tray-open", Intent::Open)];
    if snapshot.can.contains(&Verb::Quit) {
        entries.push(button(words, "quit", Intent::Quit { confirmed: false }));
    }
    entries
}

fn button(words: &Words, id: &str, intent: Intent) -> Entry {
    Entry::Button { label: words.say(id, &[]), press: Press::Intent(intent) }
}

#[cfg(test)]
mod tests {
    use ionet_core::problem::{Action, Problem, ProblemCode, Stops};
    use ionet_core::region::{Earnings, Job};
    use ionet_core::{Money, Phase, State, view};

    use super::*;

    fn snapshot(phase: Phase, can: &[Verb]) -> Snapshot {
        Snapshot { phase, can: can.iter().copied().collect(), ..view(&State::default()) }
    }

    fn lines(snapshot: &Snapshot) -> String {
        let Menu { entries } = menu(snapshot, &Words::for_locale("en"));
        let line = |entry: &Entry| match entry {
            Entry::Text(text) => text.clone(),
            Entry::Separator => "---".to_owned(),
            Entry::Button { label, .. } => format!("[{label}]"),
        };
        entries.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn while_earning_it_says_how_much_and_offers_a_pause() {
        let job = Job {
            allocation: "a".into(),
            name: "render".into(),
            status: JobStatus::Running,
            placed_at: UnixMs(0),
            earned: Money { micros: 610_000 },
        };
        let earnings =
            Earnings { today: Money { micros: 3_420_000 }, currency: "USDC".into(), as_of: UnixMs(0) };
        let shown = Snapshot {
            rehearsal: true,
            jobs: vec![job],
            earnings: Some(earnings),
            ..snapshot(Phase::Earning, &[Verb::Pause, Verb::SignOut, Verb::Retry, Verb::Quit])
        };

        insta::assert_snapshot!(lines(&shown));
    }

    #[test]
    fn while_paused_it_says_until_when_and_offers_to_resume() {
        let until = PauseEnd::Resumed;
        let shown = snapshot(Phase::Paused { until }, &[Verb::Resume, Verb::Quit]);

        insta::assert_snapshot!(lines(&shown));
    }

    #[test]
    fn before_sign_in_it_offers_to_sign_in() {
        insta::assert_snapshot!(lines(&snapshot(Phase::Welcome, &[Verb::SignIn, Verb::Quit])));
    }

    #[test]
    fn an_enrolled_pc_that_is_signed_out_earns_on_and_offers_to_sign_in() {
        insta::assert_snapshot!(lines(&snapshot(Phase::Waiting, &[Verb::Pause, Verb::SignIn, Verb::Quit])));
    }

    #[test]
    fn a_running_job_turns_quit_into_a_question() {
        insta::assert_snapshot!(lines(&Snapshot {
            quit_asked: true,
            ..snapshot(Phase::Earning, &[Verb::Pause, Verb::Quit])
        }));
    }

    #[test]
    fn what_is_blocked_can_be_paused_and_tried_again() {
        let problem = Problem {
            code: ProblemCode::GatewayDown,
            args: std::collections::BTreeMap::new(),
            action: Action::Retry,
            stops: Stops::NewWork,
        };
        let blocked = Phase::Blocked { code: ProblemCode::GatewayDown };
        let can = [Verb::Pause, Verb::Retry, Verb::Quit];

        insta::assert_snapshot!(lines(&Snapshot { problems: vec![problem], ..snapshot(blocked, &can) }));
    }

    #[test]
    fn a_pause_for_an_hour_is_counted_from_the_click() {
        let pressed = Press::PauseFor { ms: HOUR_MS }.intent(UnixMs(1_000));

        assert_eq!(pressed, Intent::Pause { until: PauseEnd::At { at: UnixMs(3_601_000) } });
    }
}
