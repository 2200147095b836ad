//! What stands in the way, in terms that have a sentence and a next step in `locales/`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::Link;
use crate::fault::{
    AgentFault, CloudFault, EngineFault, GpuFault, LogFault, RegistrationFault, SettingsFault, SignInFault,
    WorkFault,
};
use crate::hardware::{CardTrouble, Hardware};
use crate::state::{Account, Region, State};

/// One problem. Its sentences are `problem-<code>-title` and `problem-<code>-body` with `args` filled in, and its
/// button is `action-<action>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Problem {
    pub code: ProblemCode,
    pub args: BTreeMap<String, String>,
    pub action: Action,
    pub stops: Stops,
}

/// What a problem stops. Stopping goes beside what runs already: only `Everything` ends that too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "snake_case")]
pub enum Stops {
    Nothing,
    /// No new work comes until it is gone.
    NewWork,
    /// Nothing runs here until it is gone.
    Everything,
}

macro_rules! codes {
    ($($code:ident = $text:literal),+ $(,)?) => {
        /// Stable names: they are in the locale files, in `status --json` and in support requests.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "bindings", derive(specta::Type))]
        pub enum ProblemCode { $(#[serde(rename = $text)] $code),+ }

        impl ProblemCode {
            pub const ALL: &[Self] = &[$(Self::$code),+];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$code => $text),+ }
            }
        }
    };
}

codes! {
    SettingsDamaged = "settings-damaged",
    SettingsUnreadable = "settings-unreadable",
    SettingsUnwritable = "settings-unwritable",
    ProviderDown = "provider-down",
    SignInAbandoned = "sign-in-abandoned",
    SignInRefused = "sign-in-refused",
    SignInNotOurs = "sign-in-not-ours",
    CodeExpired = "code-expired",
    SessionEnded = "session-ended",
    CannotStore = "cannot-store",
    NoNetwork = "no-network",
    GatewayDown = "gateway-down",
    RegionUnreachable = "region-unreachable",
    GatewaySlow = "gateway-slow",
    GatewayGarbled = "gateway-garbled",
    GatewayRefused = "gateway-refused",
    ClockWrong = "clock-wrong",
    CertificateRefused = "certificate-refused",
    CertificateExpired = "certificate-expired",
    RegistrationDenied = "registration-denied",
    ServersNotTrusted = "servers-not-trusted",
    ServersUnreachable = "servers-unreachable",
    DeviceLost = "device-lost",
    DriverMissing = "driver-missing",
    DriverNotLoaded = "driver-not-loaded",
    DriverMismatch = "driver-mismatch",
    DriverSilent = "driver-silent",
    DriverBroken = "driver-broken",
    DriverTooOld = "driver-too-old",
    NoGpu = "no-gpu",
    CardLost = "card-lost",
    CardNeedsReset = "card-needs-reset",
    CardUnpowered = "card-unpowered",
    CardWorn = "card-worn",
    CardDivided = "card-divided",
    CardProhibited = "card-prohibited",
    CardLentOut = "card-lent-out",
    CardForbidden = "card-forbidden",
    CardSilent = "card-silent",
    CardRepairPending = "card-repair-pending",
    AgentMissing = "agent-missing",
    AgentNotExecutable = "agent-not-executable",
    AgentCrashed = "agent-crashed",
    AgentBadPlan = "agent-bad-plan",
    PortInUse = "port-in-use",
    NoIntroduction = "no-introduction",
    NoGuard = "no-guard",
    AgentWrongVersion = "agent-wrong-version",
    AgentNotGenuine = "agent-not-genuine",
    AgentShim = "agent-shim",
    AgentSilent = "agent-silent",
    AgentNoNetwork = "agent-no-network",
    AgentStateDamaged = "agent-state-damaged",
    AgentDiskFull = "agent-disk-full",
    AgentFolderUnwritable = "agent-folder-unwritable",
    AgentFolderInUse = "agent-folder-in-use",
    AgentNoControlGroups = "agent-no-control-groups",
    AgentCertificateUnreadable = "agent-certificate-unreadable",
    AgentPcUnreadable = "agent-pc-unreadable",
    AgentSlow = "agent-slow",
    AgentBusy = "agent-busy",
    WorkStillThere = "work-still-there",
    FilesLeft = "files-left",
    EngineDown = "engine-down",
    EngineAbsent = "engine-absent",
    EngineNotPermitted = "engine-not-permitted",
    EngineRefuses = "engine-refuses",
    EngineForeign = "engine-foreign",
    EngineNoCard = "engine-no-card",
    EngineConfined = "engine-confined",
    LogDiskFull = "log-disk-full",
    LogRefused = "log-refused",
    NoKeyring = "no-keyring",
    KeyringLocked = "keyring-locked",
    OtherAccount = "other-account",
    WindowFailed = "window-failed",
    PartBroke = "part-broke",
}

