//! What a provider says of itself (OpenID Connect Discovery).

use ionet_core::fault::SignInFault;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use url::Url;

use crate::address::is_loopback;

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Metadata {
    pub(super) issuer: String,
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    pub(super) jwks_uri: Url,
    #[serde(default, deserialize_with = "address")]
    pub(super) userinfo_endpoint: Option<Url>,
    #[serde(default, deserialize_with = "address")]
    pub(super) device_authorization_endpoint: Option<Url>,
    #[serde(default, deserialize_with = "address")]
    pub(super) revocation_endpoint: Option<Url>,
    /// RFC 9207.
    #[serde(default, rename = "authorization_response_iss_parameter_supported", deserialize_with = "yes")]
    pub(super) names_itself: bool,
}

/// Where the issuer describes itself.
pub(super) fn address_of(issuer: &str) -> Option<Url> {
    Url::parse(&format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))).ok()
}

pub(super) fn read(issuer: &str, body: &[u8]) -> Result<Metadata, SignInFault> {
    let unreadable = |what: &str| SignInFault::Unreadable(format!("discovery: {what}"));
    let text = String::from_utf8_lossy(body);
    let metadata: Metadata = serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| {
        tracing::warn!(%error, "the identity provider does not describe itself");
        unreadable("no description")
    })?;
    if !is_same(&metadata.issuer, issuer) {
        tracing::warn!(found = metadata.issuer, issuer, "the identity provider calls itself something else");
        return Err(SignInFault::NotOurs("issuer"));
    }
    let local = Url::parse(issuer).is_ok_and(|issuer| is_loopback(&issuer));
    let safe = |url: &Url| url.scheme() == "https" || (url.scheme() == "http" && local && is_loopback(url));
    let needed = [&metadata.authorization_endpoint, &metadata.token_endpoint, &metadata.jwks_uri];
    let further =
        [&metadata.userinfo_endpoint, &metadata.device_authorization_endpoint, &metadata.revocation_endpoint];
    if needed.into_iter().chain(further.into_iter().flatten()).all(safe) {
        Ok(metadata)
    } else {
        Err(unreadable("an address without TLS"))
    }
}

/// A slash at the end is no difference: providers disagree with themselves about it.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    let plain = |issuer: &str| issuer.strip_suffix('/').unwrap_or(issuer).to_owned();
    plain(one) == plain(other)
}

/// What one cannot use is not there.
fn address<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Url>, D::Error> {
    let value = Value::deserialize(from)?;
    Ok(value.as_str().and_then(|text| Url::parse(text).ok()))
}

fn yes<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    let value = Value::deserialize(from)?;
    Ok(value == Value::Bool(true) || value.as_str() == Some("true"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata(change: Value) -> Result<Metadata, SignInFault> {
        let mut document = json!({
            "issuer": "https://id.example.test/realm",
            "authorization_endpoint": "https://id.example.test/auth?policy=1",
            "token_endpoint": "https://id.example.test/token",
            "jwks_uri": "https://id.example.test/keys",
        });
        document.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        read("https://id.example.test/realm", document.to_string().as_bytes())
    }

    #[test]
    fn what_one_does_not_need_may_be_absent_empty_or_odd() {
        let odd = json!({"userinfo_endpoint": "", "revocation_endpoint": null, "scopes_supported": "openid",
            "authorization_response_iss_parameter_supported": "true", "claims_supported": 5});

        let read = metadata(odd).unwrap();

        assert!(read.userinfo_endpoint.is_none() && read.revocation_endpoint.is_none() && read.names_itself);
    }

    #[test]
    fn a_slash_at_the_issuers_end_is_no_difference_and_any_other_is_named() {
        assert!(metadata(json!({"issuer": "https://id.example.test/realm/"})).is_ok());
        for other in [
            "https://id.example.test/realm//",
            "https://id.example.test/{tenantid}",
            "https://evil.test/realm",
        ] {
            assert_eq!(metadata(json!({"issuer": other})).unwrap_err(), SignInFault::NotOurs("issuer"));
        }
    }

    #[test]
    fn a_page_or_an_address_without_tls_is_unreadable() {
        let page = read("https://id.example.test/realm", b"<html>Welcome to our hotel");
        let plain = metadata(json!({"token_endpoint": "http://id.example.test/token"}));
        let here = metadata(json!({"token_endpoint": "http://127.0.0.1/token"}));

        for result in [page, plain, here] {
            assert!(matches!(result, Err(SignInFault::Unreadable(_))), "{result:?}");
        }
    }
}
