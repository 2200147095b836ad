//! HTTP clients that share one TLS stack, and the clock of whoever answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::{DATE, HeaderMap};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Identity, Response};

use crate::cloud::Options;
use crate::secret::Secret;

/// Answers of the gateway and of the identity provider are small; more than this is not one.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// How far this PC's clock is ahead of the other side's, by the last answer's `Date`.
#[derive(Debug, Clone)]
pub(crate) struct Skew(Arc<AtomicI64>);

impl Skew {
    const UNKNOWN: i64 = i64::MIN;

    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(Self::UNKNOWN)))
    }

    /// Milliseconds; above zero when this PC is ahead. Whole seconds are all that a `Date` can tell.
    pub(crate) fn get(&self) -> Option<i64> {
        let skew = self.0.load(Ordering::Relaxed);
        (skew != Self::UNKNOWN).then_some(skew)
    }

    pub(crate) fn learn(&self, headers: &HeaderMap) -> Option<i64> {
        let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
        let skew = now_ms().saturating_sub(unix_ms(date));
        self.0.store(skew, Ordering::Relaxed);
        Some(skew)
    }
}

pub(crate) fn now_ms() -> i64 {
    unix_ms(SystemTime::now())
}

/// rustls with ring, for every client of this process. Someone else may have been first.
pub(crate) fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// For the gateway: its root and no other where one is given, and this PC's certificate where there is one.
///
/// HTTP/1.1: in TLS 1.3 the refusal of a client's certificate arrives after the handshake, and HTTP/2's errors forget
/// what ended the connection.
pub(crate) fn gateway_client(
    options: &Options,
    ca_pem: Option<&str>,
    identity: Option<&Secret<String>>,
) -> reqwest::Result<Client> {
    let mut builder = bare(options).http1_only();
    if let Some(pem) = ca_pem {
        builder = builder.tls_certs_only(Certificate::from_pem_bundle(pem.as_bytes())?);
    }
    if let Some(pem) = identity {
        builder = builder.identity(Identity::from_pem(pem.reveal().as_bytes())?);
    }
    builder.build()
}

/// For the identity provider and the object store: the operating system's trust store, and the gateway's root too.
pub(crate) fn open_client(options: &Options, ca_pem: Option<&str>) -> reqwest::Result<Client> {
    let Some(pem) = ca_pem else { return bare(options).build() };
    let own = Certificate::from_pem_bundle(pem.as_bytes())?;
    // A bare machine has no trust store to add to.
    bare(options).tls_certs_merge(own.clone()).build().or_else(|_| bare(options).tls_certs_only(own).build())
}

/// For one question only, whose answer's `Date` is looked at and nothing else: with a wrong clock no certificate
/// is valid, so this one is not looked at. Nothing secret is sent, and nothing that is learnt is relied on beyond
/// the choice of the sentence that says why a request failed.
pub(crate) fn clock_client(options: &Options) -> reqwest::Result<Client> {
    bare(options).tls_danger_accept_invalid_certs(true).timeout(Duration::from_secs(5)).build()
}

/// The body, unless it is longer than anything that could be meant.
pub(crate) async fn body_of(mut response: Response) -> reqwest::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// No redirects: an address that changes under way is not one of the endpoints. No proxy from the environment, for
/// the same reason.
fn bare(options: &Options) -> ClientBuilder {
    Client::builder()
        .user_agent(options.user_agent.clone())
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(options.connect_timeout)
        .timeout(options.answer_timeout)
        .tcp_keepalive(Duration::from_secs(20))
}

fn unix_ms(time: SystemTime) -> i64 {
    let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => ms(after),
        Err(before) => -ms(before.duration()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dated(ms: i64) -> HeaderMap {
        let date = UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap());
        HeaderMap::from_iter([(DATE, httpdate::fmt_http_date(date).parse().unwrap())])
    }

    #[test]
    fn a_clock_that_is_a_day_ahead_shows_as_a_day() {
        let skew = Skew::new();

        skew.learn(&dated(now_ms() - 86_400_000));

        let off = skew.get().unwrap() - 86_400_000;
        assert!((0..3_000).contains(&off), "{off}");
    }

    #[test]
    fn an_answer_without_a_date_says_nothing() {
        let skew = Skew::new();

        skew.learn(&HeaderMap::new());

        assert_eq!(skew.get(), None);
    }
}