/// The deed that the problem's button does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    None,
    SignIn,
    Retry,
    Detect,
    Resume,
    TakeOver,
    Open { link: Link },
}

/// Everything that stands in the way now, the most fundamental first: what would be wrong whatever came after it.
pub fn problems(state: &State) -> Vec<Problem> {
    let mut found = Vec::new();
    let faults = &state.faults;
    let enrolled = state.enrolment.device.is_some();
    found.extend(faults.settings.as_ref().map(of_settings));
    found.extend(state.is_lost().then(|| plain(ProblemCode::DeviceLost, Action::None, Stops::Everything)));
    found.extend(of_others(state));
    found.extend(faults.sign_in.as_ref().and_then(|fault| of_sign_in(fault, enrolled)));
    let enrolment = if enrolled { Stops::Nothing } else { Stops::Everything };
    found.extend(faults.enrolment.as_ref().map(|fault| of_cloud(fault, enrolment)));
    match &faults.gpu {
        Some(fault) => found.push(of_gpu(fault)),
        None => found.extend(state.work.hardware.iter().flat_map(of_cards)),
    }
    found.extend(faults.engine.as_ref().map(of_engine));
    found.extend(faults.agent.as_ref().map(of_agent));
    if let Region::Unreachable { fault, .. } = &state.region {
        found.push(of_cloud(fault, Stops::NewWork));
    }
    if state.last_answer().is_some_and(|answer| answer.silent_since.is_some()) {
        found.push(of_cloud(&CloudFault::RegionUnreachable, Stops::NewWork));
    }
    found.extend(state.registration_fault().map(of_registration));
    found.extend(faults.work.as_ref().map(of_work));
    found.extend(state.logs.fault.as_ref().and_then(of_logs));
    found.extend(faults.window.then(|| plain(ProblemCode::WindowFailed, Action::None, Stops::Nothing)));
    found.extend(faults.runner.map(|name| {
        with(ProblemCode::PartBroke, Action::None, Stops::Nothing, &[("name", name.to_owned())])
    }));
    found.extend(of_session(state));
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|problem| seen.insert(problem.code));
    found
}

fn plain(code: ProblemCode, action: Action, stops: Stops) -> Problem {
    Problem { code, args: BTreeMap::new(), action, stops }
}

fn with(code: ProblemCode, action: Action, stops: Stops, args: &[(&str, String)]) -> Problem {
    let args = args.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Problem { code, args, action, stops }
}

fn of_settings(fault: &SettingsFault) -> Problem {
    match fault {
        SettingsFault::Damaged => plain(ProblemCode::SettingsDamaged, Action::Resume, Stops::Everything),
        SettingsFault::Unreadable => {
            plain(ProblemCode::SettingsUnreadable, Action::Resume, Stops::Everything)
        }
        SettingsFault::CannotWrite(why) => {
            with(ProblemCode::SettingsUnwritable, Action::Retry, Stops::Nothing, &[("why", why.clone())])
        }
    }
}

/// The money would go to another account than the one that the window shows.
fn of_others(state: &State) -> Option<Problem> {
    let paid = state.paid().filter(|_| state.is_others())?;
    let here = state.account_name()?;
    let args = [("paid", paid.shown.clone()), ("here", here.shown.clone())];
    Some(with(ProblemCode::OtherAccount, Action::TakeOver, Stops::Everything, &args))
}

fn of_session(state: &State) -> Option<Problem> {
    match state.owner.account {
        Account::SignedIn { store: crate::event::SessionStore::File, .. } => {
            Some(plain(ProblemCode::NoKeyring, Action::None, Stops::Nothing))
        }
        Account::Locked { .. } => Some(plain(ProblemCode::KeyringLocked, Action::None, Stops::Nothing)),
        Account::SignedIn { store: crate::event::SessionStore::Keyring, .. }
        | Account::SignedOut
        | Account::SigningIn { .. }
        | Account::SigningOut => None,
    }
}

