//! What stands in the way, in terms that have a sentence and a next step in `locales/`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::Link;
use crate::fault::{
    AgentFault, CloudFault, GpuFault, LogFault, RegistrationFault, SettingsFault, SignInFault, WorkFault,
};
use crate::state::{Account, Region, State};

/// One problem. Its sentences are `problem-<code>-title` and `problem-<code>-body` with `args` filled in, and its
/// button is `action-<action>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Problem {
    pub code: ProblemCode,
    pub args: BTreeMap<String, String>,
    pub action: Action,
    /// Nothing can be earned until it is gone.
    pub blocking: bool,
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
    DriverBroken = "driver-broken",
    DriverTooOld = "driver-too-old",
    NoGpu = "no-gpu",
    AgentMissing = "agent-missing",
    AgentNotExecutable = "agent-not-executable",
    AgentCrashed = "agent-crashed",
    AgentBadPlan = "agent-bad-plan",
    PortInUse = "port-in-use",
    NoIntroduction = "no-introduction",
    NoGuard = "no-guard",
    WorkStillThere = "work-still-there",
    EngineDown = "engine-down",
    LogDiskFull = "log-disk-full",
    LogQuota = "log-quota",
    LogReadOnly = "log-read-only",
    LogNotAllowed = "log-not-allowed",
    LogDiskFailing = "log-disk-failing",
    LogDiskHangs = "log-disk-hangs",
    LogDiskGone = "log-disk-gone",
    LogRefused = "log-refused",
    LogStoreSilent = "log-store-silent",
    NoKeyring = "no-keyring",
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
    Open { link: Link },
}

/// Everything that stands in the way now, the most fundamental first: what would be wrong whatever came after it.
pub fn problems(state: &State) -> Vec<Problem> {
    let mut found = Vec::new();
    let faults = &state.faults;
    found.extend(faults.settings.as_ref().map(of_settings));
    let lost = state.is_lost().then(|| plain(ProblemCode::DeviceLost, Action::None, true));
    found.extend(lost);
    found.extend(faults.sign_in.as_ref().and_then(of_sign_in));
    found.extend(faults.enrolment.as_ref().map(|fault| of_cloud(fault, state.device.is_none())));
    found.extend(faults.gpu.as_ref().map(of_gpu));
    found.extend(faults.agent.as_ref().map(of_agent));
    if let Region::Unreachable { fault, .. } = &state.region {
        found.push(of_cloud(fault, true));
    }
    if state.last_view().is_some_and(|view| view.silent_since.is_some()) {
        found.push(of_cloud(&CloudFault::RegionUnreachable, true));
    }
    found.extend(state.registration_fault().map(of_registration));
    found.extend(faults.work.as_ref().map(of_work));
    found.extend(state.logs.fault.as_ref().and_then(of_logs));
    if let Account::SignedIn { store: crate::event::SessionStore::File, .. } = state.account {
        found.push(plain(ProblemCode::NoKeyring, Action::None, false));
    }
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|problem| seen.insert(problem.code));
    found
}

fn plain(code: ProblemCode, action: Action, blocking: bool) -> Problem {
    Problem { code, args: BTreeMap::new(), action, blocking }
}

fn with(code: ProblemCode, action: Action, blocking: bool, args: &[(&str, String)]) -> Problem {
    let args = args.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Problem { code, args, action, blocking }
}

fn of_settings(fault: &SettingsFault) -> Problem {
    match fault {
        SettingsFault::Damaged => plain(ProblemCode::SettingsDamaged, Action::Resume, true),
        SettingsFault::CannotWrite(why) => {
            with(ProblemCode::SettingsUnwritable, Action::Retry, false, &[("why", why.clone())])
        }
    }
}

fn of_sign_in(fault: &SignInFault) -> Option<Problem> {
    use ProblemCode as Code;
    Some(match fault {
        SignInFault::ProviderDown => plain(Code::ProviderDown, Action::SignIn, true),
        SignInFault::Abandoned => plain(Code::SignInAbandoned, Action::SignIn, true),
        SignInFault::Refused(why) => with(Code::SignInRefused, Action::SignIn, true, &[("why", why.clone())]),
        SignInFault::NotOurs(_) => plain(Code::SignInNotOurs, Action::SignIn, true),
        SignInFault::CodeExpired => plain(Code::CodeExpired, Action::SignIn, true),
        SignInFault::CannotStore(why) => {
            with(Code::CannotStore, Action::SignIn, true, &[("why", why.clone())])
        }
        SignInFault::SessionEnded => plain(Code::SessionEnded, Action::SignIn, false),
        // Without a browser the sign-in goes on by code: see `step`.
        SignInFault::NoBrowser | SignInFault::Cancelled => return None,
    })
}

