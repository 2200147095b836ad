//! What token endpoints answer, as the large providers really write it.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Map, Value};
use url::form_urlencoded;

use crate::secret::Secret;

/// No access token is believed to live longer.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);

/// What a person waits for, whatever the status around it.
const OF_DEVICE_CODES: [&str; 4] = ["authorization_pending", "slow_down", "expired_token", "access_denied"];

#[derive(Debug)]
pub(super) struct TokenAnswer {
    pub(super) access: Secret<String>,
    /// Absent on a refresh where the provider does not rotate: the old one stays good.
    pub(super) refresh: Option<Secret<String>>,
    /// Absent on a refresh.
    pub(super) id_token: Option<Secret<String>>,
    pub(super) expires_in: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoTokens {
    /// The provider says no, by OAuth's word for it.
    Refused(String),
    /// The same again may do later.
    Busy,
    /// No token and no word, and why.
    Unreadable(String),
}

pub(super) fn read(status: StatusCode, body: &[u8]) -> Result<TokenAnswer, NoTokens> {
    let fields = fields(body);
    let error = fields.as_ref().and_then(error_of);
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        let told = error.filter(|error| OF_DEVICE_CODES.contains(&error.as_str()));
        return Err(told.map_or(NoTokens::Busy, NoTokens::Refused));
    }
    match error.as_deref() {
        Some("temporarily_unavailable" | "server_error") => return Err(NoTokens::Busy),
        Some(error) => return Err(NoTokens::Refused(error.to_owned())),
        None if !status.is_success() => return Err(unreadable(format!("status {}", status.as_u16()))),
        None => {}
    }
    let fields = fields.ok_or_else(|| unreadable("no JSON"))?;
    let kind = text(&fields, "token_type").unwrap_or_else(|| "bearer".into());
    if !kind.eq_ignore_ascii_case("bearer") {
        return Err(unreadable("token type"));
    }
    Ok(TokenAnswer {
        access: text(&fields, "access_token").ok_or_else(|| unreadable("no access token"))?.into(),
        refresh: text(&fields, "refresh_token").map(Secret::new),
        id_token: text(&fields, "id_token").map(Secret::new),
        expires_in: fields.get("expires_in").and_then(seconds),
    })
}

/// The members of an answer in JSON, or, as some still write it, in a form's way.
pub(super) fn fields(body: &[u8]) -> Option<Map<String, Value>> {
    // Descriptions come in any encoding; nothing that matters does.
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    if let Ok(Value::Object(fields)) = serde_json::from_str(text) {
        return Some(fields);
    }
    let form = ["access_token=", "error=", "device_code="].iter().any(|start| text.contains(start));
    (form && !text.starts_with(['<', '{', '[', '"'])).then(|| {
        let pairs = form_urlencoded::parse(text.as_bytes());
        pairs.map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))).collect()
    })
}

/// A number, also one that is written as text or with a fraction.
pub(super) fn number(value: &Value) -> Option<f64> {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
    number.filter(|number| number.is_finite())
}

pub(super) fn seconds(value: &Value) -> Option<Duration> {
    let told = Duration::try_from_secs_f64(number(value)?).unwrap_or(LONGEST_LIFE);
    (number(value)? > 0.0).then_some(told.min(LONGEST_LIFE))
}