/// An enrolled PC earns without a session.
fn of_sign_in(fault: &SignInFault, enrolled: bool) -> Option<Problem> {
    use ProblemCode as Code;
    let stops = if enrolled { Stops::Nothing } else { Stops::Everything };
    Some(match fault {
        SignInFault::ProviderDown => plain(Code::ProviderDown, Action::SignIn, stops),
        SignInFault::Abandoned => plain(Code::SignInAbandoned, Action::SignIn, stops),
        SignInFault::Refused(why) => {
            with(Code::SignInRefused, Action::SignIn, stops, &[("why", why.clone())])
        }
        SignInFault::NotOurs(_) => plain(Code::SignInNotOurs, Action::SignIn, stops),
        SignInFault::CodeExpired => plain(Code::CodeExpired, Action::SignIn, stops),
        SignInFault::CannotStore(why) => {
            with(Code::CannotStore, Action::SignIn, stops, &[("why", why.clone())])
        }
        SignInFault::SessionEnded => plain(Code::SessionEnded, Action::SignIn, Stops::Nothing),
        // Without a browser the sign-in goes on by code: see `step`.
        SignInFault::NoBrowser | SignInFault::Cancelled => return None,
    })
}

/// What a fault of the gateway is, in the place where it stops this much.
pub fn of_cloud(fault: &CloudFault, stops: Stops) -> Problem {
    use ProblemCode as Code;
    match fault {
        CloudFault::NoNetwork => plain(Code::NoNetwork, Action::Retry, stops),
        CloudFault::Unavailable(_) => plain(Code::GatewayDown, Action::Retry, stops),
        CloudFault::RegionUnreachable => plain(Code::RegionUnreachable, Action::Retry, stops),
        CloudFault::Slow | CloudFault::TooMany { .. } => plain(Code::GatewaySlow, Action::Retry, stops),
        CloudFault::Garbled => plain(Code::GatewayGarbled, Action::Retry, stops),
        CloudFault::ClockWrong { skew_ms } => of_clock(*skew_ms, stops.max(Stops::NewWork)),
        CloudFault::CertificateRefused => {
            plain(Code::CertificateRefused, Action::Retry, stops.max(Stops::NewWork))
        }
        CloudFault::CertificateExpired => {
            plain(Code::CertificateExpired, Action::Retry, stops.max(Stops::NewWork))
        }
        CloudFault::DeviceLost => plain(Code::DeviceLost, Action::None, Stops::Everything),
        CloudFault::NotSignedIn => plain(Code::SessionEnded, Action::SignIn, stops),
        CloudFault::Refused(why) => with(Code::GatewayRefused, Action::Retry, stops, &[("why", why.clone())]),
        CloudFault::CannotStore(why) => {
            with(Code::CannotStore, Action::Retry, stops, &[("why", why.clone())])
        }
    }
}

/// `direction` is `ahead` or `behind`; `hours` and `minutes` are how far, rounded down.
fn of_clock(skew_ms: i64, stops: Stops) -> Problem {
    let direction = if skew_ms > 0 { "ahead" } else { "behind" };
    let minutes = skew_ms.unsigned_abs() / 60_000;
    let args = [
        ("direction", direction.to_owned()),
        ("hours", (minutes / 60).to_string()),
        ("minutes", (minutes % 60).to_string()),
    ];
    with(ProblemCode::ClockWrong, Action::Retry, stops, &args)
}

fn of_gpu(fault: &GpuFault) -> Problem {
    use ProblemCode as Code;
    let driver = Action::Open { link: Link::DriverDownload };
    match fault {
        GpuFault::DriverMissing => plain(Code::DriverMissing, driver, Stops::NewWork),
        GpuFault::DriverNotLoaded => plain(Code::DriverNotLoaded, Action::Detect, Stops::NewWork),
        GpuFault::DriverMismatch => plain(Code::DriverMismatch, Action::Detect, Stops::NewWork),
        GpuFault::DriverSilent => plain(Code::DriverSilent, Action::Detect, Stops::NewWork),
        GpuFault::DriverBroken(why) => {
            with(Code::DriverBroken, Action::Detect, Stops::NewWork, &[("why", why.clone())])
        }
        GpuFault::DriverTooOld { found, needed } => with(
            Code::DriverTooOld,
            driver,
            Stops::NewWork,
            &[("found", found.clone()), ("needed", needed.clone())],
        ),
        GpuFault::NoGpu => plain(Code::NoGpu, Action::Detect, Stops::NewWork),
        GpuFault::CardsOut { cards, trouble } => of_trouble(*trouble, cards.clone(), Stops::NewWork),
    }
}

