//! From what a request died of to the fault that has a sentence. By types only; no text is matched.

use std::error::Error;
use std::io;

use ionet_core::fault::CloudFault;
use ionet_gateway_api::{Problem, code};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use rustls::{AlertDescription, CertificateError};

use crate::clock::{now_ms, unix_ms};

/// A refusal that names no wait, and the longest that is believed.
const USUAL_WAIT_S: u64 = 30;
const LONGEST_WAIT_S: u64 = 3600;

/// What ended a request that got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The network has no way to the host.
    NoWay,
    /// Somebody answered, and nobody listens or the line was dropped.
    Refused,
    Slow,
    /// The other side's certificate is not valid at this PC's time.
    TheirDates,
    /// The other side's certificate is not acceptable for another reason, or it does not speak TLS.
    Their,
    /// The other side did not accept this PC's certificate.
    Ours,
    /// No bytes that make sense.
    Nonsense,
    /// A connection failed and the types do not say why: a name that leads nowhere, most often.
    Unsaid,
}

pub(crate) fn cut(error: &reqwest::Error) -> Cut {
    if let Some(tls) = find::<rustls::Error>(error) {
        return of_tls(tls);
    }
    if error.is_timeout() {
        return Cut::Slow;
    }
    if let Some(kind) = find::<io::Error>(error).map(io::Error::kind) {
        return of_io(kind);
    }
    if error.is_decode() || error.is_body() {
        return Cut::Nonsense;
    }
    if error.is_connect() { Cut::Unsaid } else { Cut::Nonsense }
}

/// What a refusal of the gateway amounts to.
pub(crate) fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> CloudFault {
    let problem = problem(body);
    if status == StatusCode::TOO_MANY_REQUESTS {
        let told = problem.and_then(|problem| problem.retry_after_s).or_else(|| retry_after_s(headers));
        return CloudFault::TooMany { wait_s: told.unwrap_or(USUAL_WAIT_S).min(LONGEST_WAIT_S) };
    }
    if status.is_server_error() {
        return match problem {
            Some(problem) if problem.code == code::REGION_UNREACHABLE => CloudFault::RegionUnreachable,
            Some(_) | None => CloudFault::Unavailable(Some(status.as_u16())),
        };
    }
    let Some(problem) = problem else { return CloudFault::Garbled };
    match problem.code.as_str() {
        code::NOT_SIGNED_IN => CloudFault::NotSignedIn,
        code::SESSION_ENDED => CloudFault::SessionEnded,
        code::NO_CERTIFICATE => CloudFault::CertificateRefused,
        code::DEVICE_LOST => CloudFault::DeviceLost,
        code::DEVICE_RETIRED => CloudFault::DeviceRetired,
        _ => CloudFault::Refused(problem.code),
    }
}

/// The number that a wanted state was too old for, where that is the refusal.
pub(crate) fn known_sequence(body: &[u8]) -> Option<u64> {
    let problem = problem(body).filter(|problem| problem.code == code::STALE_SEQUENCE)?;
    problem.detail?.trim().parse().ok()
}

/// Seconds, by either of the header's spellings.
pub(crate) fn retry_after_s(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    text.parse().ok().or_else(|| {
        let left_ms = unix_ms(httpdate::parse_http_date(text).ok()?).saturating_sub(now_ms());
        u64::try_from(left_ms.max(0) / 1000).ok()
    })
}

fn problem(body: &[u8]) -> Option<Problem> {
    serde_json::from_slice(body).ok()
}

fn of_tls(error: &rustls::Error) -> Cut {
    use AlertDescription as Alert;
    use CertificateError as Bad;
    #[expect(clippy::wildcard_enum_match_arm, reason = "rustls' enums are open; the rest is one case")]
    match error {
        rustls::Error::InvalidCertificate(
            Bad::Expired | Bad::ExpiredContext { .. } | Bad::NotValidYet | Bad::NotValidYetContext { .. },
        ) => Cut::TheirDates,
        rustls::Error::AlertReceived(
            Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::CertificateRequired
            | Alert::CertificateRevoked
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::UnknownCA
            // A signature that does not fit: an authority of the same name, made anew.
            | Alert::DecryptError
            | Alert::AccessDenied,
        ) => Cut::Ours,
        _ => Cut::Their,
    }
}

fn of_io(kind: io::ErrorKind) -> Cut {
    #[expect(clippy::wildcard_enum_match_arm, reason = "io's kinds are open; the rest is one case")]
    match kind {
        io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::AddrNotAvailable => Cut::NoWay,
        io::ErrorKind::TimedOut => Cut::Slow,
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected
        | io::ErrorKind::UnexpectedEof => Cut::Refused,
        _ => Cut::Unsaid,
    }
}

/// The first error of this type in the chain, also where an I/O error wraps it.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(status: u16, code: &str) -> CloudFault {
        let body =
            format!(r#"{{"type": "about:blank", "title": "t", "status": {status}, "code": "{code}"}}"#);
        refusal(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn each_code_that_the_core_tells_apart_has_its_fault() {
        assert_eq!(problem(401, code::NOT_SIGNED_IN), CloudFault::NotSignedIn);
        assert_eq!(problem(401, code::NO_CERTIFICATE), CloudFault::CertificateRefused);
        assert_eq!(problem(401, code::SESSION_ENDED), CloudFault::SessionEnded);
        assert_eq!(problem(403, code::DEVICE_LOST), CloudFault::DeviceLost);
        assert_eq!(problem(403, code::DEVICE_RETIRED), CloudFault::DeviceRetired);
        assert_eq!(problem(409, "some-other"), CloudFault::Refused("some-other".into()));
        assert_eq!(problem(502, code::REGION_UNREACHABLE), CloudFault::RegionUnreachable);
    }

    #[test]
    fn a_refusal_that_is_no_problem_document_is_garbled() {
        let fault = refusal(StatusCode::NOT_FOUND, &HeaderMap::new(), b"<html>captive portal</html>");

        assert_eq!(fault, CloudFault::Garbled);
    }

    #[test]
    fn too_many_requests_carry_the_wait_by_the_body_the_header_or_none_and_never_for_ever() {
        let waits = |header: Option<&str>, body: &str| {
            let headers = header.map(|value| (RETRY_AFTER, value.parse().unwrap()));
            refusal(StatusCode::TOO_MANY_REQUESTS, &headers.into_iter().collect(), body.as_bytes())
        };
        let told = r#"{"type": "t", "title": "t", "status": 429, "code": "too-many", "retry_after_s": 7}"#;
        let soon =
            httpdate::fmt_http_date(std::time::SystemTime::now() + std::time::Duration::from_secs(100));

        assert_eq!(waits(Some("9"), told), CloudFault::TooMany { wait_s: 7 });
        assert_eq!(waits(Some("9"), "<html>"), CloudFault::TooMany { wait_s: 9 });
        assert_eq!(waits(None, ""), CloudFault::TooMany { wait_s: USUAL_WAIT_S });
        assert_eq!(waits(Some("99999999"), ""), CloudFault::TooMany { wait_s: LONGEST_WAIT_S });
        let CloudFault::TooMany { wait_s } = waits(Some(&soon), "") else { panic!() };
        assert!((90..=100).contains(&wait_s), "{wait_s}");
    }

    #[test]
    fn a_tls_error_is_found_inside_the_io_error_that_carries_it() {
        let alert = rustls::Error::AlertReceived(AlertDescription::CertificateExpired);
        let carried = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, alert));

        let found = find::<rustls::Error>(&carried).map(of_tls);

        assert_eq!(found, Some(Cut::Ours));
    }
}