fn of_cloud(fault: &CloudFault, blocking: bool) -> Problem {
    use ProblemCode as Code;
    match fault {
        CloudFault::NoNetwork => plain(Code::NoNetwork, Action::Retry, blocking),
        CloudFault::Unavailable(_) => plain(Code::GatewayDown, Action::Retry, blocking),
        CloudFault::RegionUnreachable => plain(Code::RegionUnreachable, Action::Retry, blocking),
        CloudFault::Slow => plain(Code::GatewaySlow, Action::Retry, blocking),
        CloudFault::Garbled => plain(Code::GatewayGarbled, Action::Retry, blocking),
        CloudFault::ClockWrong { skew_ms } => of_clock(*skew_ms),
        CloudFault::CertificateRefused => plain(Code::CertificateRefused, Action::Retry, true),
        CloudFault::CertificateExpired => plain(Code::CertificateExpired, Action::Retry, true),
        CloudFault::DeviceLost => plain(Code::DeviceLost, Action::None, true),
        CloudFault::NotSignedIn => plain(Code::SessionEnded, Action::SignIn, blocking),
        CloudFault::Refused(why) => {
            with(Code::GatewayRefused, Action::Retry, blocking, &[("why", why.clone())])
        }
        CloudFault::CannotStore(why) => {
            with(Code::CannotStore, Action::Retry, blocking, &[("why", why.clone())])
        }
    }
}

/// `direction` is `ahead` or `behind`; `hours` and `minutes` are how far, rounded down.
fn of_clock(skew_ms: i64) -> Problem {
    let direction = if skew_ms > 0 { "ahead" } else { "behind" };
    let minutes = skew_ms.unsigned_abs() / 60_000;
    with(
        ProblemCode::ClockWrong,
        Action::Retry,
        true,
        &[
            ("direction", direction.to_owned()),
            ("hours", (minutes / 60).to_string()),
            ("minutes", (minutes % 60).to_string()),
        ],
    )
}

fn of_gpu(fault: &GpuFault) -> Problem {
    use ProblemCode as Code;
    let driver = Action::Open { link: Link::DriverDownload };
    match fault {
        GpuFault::DriverMissing => plain(Code::DriverMissing, driver, true),
        GpuFault::DriverBroken(why) => {
            with(Code::DriverBroken, Action::Detect, true, &[("why", why.clone())])
        }
        GpuFault::DriverTooOld { found, needed } => {
            with(Code::DriverTooOld, driver, true, &[("found", found.clone()), ("needed", needed.clone())])
        }
        GpuFault::NoGpu => plain(Code::NoGpu, Action::Detect, true),
    }
}

fn of_agent(fault: &AgentFault) -> Problem {
    use ProblemCode as Code;
    match fault {
        AgentFault::Missing => plain(Code::AgentMissing, Action::Open { link: Link::AgentInstall }, true),
        AgentFault::NotExecutable(path) => {
            with(Code::AgentNotExecutable, Action::Retry, true, &[("path", path.clone())])
        }
        AgentFault::PortInUse => plain(Code::PortInUse, Action::Retry, true),
        AgentFault::Crashed { code } => {
            let code = code.map_or_else(|| "–".to_owned(), |code| code.to_string());
            with(Code::AgentCrashed, Action::Retry, true, &[("code", code)])
        }
        AgentFault::BadPlan(why) => with(Code::AgentBadPlan, Action::Retry, true, &[("why", why.clone())]),
        AgentFault::NoIntroduction(fault) => match fault {
            CloudFault::Refused(why) => {
                with(Code::NoIntroduction, Action::Retry, true, &[("why", why.clone())])
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
            | CloudFault::CannotStore(_) => of_cloud(fault, true),
        },
        AgentFault::NoGuard(why) => with(Code::NoGuard, Action::Retry, true, &[("why", why.clone())]),
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
    plain(code, Action::Retry, true)
}

fn of_work(fault: &WorkFault) -> Problem {
    match fault {
        WorkFault::StillThere { left } => {
            with(ProblemCode::WorkStillThere, Action::Retry, false, &[("left", left.to_string())])
        }
        WorkFault::NotPermitted => {
            with(ProblemCode::WorkStillThere, Action::Retry, false, &[("left", "1".into())])
        }
        WorkFault::EngineDown => plain(ProblemCode::EngineDown, Action::Retry, false),
    }
}

/// What stops the logs stops nothing else. A store that cannot be reached is the network's or the gateway's problem and is
/// said as theirs, unless both answer all day.
fn of_logs(fault: &LogFault) -> Option<Problem> {
    use ProblemCode as Code;
    let quiet = |code, args: &[(&str, String)]| Some(with(code, Action::None, false, args));
    match fault {
        LogFault::DiskFull => quiet(Code::LogDiskFull, &[]),
        LogFault::QuotaUsedUp => quiet(Code::LogQuota, &[]),
        LogFault::ReadOnly => quiet(Code::LogReadOnly, &[]),
        LogFault::NotAllowed => quiet(Code::LogNotAllowed, &[]),
        LogFault::DiskFailing(why) => quiet(Code::LogDiskFailing, &[("why", why.clone())]),
        LogFault::DiskHangs => quiet(Code::LogDiskHangs, &[]),
        LogFault::DiskGone => quiet(Code::LogDiskGone, &[]),
        LogFault::Refused(status) => quiet(Code::LogRefused, &[("status", status.to_string())]),
        LogFault::StoreSilent(host) => quiet(Code::LogStoreSilent, &[("host", host.clone())]),
        LogFault::Unreachable => None,
    }
}
