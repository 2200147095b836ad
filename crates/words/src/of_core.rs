//! The sentences for what the core says.

use chrono::{DateTime, Local, TimeZone};
use ionet_core::event::{Link, SignInMethod};
use ionet_core::giving_back::Step;
use ionet_core::problem::Action;
use ionet_core::region::JobStatus;
use ionet_core::share::Unfit;
use ionet_core::snapshot::AccountView;
use ionet_core::target::PauseEnd;
use ionet_core::{Money, Phase, Problem, Snapshot, UnixMs};

use crate::{Words, figures};

impl Words {
    /// The one word for what is going on. When something stands in the way, what that is.
    pub fn phase_title(&self, snapshot: &Snapshot) -> String {
        match phase_key(&snapshot.phase) {
            Some(key) => self.say(&format!("phase-{key}-title"), &[]),
            None => self.of_blocking(snapshot, Self::problem_title),
        }
    }

    /// The line below it.
    pub fn phase_detail(&self, snapshot: &Snapshot) -> String {
        match &snapshot.phase {
            Phase::Blocked { .. } => self.of_blocking(snapshot, Self::problem_body),
            Phase::Pausing | Phase::SigningOut | Phase::Quitting => {
                self.say(step_id(snapshot.giving_back), &[])
            }
            Phase::Paused { until } => self.pause_end(*until),
            Phase::Earning => self.earning(snapshot),
            Phase::SigningIn => self.signing_in(snapshot),
            Phase::Loading
            | Phase::Welcome
            | Phase::Agreement
            | Phase::Enrolling
            | Phase::Detecting
            | Phase::Starting
            | Phase::Connecting
            | Phase::Waiting => {
                let key = phase_key(&snapshot.phase).unwrap_or_default();
                self.say(&format!("phase-{key}-detail"), &[])
            }
        }
    }

    pub fn problem_title(&self, problem: &Problem) -> String {
        self.of_problem(problem, "title")
    }

    pub fn problem_body(&self, problem: &Problem) -> String {
        self.of_problem(problem, "body")
    }

    /// The label of the problem's button; none where there is nothing to press.
    pub fn problem_action(&self, problem: &Problem) -> Option<String> {
        action_id(problem.action).map(|id| self.say(id, &[]))
    }

    /// Why a choice cannot be made, and which can.
    pub fn unfit(&self, unfit: Unfit) -> String {
        let (id, name, value) = match unfit {
            Unfit::DiskTooSmall { least } => ("share-disk-too-small", "least", least.0),
            Unfit::DiskTooLarge { most } => ("share-disk-too-large", "most", most.0),
            Unfit::RateTooLow { least } => ("share-rate-too-low", "least", least.0),
            Unfit::RateTooHigh { most } => ("share-rate-too-high", "most", most.0),
        };
        self.say(id, &[(name, &value.to_string())])
    }

    /// `3.42 USDC`; see [`crate::money`] for how many decimals.
    pub fn money(&self, amount: Money, currency: &str) -> String {
        format!("{} {currency}", figures::money(amount))
    }

    /// `1 h 12 min`.
    pub fn duration(&self, ms: i64) -> String {
        figures::duration(ms)
    }

    /// When a pause ends, by this PC's time zone; with the date when that is not today.
    pub fn pause_end(&self, end: PauseEnd) -> String {
        match end {
            PauseEnd::Resumed => self.say("pause-end-resumed", &[]),
            PauseEnd::At { at } => self.say("pause-end-at", &[("time", &clock(at, &Local::now()))]),
        }
    }

    /// Title and body of the last thing said before the app ends. `clean`: nothing was left running.
    pub fn farewell(&self, clean: bool) -> (String, String) {
        match clean {
            true => (self.say("farewell-clean-title", &[]), self.say("farewell-clean-body", &[])),
            false => (self.say("farewell-left-title", &[]), self.say("farewell-left-body", &[])),
        }
    }

