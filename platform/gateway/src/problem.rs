//! Every way in which the gateway says no, and its form on the wire (`application/problem+json`).

use std::time::Duration;

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ionet_gateway_api::{Problem, code};

use crate::ca::AuthorityError;
use crate::nomad::NomadError;
use crate::store::Ended;

/// A refused or failed request. What is behind a 5xx goes to the log, not to the caller.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("no access token, or a worthless one")]
    NotSignedIn,
    #[error("no client certificate of this region")]
    NoCertificate,
    #[error("this session began before a PC of the account was reported lost")]
    SessionEnded,
    #[error("too many requests of this kind")]
    TooMany(Duration),
    #[error("this device was reported lost")]
    DeviceLost,
    #[error("this device has left its account")]
    DeviceRetired,
    #[error("a wanted state with a higher number is known: {0}")]
    StaleSequence(i64),
    #[error("no such device of yours")]
    NotYours,
    #[error("the enrolment token is used up, expired or unknown")]
    TokenSpent,
    #[error("this key is enrolled for another account")]
    KeyTaken,
    #[error("the certificate signing request is not acceptable: {0}")]
    BadCsr(&'static str),
    #[error("{0}")]
    BadRequest(String),
    #[error("the region does not answer, or refused")]
    Region(#[from] NomadError),
    #[error("{0}")]
    TooLarge(&'static str),
    #[error("no such path")]
    NotFound,
    #[error("this path does not take this method")]
    MethodNotAllowed,
    #[error("the identity provider does not answer")]
    IssuerSilent,
    #[error("the request took too long")]
    TimedOut,
    #[error("a part of the gateway broke less than a minute ago")]
    Unwell,
    #[error("something went wrong inside the gateway")]
    Internal(#[source] anyhow::Error),
}

impl Refusal {
    /// Whether the caller could not show who it is.
    pub(crate) fn is_of_a_stranger(&self) -> bool {
        let worthless = matches!(self, Self::NotSignedIn | Self::NoCertificate | Self::TokenSpent);
        worthless || matches!(self, Self::SessionEnded | Self::IssuerSilent)
    }

    /// Whole seconds, rounded up: whoever waits as told is let in.
    fn retry_after_s(&self) -> Option<u64> {
        let Self::TooMany(wait) = self else { return None };
        Some(u64::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u64::MAX))
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NotSignedIn | Self::NoCertificate | Self::TokenSpent | Self::SessionEnded => {
                StatusCode::UNAUTHORIZED
            }
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::DeviceLost | Self::DeviceRetired | Self::NotYours => StatusCode::FORBIDDEN,
            Self::KeyTaken | Self::StaleSequence(_) => StatusCode::CONFLICT,
            Self::BadCsr(_) | Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Region(_) => StatusCode::BAD_GATEWAY,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::IssuerSilent | Self::TimedOut | Self::Unwell => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NotSignedIn => code::NOT_SIGNED_IN,
            Self::NoCertificate => code::NO_CERTIFICATE,
            Self::SessionEnded => code::SESSION_ENDED,
            Self::TooMany(_) => code::TOO_MANY,
            Self::DeviceLost => code::DEVICE_LOST,
            Self::DeviceRetired => code::DEVICE_RETIRED,
            Self::StaleSequence(_) => code::STALE_SEQUENCE,
            Self::NotYours => code::NOT_YOURS,
            Self::TokenSpent => code::TOKEN_SPENT,
            Self::KeyTaken => code::KEY_TAKEN,
            Self::BadCsr(_) => code::BAD_CSR,
            Self::BadRequest(_) => code::BAD_REQUEST,
            Self::Region(_) => code::REGION_UNREACHABLE,
            Self::TooLarge(_) => code::TOO_LARGE,
            Self::NotFound => code::NOT_FOUND,
            Self::MethodNotAllowed => code::METHOD_NOT_ALLOWED,
            Self::IssuerSilent | Self::TimedOut | Self::Unwell => code::UNAVAILABLE,
            Self::Internal(_) => code::INTERNAL,
        }
    }

    /// What a program needs to know beyond the code.
    fn detail(&self) -> Option<String> {
        let Self::StaleSequence(highest) = self else { return None };
        Some(highest.to_string())
    }

    fn log(&self) {
        match self {
            Self::Region(cause) => tracing::warn!(error = %cause, "the region did not do as asked"),
            Self::Internal(cause) => tracing::error!(error = format!("{cause:#}"), "a request failed inside"),
            Self::IssuerSilent | Self::TimedOut => {
                tracing::warn!(code = self.code(), "a request was given up")
            }
            Self::NotSignedIn
            | Self::NoCertificate
            | Self::SessionEnded
            | Self::TooMany(_)
            | Self::DeviceLost
            | Self::DeviceRetired
            | Self::StaleSequence(_)
            | Self::NotYours
            | Self::TokenSpent
            | Self::KeyTaken
            | Self::BadCsr(_)
            | Self::BadRequest(_)
            | Self::TooLarge(_)
            | Self::NotFound
            | Self::MethodNotAllowed
            // What broke was said as it did.
            | Self::Unwell => tracing::debug!(code = self.code(), "a request was refused"),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.log();
        let status = self.status();
        let problem = Problem {
            kind: format!("urn:ionet:problem:{}", self.code()),
            title: self.to_string(),
            status: status.as_u16(),
            code: self.code().to_owned(),
            detail: self.detail(),
            retry_after_s: self.retry_after_s(),
        };
        let mut response = (status, axum::Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if matches!(self, Self::NotSignedIn | Self::TokenSpent | Self::SessionEnded) {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_s() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Ended> for Refusal {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Lost => Self::DeviceLost,
            Ended::Retired => Self::DeviceRetired,
        }
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Internal(anyhow::Error::new(error).context("database"))
    }
}

impl From<AuthorityError> for Refusal {
    fn from(error: AuthorityError) -> Self {
        Self::Internal(anyhow::Error::new(error).context("certificate authority"))
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge("the request's body is too large"),
            _ => Self::BadRequest(rejection.body_text()),
        }
    }
}

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        Self::BadRequest(rejection.body_text())
    }
}

impl From<PathRejection> for Refusal {
    fn from(rejection: PathRejection) -> Self {
        Self::BadRequest(rejection.body_text())
    }
}
