//! RFC 8628: the person types a short code into a browser anywhere.

use std::time::Duration;

use ionet_core::UnixMs;
use ionet_core::event::DeviceCode;
use ionet_core::fault::SignInFault;
use openidconnect::PkceCodeChallenge;
use reqwest::StatusCode;
use tokio::time::{Instant, sleep_until};
use url::Url;

use super::discovery::Metadata;
use super::grant::Grant;
use super::hooks::SignInHooks;
use super::provider::{Provider, Reply, SCOPE, TokenFault};
use super::token_answer::{NoTokens, TokenAnswer, fields, read, seconds, text};
use crate::clock::now_ms;

const USUAL_LIFE: Duration = Duration::from_secs(600);
const USUAL_INTERVAL: Duration = Duration::from_secs(5);
/// What a provider that says `slow_down` is given more.
const SLOWER_BY: Duration = Duration::from_secs(5);
/// The longest wait after an answer that was none.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

pub(super) async fn sign_in(provider: &Provider, hooks: &SignInHooks) -> Result<Grant, SignInFault> {
    let found = provider.discover().await?;
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let details = ask(provider, &found, &challenge).await?;
    let life_ms = i64::try_from(details.life.as_millis()).unwrap_or(i64::MAX);
    (hooks.device_code)(DeviceCode {
        user_code: details.user_code.clone(),
        verification_uri: details.verification_uri.to_string(),
        expires_at: UnixMs(now_ms()).plus(life_ms),
    });
    let tokens = wait(provider, &found, &details, verifier.secret()).await?;
    provider.grant(&found, tokens, None).await
}

/// The provider's answer.
struct Details {
    device_code: String,
    user_code: String,
    verification_uri: Url,
    life: Duration,
    interval: Duration,
}

/// PKCE is demanded here by some providers, and ignored by the others.
async fn ask(
    provider: &Provider,
    found: &Metadata,
    challenge: &PkceCodeChallenge,
) -> Result<Details, SignInFault> {
    let url = found.device_authorization_endpoint.as_ref();
    let url = url.ok_or_else(|| SignInFault::Refused("no device code".into()))?;
    let form = [("scope", SCOPE), ("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")];
    let reply = provider.post(url, &form).await?;
    details(&reply)
}

fn details(reply: &Reply) -> Result<Details, SignInFault> {
    let unreadable = || SignInFault::Unreadable("device code".into());
    let fields = fields(&reply.body).unwrap_or_default();
    if !reply.status.is_success() || fields.contains_key("error") {
        // The same ways to say no as those of tokens.
        let status = if reply.status.is_success() { StatusCode::BAD_REQUEST } else { reply.status };
        let no = read(status, &reply.body).err().map(|no| TokenFault::No(no, None).into());
        return Err(no.unwrap_or_else(unreadable));
    }
    let page = text(&fields, "verification_uri").or_else(|| text(&fields, "verification_url"));
    // It is opened for the person: it must be a page.
    let page =
        page.and_then(|page| Url::parse(&page).ok()).filter(|page| matches!(page.scheme(), "https" | "http"));
    Ok(Details {
        device_code: text(&fields, "device_code").ok_or_else(unreadable)?,
        user_code: text(&fields, "user_code").ok_or_else(unreadable)?,
        verification_uri: page.ok_or_else(unreadable)?,
        life: fields.get("expires_in").and_then(seconds).unwrap_or(USUAL_LIFE),
        interval: fields.get("interval").and_then(seconds).unwrap_or(USUAL_INTERVAL),
    })
}

/// Asks at the provider's pace, slower when it says so, until the person has answered or the code has expired. Whatever else
/// comes meanwhile (a bad gateway's page, a cut line) is no answer, and the code in the person's hand stays good.
async fn wait(
    provider: &Provider,
    found: &Metadata,
    details: &Details,
    verifier: &str,
) -> Result<TokenAnswer, SignInFault> {
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("device_code", &details.device_code),
        ("code_verifier", verifier),
    ];
    let end = Instant::now() + details.life;
    let (mut interval, mut patience) = (details.interval, Duration::ZERO);
    while Instant::now() <= end {
        match provider.tokens(found, &form).await {
            Ok(tokens) => return Ok(tokens),
            Err(TokenFault::No(NoTokens::Refused(code), _)) => {
                patience = Duration::ZERO;
                match code.as_str() {
                    "authorization_pending" => {}
                    "slow_down" => interval += SLOWER_BY,
                    "expired_token" => return Err(SignInFault::CodeExpired),
                    _ => return Err(SignInFault::Refused(code)),
                }
            }
            Err(TokenFault::No(NoTokens::Busy | NoTokens::Unreadable(_), wait)) => {
                patience = wait.unwrap_or(patience * 2 + interval).min(LONGEST_WAIT);
            }
            Err(TokenFault::Cut(fault)) => {
                tracing::debug!(%fault, "no answer while a device code is awaited");
                patience = (patience * 2 + interval).min(LONGEST_WAIT);
            }
        }
        sleep_until(end.min(Instant::now() + interval.max(patience))).await;
    }
    Err(SignInFault::CodeExpired)
}
