//! What a problem is called: names that stay.

use serde::{Deserialize, Serialize};

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
    SignInUnreadable = "sign-in-unreadable",
    CannotStore = "cannot-store",
    NoNetwork = "no-network",
    GatewayDown = "gateway-down",
    RegionUnreachable = "region-unreachable",
    GatewaySlow = "gateway-slow",
    GatewayGarbled = "gateway-garbled",
    GatewayRefused = "gateway-refused",
    GatewayBusy = "gateway-busy",
    GatewayNotTrusted = "gateway-not-trusted",
    ProxyInTheWay = "proxy-in-the-way",
    ConnectionOpened = "connection-opened",
    ClockWrong = "clock-wrong",
    CertificateRefused = "certificate-refused",
    CertificateExpired = "certificate-expired",
    RegistrationDenied = "registration-denied",
    ServersNotTrusted = "servers-not-trusted",
    ServersUnreachable = "servers-unreachable",
    DeviceLost = "device-lost",
    DeviceRetired = "device-retired",
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
    AppUpgraded = "app-upgraded",
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
    EngineNoCardRuntime = "engine-no-card-runtime",
    EngineConfined = "engine-confined",
    EngineFoldersOutOfReach = "engine-folders-out-of-reach",
    EngineProgramGone = "engine-program-gone",
    EngineCardUnreachable = "engine-card-unreachable",
    EngineLosesCards = "engine-loses-cards",
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
    KeyringLocked = "keyring-locked",
    OtherAccount = "other-account",
    WindowFailed = "window-failed",
    PartBroke = "part-broke",
}
