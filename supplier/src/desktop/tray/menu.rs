//! Snapshot -> menu, as plain data.

use ionet_core::event::SignInMethod;
use ionet_core::problem::Action;
use ionet_core::region::JobStatus;
use ionet_core::snapshot::AccountView;
use ionet_core::target::{PauseEnd, Target};
use ionet_core::time::UnixMs;
use ionet_core::{Intent, Phase, Snapshot};
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
        always(words),
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

/// What can be done now, the likeliest first.
fn asked(snapshot: &Snapshot, words: &Words) -> Vec<Entry> {
    let button =
        |id: &str, intent: Intent| Entry::Button { label: words.say(id, &[]), press: Press::Intent(intent) };
    if snapshot.quit_asked {
        return vec![
            Entry::Text(words.say("quit-question", &[])),
            button("quit-anyway", Intent::Quit { confirmed: true }),
            button("quit-keep-running", Intent::KeepRunning),
        ];
    }
    let enrolled = snapshot.device.is_some();
    match (&snapshot.phase, snapshot.target) {
        (Phase::Quitting | Phase::Loading | Phase::SigningOut, _) => Vec::new(),
        (Phase::SigningIn, _) => vec![button("sign-in-cancel", Intent::CancelSignIn)],
        (_, _) if !enrolled && matches!(snapshot.account, AccountView::SignedOut) => {
            vec![button("account-sign-in", Intent::SignIn { method: SignInMethod::Browser })]
        }
        (Phase::Agreement, _) => vec![button("tray-agreement", Intent::Open)],
        (_, Target::Paused { .. }) => vec![button("resume", Intent::Resume)],
        (Phase::Blocked { .. }, Target::Earning) => {
            let retry = snapshot.problems.first().is_some_and(|problem| problem.action == Action::Retry);
            retry.then(|| button("action-retry", Intent::Retry)).into_iter().collect()
        }
        (_, Target::Earning) => vec![
            button("pause", Intent::Pause { until: PauseEnd::Resumed }),
            Entry::Button { label: words.say("pause-hour", &[]), press: Press::PauseFor { ms: HOUR_MS } },
        ],
    }
}

/// An enrolled PC earns without a session; its owner can begin one again.
fn account(snapshot: &Snapshot, words: &Words) -> Vec<Entry> {
    let leaving = matches!(snapshot.phase, Phase::Quitting | Phase::Loading | Phase::SigningOut);
    if snapshot.device.is_none() || leaving || snapshot.account != AccountView::SignedOut {
        return Vec::new();
    }
    let sign_in = Press::Intent(Intent::SignIn { method: SignInMethod::Browser });
    vec![Entry::Button { label: words.say("account-sign-in", &[]), press: sign_in }]
}

fn always(words: &Words) -> Vec<Entry> {
    let button = |id: &str, intent| Entry::Button { label: words.say(id, &[]), press: Press::Intent(intent) };
    vec![button("tray-open", Intent::Open), button("quit", Intent::Quit { confirmed: false })]
}

#[cfg(test)]
mod tests {
    use ionet_core::event::SessionStore;
    use ionet_core::problem::{Action, Problem, ProblemCode};
    use ionet_core::region::{Earnings, Job};
    use ionet_core::target::AccountName;
    use ionet_core::{Money, State, view};

    use super::*;

    fn snapshot(phase: Phase) -> Snapshot {
        let device = ionet_core::event::Device {
            id: "d-1".into(),
            region: "eu".into(),
            node_pool: "gamers".into(),
            expires_at: UnixMs(2),
            renew_at: UnixMs(1),
        };
        let account = AccountView::SignedIn {
            name: AccountName { subject: "a".into(), shown: "alice@example.test".into() },
            store: SessionStore::Keyring,
        };
        Snapshot { phase, account, device: Some(device), ..view(&State::default()) }
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
            ..snapshot(Phase::Earning)
        };

        insta::assert_snapshot!(lines(&shown));
    }

    #[test]
    fn while_paused_it_says_until_when_and_offers_to_resume() {
        let until = PauseEnd::Resumed;
        let shown = Snapshot { target: Target::Paused { until }, ..snapshot(Phase::Paused { until }) };

        insta::assert_snapshot!(lines(&shown));
    }

    #[test]
    fn before_sign_in_it_offers_to_sign_in() {
        let account = AccountView::SignedOut;
        insta::assert_snapshot!(lines(&Snapshot { device: None, account, ..snapshot(Phase::Welcome) }));
    }

    #[test]
    fn an_enrolled_pc_that_is_signed_out_earns_on_and_offers_to_sign_in() {
        insta::assert_snapshot!(lines(&Snapshot {
            account: AccountView::SignedOut,
            ..snapshot(Phase::Waiting)
        }));
    }

    #[test]
    fn a_running_job_turns_quit_into_a_question() {
        insta::assert_snapshot!(lines(&Snapshot { quit_asked: true, ..snapshot(Phase::Earning) }));
    }

    #[test]
    fn what_is_blocked_and_can_be_tried_again_offers_that() {
        let problem = Problem {
            code: ProblemCode::GatewayDown,
            args: std::collections::BTreeMap::new(),
            action: Action::Retry,
            blocking: true,
        };
        let blocked = Phase::Blocked { code: ProblemCode::GatewayDown };

        insta::assert_snapshot!(lines(&Snapshot { problems: vec![problem], ..snapshot(blocked) }));
    }

    #[test]
    fn a_pause_for_an_hour_is_counted_from_the_click() {
        let pressed = Press::PauseFor { ms: HOUR_MS }.intent(UnixMs(1_000));

        assert_eq!(pressed, Intent::Pause { until: PauseEnd::At { at: UnixMs(3_601_000) } });
    }
}