/// What is wrong with some cards while others work.
fn of_cards(hardware: &Hardware) -> Vec<Problem> {
    let out = hardware.troubles().into_iter();
    let mut problems: Vec<_> =
        out.map(|(trouble, cards)| of_trouble(trouble, cards.join(", "), Stops::Nothing)).collect();
    let pending: Vec<_> =
        hardware.for_jobs().filter(|gpu| gpu.repair_pending).map(|gpu| gpu.name.as_str()).collect();
    if !pending.is_empty() {
        let cards = [("cards", pending.join(", "))];
        problems.push(with(ProblemCode::CardRepairPending, Action::None, Stops::Nothing, &cards));
    }
    problems
}

fn of_trouble(trouble: CardTrouble, cards: String, stops: Stops) -> Problem {
    let code = match trouble {
        CardTrouble::Lost => ProblemCode::CardLost,
        CardTrouble::NeedsReset => ProblemCode::CardNeedsReset,
        CardTrouble::Unpowered => ProblemCode::CardUnpowered,
        CardTrouble::Worn => ProblemCode::CardWorn,
        CardTrouble::Divided => ProblemCode::CardDivided,
        CardTrouble::Prohibited => ProblemCode::CardProhibited,
        CardTrouble::LentOut => ProblemCode::CardLentOut,
        CardTrouble::Forbidden => ProblemCode::CardForbidden,
        CardTrouble::Silent => ProblemCode::CardSilent,
    };
    with(code, Action::Detect, stops, &[("cards", cards)])
}

fn of_agent(fault: &AgentFault) -> Problem {
    use ProblemCode as Code;
    match fault {
        AgentFault::Missing => {
            plain(Code::AgentMissing, Action::Open { link: Link::AgentInstall }, Stops::NewWork)
        }
        AgentFault::NotExecutable(path) => {
            with(Code::AgentNotExecutable, Action::Retry, Stops::NewWork, &[("path", path.clone())])
        }
        AgentFault::PortInUse => plain(Code::PortInUse, Action::Retry, Stops::NewWork),
        AgentFault::Crashed { code } => {
            let code = code.map_or_else(|| "–".to_owned(), |code| code.to_string());
            with(Code::AgentCrashed, Action::Retry, Stops::NewWork, &[("code", code)])
        }
        AgentFault::BadPlan(why) => {
            with(Code::AgentBadPlan, Action::Retry, Stops::NewWork, &[("why", why.clone())])
        }
        AgentFault::NoIntroduction(fault) => match fault {
            CloudFault::Refused(why) => {
                with(Code::NoIntroduction, Action::Retry, Stops::NewWork, &[("why", why.clone())])
            }
            CloudFault::NoNetwork
            | CloudFault::Unavailable(_)
            | CloudFault::RegionUnreachable
            | CloudFault::Slow
            | CloudFault::Garbled
            | CloudFault::ClockWrong { .. }
            | CloudFault::CertificateRefused
            | CloudFault::CertificateExpired
            | CloudFault::DeviceLost
            | CloudFault::NotSignedIn
            | CloudFault::CannotStore(_)
            | CloudFault::TooMany { .. } => of_cloud(fault, Stops::NewWork),
        },
        AgentFault::NoGuard(why) => {
            with(Code::NoGuard, Action::Retry, Stops::NewWork, &[("why", why.clone())])
        }
        AgentFault::WrongVersion { found, needed } => {
            let args = [("found", found.clone()), ("needed", needed.clone())];
            with(Code::AgentWrongVersion, Action::Open { link: Link::AgentInstall }, Stops::NewWork, &args)
        }
        AgentFault::NotGenuine(path) => {
            let install = Action::Open { link: Link::AgentInstall };
            with(Code::AgentNotGenuine, install, Stops::NewWork, &[("path", path.clone())])
        }
        AgentFault::Shim(path) => {
            with(Code::AgentShim, Action::Retry, Stops::NewWork, &[("path", path.clone())])
        }
        AgentFault::Silent(path) => {
            with(Code::AgentSilent, Action::Retry, Stops::NewWork, &[("path", path.clone())])
        }
        AgentFault::NoNetwork => plain(Code::AgentNoNetwork, Action::Retry, Stops::NewWork),
        AgentFault::StateDamaged => plain(Code::AgentStateDamaged, Action::Retry, Stops::NewWork),
        AgentFault::DiskFull => plain(Code::AgentDiskFull, Action::Retry, Stops::NewWork),
        AgentFault::FolderUnwritable(why) => {
            with(Code::AgentFolderUnwritable, Action::Retry, Stops::NewWork, &[("why", why.clone())])
        }
        AgentFault::FolderInUse => plain(Code::AgentFolderInUse, Action::Retry, Stops::NewWork),
        AgentFault::NoControlGroups(why) => {
            with(Code::AgentNoControlGroups, Action::Retry, Stops::NewWork, &[("why", why.clone())])
        }
        AgentFault::CertificateUnreadable(why) => {
            with(Code::AgentCertificateUnreadable, Action::Retry, Stops::NewWork, &[("why", why.clone())])
        }
        AgentFault::PcUnreadable(why) => {
            with(Code::AgentPcUnreadable, Action::Retry, Stops::NewWork, &[("why", why.clone())])
        }
        AgentFault::Slow => plain(Code::AgentSlow, Action::Retry, Stops::NewWork),
        AgentFault::Held { .. } | AgentFault::CalledOff => {
            plain(Code::AgentBusy, Action::Retry, Stops::NewWork)
        }
        AgentFault::Engine(fault) => of_engine(fault),
    }
}

