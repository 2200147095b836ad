//! Problems on the way to io.net, and of its word.

use super::{Action, Problem, ProblemCode, Stops, plain, with};
use crate::fault::{CloudFault, NamedBy, ProxyFault, ProxyTrouble, RegistrationFault};

/// What a fault of the gateway is, in the place where it stops this much.
pub fn of_cloud(fault: &CloudFault, stops: Stops) -> Problem {
    use ProblemCode as Code;
    let with = |code, name, value: &str| with(code, Action::Retry, stops, &[(name, value.to_owned())]);
    let at_least_new_work = stops.max(Stops::NewWork);
    match fault {
        CloudFault::NoNetwork => plain(Code::NoNetwork, Action::Retry, stops),
        CloudFault::Unavailable(_) => plain(Code::GatewayDown, Action::Retry, stops),
        CloudFault::RegionUnreachable => plain(Code::RegionUnreachable, Action::Retry, stops),
        CloudFault::Slow => plain(Code::GatewaySlow, Action::Retry, stops),
        CloudFault::Garbled => plain(Code::GatewayGarbled, Action::Retry, stops),
        CloudFault::ClockWrong { skew_ms } => of_clock(*skew_ms, at_least_new_work),
        CloudFault::CertificateRefused => plain(Code::CertificateRefused, Action::Retry, at_least_new_work),
        CloudFault::CertificateExpired => plain(Code::CertificateExpired, Action::Retry, at_least_new_work),
        CloudFault::DeviceLost => plain(Code::DeviceLost, Action::None, Stops::Everything),
        CloudFault::NotEnrolled => plain(Code::NotEnrolled, Action::None, stops),
        CloudFault::DeviceRetired => plain(Code::DeviceRetired, Action::None, Stops::Everything),
        CloudFault::NotSignedIn | CloudFault::SessionEnded => {
            plain(Code::SessionEnded, Action::SignIn, stops)
        }
        CloudFault::KeyringLocked => plain(Code::KeyringLocked, Action::None, stops),
        CloudFault::TooMany { wait_s } => with(Code::GatewayBusy, "seconds", &wait_s.to_string()),
        CloudFault::Inspected { issuer } => with(Code::ConnectionOpened, "issuer", issuer),
        CloudFault::Proxy(fault) => of_proxy(fault, Action::Retry, stops),
        CloudFault::Untrusted(what) => with(Code::GatewayNotTrusted, "what", what),
        CloudFault::Refused(why) => with(Code::GatewayRefused, "why", why),
        CloudFault::CannotStore(why) => with(Code::CannotStore, "why", why),
    }
}

/// `why` is `unreachable`, `password` or `refuses`; `by` is `environment` or `settings`: who names the proxy.
pub(super) fn of_proxy(fault: &ProxyFault, action: Action, stops: Stops) -> Problem {
    let why = match fault.why {
        ProxyTrouble::Unreachable => "unreachable",
        ProxyTrouble::WantsPassword => "password",
        ProxyTrouble::Refuses { .. } => "refuses",
    };
    let by = match fault.named_by {
        NamedBy::Environment => "environment",
        NamedBy::Settings => "settings",
    };
    let args = [("host", fault.host.clone()), ("why", why.to_owned()), ("by", by.to_owned())];
    with(ProblemCode::ProxyInTheWay, action, stops, &args)
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

pub(super) fn of_registration(fault: &RegistrationFault) -> Problem {
    let code = match fault {
        RegistrationFault::CertificateExpired => ProblemCode::CertificateExpired,
        RegistrationFault::CertificateRefused => ProblemCode::CertificateRefused,
        RegistrationFault::ServersNotTrusted => ProblemCode::ServersNotTrusted,
        RegistrationFault::Denied => ProblemCode::RegistrationDenied,
        RegistrationFault::ServersUnreachable => ProblemCode::ServersUnreachable,
    };
    plain(code, Action::Retry, Stops::NewWork)
}