    fn of_problem(&self, problem: &Problem, part: &str) -> String {
        let id = format!("problem-{}-{part}", problem.code.as_str());
        self.say_with(&id, problem.args.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    fn of_blocking(&self, snapshot: &Snapshot, say: fn(&Self, &Problem) -> String) -> String {
        let Phase::Blocked { code } = snapshot.phase else { return String::new() };
        let blocking = snapshot.problems.iter().find(|problem| problem.code == code);
        blocking.map(|problem| say(self, problem)).unwrap_or_default()
    }

    fn signing_in(&self, snapshot: &Snapshot) -> String {
        match &snapshot.account {
            AccountView::SigningIn { code: Some(code), .. } => {
                let args = [("address", &*code.verification_uri), ("code", &*code.user_code)];
                self.say("phase-signing-in-code-detail", &args)
            }
            AccountView::SigningIn { method: SignInMethod::DeviceCode, code: None, .. } => {
                self.say("sign-in-code-wait", &[])
            }
            AccountView::SigningIn { method: SignInMethod::Browser, code: None, .. }
            | AccountView::SignedOut
            | AccountView::Locked { .. }
            | AccountView::SignedIn { .. } => self.say("phase-signing-in-detail", &[]),
        }
    }

    fn earning(&self, snapshot: &Snapshot) -> String {
        let running: Vec<_> = snapshot.jobs.iter().filter(|job| job.status == JobStatus::Running).collect();
        match running[..] {
            [job] => self.say("phase-earning-detail", &[("job", &job.name)]),
            _ => self.say("phase-earning-many-detail", &[("count", &running.len().to_string())]),
        }
    }
}

/// The middle of a phase's ids; none when the problem speaks for it.
pub(crate) fn phase_key(phase: &Phase) -> Option<&'static str> {
    Some(match phase {
        Phase::Loading => "loading",
        Phase::Welcome => "welcome",
        Phase::SigningIn => "signing-in",
        Phase::Agreement => "agreement",
        Phase::Enrolling => "enrolling",
        Phase::Detecting => "detecting",
        Phase::Blocked { .. } => return None,
        Phase::Starting => "starting",
        Phase::Connecting => "connecting",
        Phase::Waiting => "waiting",
        Phase::Earning => "earning",
        Phase::Pausing => "pausing",
        Phase::Paused { .. } => "paused",
        Phase::SigningOut => "signing-out",
        Phase::Quitting => "quitting",
    })
}

pub(crate) fn step_id(step: Option<Step>) -> &'static str {
    match step {
        None => "step-begun",
        Some(Step::Freezing) => "step-freezing",
        Some(Step::MakingIneligible) => "step-making-ineligible",
        Some(Step::Thawing) => "step-thawing",
        Some(Step::StoppingAllocations) => "step-stopping-allocations",
        Some(Step::StoppingAgent) => "step-stopping-agent",
        Some(Step::SigningOut) => "step-signing-out",
        Some(Step::Saving) => "step-saving",
        Some(Step::FlushingLogs) => "step-flushing-logs",
    }
}

pub(crate) fn action_id(action: Action) -> Option<&'static str> {
    match action {
        Action::None => None,
        Action::SignIn => Some("action-sign-in"),
        Action::Retry => Some("action-retry"),
        Action::Detect => Some("action-detect"),
        Action::Resume => Some("action-resume"),
        Action::TakeOver => Some("action-take-over"),
        Action::Open { link: Link::DriverDownload } => Some("action-open-driver-download"),
        Action::Open { link: Link::AgentInstall } => Some("action-open-agent-install"),
        Action::Open { link: Link::Help } => Some("action-open-help"),
        Action::Open { link: Link::DeviceCodePage } => Some("action-open-device-code-page"),
    }
}

/// `22:05`, or `2026-11-24 22:05` on another day than `now`, in `now`'s time zone.
pub(crate) fn clock<Z: TimeZone>(at: UnixMs, now: &DateTime<Z>) -> String
where
    Z::Offset: std::fmt::Display,
{
    let Some(at) = DateTime::from_timestamp_millis(at.0).map(|at| at.with_timezone(&now.timezone())) else {
        return String::new();
    };
    let form = if at.date_naive() == now.date_naive() { "%H:%M" } else { "%Y-%m-%d %H:%M" };
    at.format(form).to_string()
}