fn of_engine(fault: &EngineFault) -> Problem {
    use ProblemCode as Code;
    match fault {
        EngineFault::Absent => plain(Code::EngineAbsent, Action::Retry, Stops::NewWork),
        EngineFault::NotPermitted => plain(Code::EngineNotPermitted, Action::Retry, Stops::NewWork),
        EngineFault::Silent => plain(Code::EngineDown, Action::Retry, Stops::NewWork),
        EngineFault::Refuses(status) => {
            with(Code::EngineRefuses, Action::Retry, Stops::NewWork, &[("status", status.to_string())])
        }
        EngineFault::Foreign(what) => {
            with(Code::EngineForeign, Action::Retry, Stops::NewWork, &[("what", what.clone())])
        }
        EngineFault::NoCard => plain(Code::EngineNoCard, Action::Retry, Stops::NewWork),
        EngineFault::Confined => plain(Code::EngineConfined, Action::Retry, Stops::NewWork),
    }
}

fn of_registration(fault: &RegistrationFault) -> Problem {
    let code = match fault {
        RegistrationFault::CertificateExpired => ProblemCode::CertificateExpired,
        RegistrationFault::CertificateRefused => ProblemCode::CertificateRefused,
        RegistrationFault::ServersNotTrusted => ProblemCode::ServersNotTrusted,
        RegistrationFault::Denied => ProblemCode::RegistrationDenied,
        RegistrationFault::ServersUnreachable => ProblemCode::ServersUnreachable,
    };
    plain(code, Action::Retry, Stops::NewWork)
}

fn of_work(fault: &WorkFault) -> Problem {
    match fault {
        WorkFault::StillThere { left } => {
            with(ProblemCode::WorkStillThere, Action::Retry, Stops::Nothing, &[("left", left.to_string())])
        }
        WorkFault::NotPermitted => {
            with(ProblemCode::WorkStillThere, Action::Retry, Stops::Nothing, &[("left", "1".into())])
        }
        WorkFault::EngineDown => plain(ProblemCode::EngineDown, Action::Retry, Stops::Nothing),
        WorkFault::FilesLeft { left } => {
            with(ProblemCode::FilesLeft, Action::Retry, Stops::Nothing, &[("left", left.to_string())])
        }
    }
}

/// A store that cannot be reached is the network's or the gateway's problem, and is said as theirs.
fn of_logs(fault: &LogFault) -> Option<Problem> {
    match fault {
        LogFault::DiskFull => Some(plain(ProblemCode::LogDiskFull, Action::None, Stops::Nothing)),
        LogFault::Refused(_) => Some(plain(ProblemCode::LogRefused, Action::None, Stops::Nothing)),
        LogFault::Unreachable => None,
    }
}