pub(super) fn text(fields: &Map<String, Value>, name: &str) -> Option<String> {
    fields.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The code alone: descriptions are prose, and may hold an address.
fn error_of(fields: &Map<String, Value>) -> Option<String> {
    let code = match fields.get("error")? {
        Value::String(code) => code.clone(),
        Value::Object(inner) => {
            let named = ["status", "message", "code"].iter().find_map(|name| text(inner, name));
            named.unwrap_or_else(|| "error".into())
        }
        Value::Null | Value::Bool(_) => return None,
        Value::Number(_) | Value::Array(_) => "error".into(),
    };
    let plain: String = code.chars().filter(|c| !c.is_control()).take(80).collect();
    (!plain.trim().is_empty()).then(|| plain.trim().to_owned())
}

fn unreadable(what: impl Into<String>) -> NoTokens {
    NoTokens::Unreadable(format!("token answer: {}", what.into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn given(body: Value) -> TokenAnswer {
        read(StatusCode::OK, body.to_string().as_bytes()).unwrap()
    }

    fn refused(status: u16, body: &[u8]) -> NoTokens {
        read(StatusCode::from_u16(status).unwrap(), body).unwrap_err()
    }

    #[test]
    fn a_life_comes_as_a_number_a_text_a_fraction_or_not_at_all() {
        let life = |value: Value| given(json!({"access_token": "a", "expires_in": value})).expires_in;

        assert_eq!(life(json!(3600)), Some(Duration::from_secs(3600)));
        assert_eq!(life(json!("3599")), Some(Duration::from_secs(3599)));
        assert_eq!(life(json!(3599.5)), Some(Duration::from_millis(3_599_500)));
        assert_eq!(life(json!(1e300)), Some(LONGEST_LIFE));
        for none in [json!(null), json!("soon"), json!(0), json!(-5), json!([])] {
            assert_eq!(life(none), None);
        }
        assert_eq!(given(json!({"access_token": "a"})).expires_in, None);
    }

    #[test]
    fn kinds_are_written_large_and_small_and_scopes_in_any_way() {
        for kind in [json!("Bearer"), json!("bearer"), json!("BEARER"), json!(null)] {
            assert_eq!(
                given(json!({"access_token": "a", "token_type": kind, "scope": ["a", 1]})).access.reveal(),
                "a"
            );
        }
        let other = json!({"access_token": "a", "token_type": "DPoP"}).to_string();
        assert!(matches!(refused(200, other.as_bytes()), NoTokens::Unreadable(_)));
    }

    #[test]
    fn what_is_null_or_empty_is_not_there() {
        let answer = given(json!({"access_token": "a", "refresh_token": null, "id_token": ""}));

        assert!(answer.refresh.is_none() && answer.id_token.is_none());
    }

    #[test]
    fn a_refusal_is_found_in_every_shape_and_status() {
        let cases: [(u16, &[u8], &str); 7] = [
            (400, br#"{"error": "invalid_grant", "error_description": "AADSTS700082: \u0041"}"#, "invalid_grant"),
            (400, b"\xef\xbb\xbf{\"error\": \"invalid_grant\"}", "invalid_grant"),
            (400, b"{\"error\": \"invalid_grant\", \"error_description\": \"abgelaufen f\xfcr immer\"}", "invalid_grant"),
            (200, b"error=authorization_pending&error_description=wait", "authorization_pending"),
            (403, br#"{"error": "authorization_pending"}"#, "authorization_pending"),
            (429, br#"{"error": "slow_down"}"#, "slow_down"),
            (400, br#"{"error": {"code": 400, "message": "INVALID_REFRESH_TOKEN", "status": "INVALID_ARGUMENT"}}"#, "INVALID_ARGUMENT"),
        ];

        for (status, body, code) in cases {
            assert_eq!(refused(status, body), NoTokens::Refused(code.into()));
        }
    }

    #[test]
    fn what_will_pass_is_told_from_what_cannot_be_read() {
        for (status, body) in [
            (502, "<html>502 later</html>"),
            (503, ""),
            (429, "<html>"),
            (500, r#"{"error": "invalid_grant"}"#),
            (400, r#"{"error": "temporarily_unavailable"}"#),
        ] {
            assert_eq!(refused(status, body.as_bytes()), NoTokens::Busy, "{status} {body}");
        }
        for (status, body) in
            [(200, "<html>Welcome"), (404, "<html>access_token="), (200, "{}"), (302, ""), (200, "[]")]
        {
            assert!(matches!(refused(status, body.as_bytes()), NoTokens::Unreadable(_)), "{status} {body}");
        }
    }

    #[test]
    fn nothing_of_a_description_is_repeated() {
        let body = br#"{"error": "access_denied", "error_description": "user alice@example.test \u0007"}"#;

        assert_eq!(refused(400, body), NoTokens::Refused("access_denied".into()));
        assert_eq!(refused(400, b"{\"error\": \"a\\u001b[31mb\"}"), NoTokens::Refused("a[31mb".into()));
    }
}
