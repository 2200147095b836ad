//! From what a request died of to the fault that has a sentence. By types only; no text is matched.

use std::error::Error;
use std::io;

use ionet_core::fault::CloudFault;
use ionet_gateway_api::{Problem, code};
use reqwest::StatusCode;
use rustls::{AlertDescription, CertificateError};

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
pub(crate) fn refusal(status: StatusCode, body: &[u8]) -> CloudFault {
    let problem = serde_json::from_slice::<Problem>(body);
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return match problem {
            Ok(problem) if problem.code == code::REGION_UNREACHABLE => CloudFault::RegionUnreachable,
            Ok(_) | Err(_) => CloudFault::Unavailable(Some(status.as_u16())),
        };
    }
    let Ok(problem) = problem else { return CloudFault::Garbled };
    match problem.code.as_str() {
        code::NOT_SIGNED_IN => CloudFault::NotSignedIn,
        code::NO_CERTIFICATE => CloudFault::CertificateRefused,
        code::DEVICE_LOST => CloudFault::DeviceLost,
        _ => CloudFault::Refused(problem.code),
    }
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
        refusal(StatusCode::from_u16(status).unwrap(), body.as_bytes())
    }

    #[test]
    fn each_code_that_the_core_tells_apart_has_its_fault() {
        assert_eq!(problem(401, code::NOT_SIGNED_IN), CloudFault::NotSignedIn);
        assert_eq!(problem(401, code::NO_CERTIFICATE), CloudFault::CertificateRefused);
        assert_eq!(problem(403, code::DEVICE_LOST), CloudFault::DeviceLost);
        assert_eq!(problem(409, code::NO_NODE), CloudFault::Refused("no-node".into()));
        assert_eq!(problem(502, code::REGION_UNREACHABLE), CloudFault::RegionUnreachable);
    }

    #[test]
    fn a_refusal_that_is_no_problem_document_is_garbled() {
        let fault = refusal(StatusCode::NOT_FOUND, b"<html>captive portal</html>");

        assert_eq!(fault, CloudFault::Garbled);
    }

    #[test]
    fn a_tls_error_is_found_inside_the_io_error_that_carries_it() {
        let alert = rustls::Error::AlertReceived(AlertDescription::CertificateExpired);
        let carried = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, alert));

        let found = find::<rustls::Error>(&carried).map(of_tls);

        assert_eq!(found, Some(Cut::Ours));
    }
}
