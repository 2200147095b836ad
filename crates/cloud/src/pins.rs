//! What the package ships and no answer can change: the region's roots, where its servers may be.
//!
//! A new root comes in by the word of an old one only: a certificate for the new root's name and key, signed by the old
//! root's key, without any constraint. A certificate with constraints (that of an authority for devices, say) is no such
//! word: its holder must not become the region.

use ionet_gateway_api::Certificate;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer as _, SubjectPublicKeyInfo, X509Certificate};
use x509_parser::time::ASN1Time;

use crate::address::{host_and_port, is_loopback_host, is_within};
use crate::probe::name_of;

/// More certificates than any roll-over has.
const MOST_CERTIFICATES: usize = 16;

#[derive(Debug, Clone)]
pub(crate) struct Pins {
    roots: Vec<Pem>,
    servers: Vec<String>,
    rehearsal: bool,
}

/// What an answer may change on this PC.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    /// The roots of the region's servers, PEM.
    pub(crate) roots_pem: String,
    /// By whose word: all that was ever said, PEM. To be kept, and shown again with the next answer.
    pub(crate) words_pem: String,
}

/// The answer names this, which the pins do not.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotPinned(pub(crate) String);

impl Pins {
    /// None where a root is none.
    pub(crate) fn new(roots_pem: &[String], servers: Vec<String>, rehearsal: bool) -> Option<Self> {
        let some = |pem: &String| certificates(pem).filter(|found| !found.is_empty());
        let roots = roots_pem.iter().map(some).collect::<Option<Vec<_>>>()?.concat();
        Some(Self { roots, servers, rehearsal })
    }

    /// Nothing may be written of an answer before this has taken it. `words_pem` is what [`Admitted`] gave before.
    pub(crate) fn admit(
        &self,
        given: &Certificate,
        words_pem: &str,
        now_ms: i64,
    ) -> Result<Admitted, NotPinned> {
        self.admit_servers(&given.servers)?;
        self.admit_roots(&given.ca_pem, words_pem, now_ms)
    }

    /// Whether what was admitted once still is: a package may have stopped shipping a root.
    pub(crate) fn still_admit(&self, roots_pem: &str, words_pem: &str) -> bool {
        let (Some(roots), Some(words)) = (certificates(roots_pem), certificates(words_pem)) else {
            return false;
        };
        let trusted = self.trusted(words.iter().chain(&roots));
        !roots.is_empty() && roots.iter().all(|root| trusted.iter().any(|authority| authority.signed(root)))
    }

    fn admit_servers(&self, servers: &[String]) -> Result<(), NotPinned> {
        let stranger = servers.iter().find(|server| !self.is_server(server));
        match stranger {
            Some(stranger) => Err(NotPinned(format!("server {}", shown(stranger)))),
            None if servers.is_empty() => Err(NotPinned("no server".to_owned())),
            None => Ok(()),
        }
    }

    fn is_server(&self, server: &str) -> bool {
        let Some((host, _)) = host_and_port(server) else { return false };
        if is_loopback_host(&host) {
            return self.rehearsal;
        }
        self.servers.iter().any(|pinned| is_within(&host, pinned))
    }

    fn admit_roots(&self, given_pem: &str, words_pem: &str, now_ms: i64) -> Result<Admitted, NotPinned> {
        let no_root = || NotPinned("no root".to_owned());
        let given = certificates(given_pem).filter(|given| !given.is_empty()).ok_or_else(no_root)?;
        let words = certificates(words_pem).unwrap_or_default();
        let trusted = self.trusted(words.iter().chain(given.iter().filter(|pem| is_valid(pem, now_ms))));
        let by_word = |pem: &&Pem| {
            trusted.iter().any(|it| it.signed(pem)) && is_valid(pem, now_ms) && is_unconstrained(pem)
        };
        if let Some(stranger) = given.iter().find(|pem| !self.roots.contains(pem) && !by_word(pem)) {
            let name = stranger.parse_x509().map(|root| name_of(root.subject())).unwrap_or_default();
            return Err(NotPinned(format!("root {}", shown(&name))));
        }
        let roots = given.iter().filter(|pem| is_root(pem));
        let roots_pem: String = roots.map(to_pem).collect();
        if roots_pem.is_empty() {
            return Err(no_root());
        }
        let new = given.iter().filter(|pem| !words.contains(pem) && !self.roots.contains(pem));
        Ok(Admitted { roots_pem, words_pem: words.iter().chain(new).map(to_pem).collect() })
    }

    /// The pinned roots, and whoever they or theirs have given their word for.
    fn trusted<'a>(&self, words: impl Iterator<Item = &'a Pem>) -> Vec<Authority> {
        let mut trusted: Vec<_> = self.roots.iter().filter_map(Authority::of).collect();
        let mut words: Vec<_> = words.filter(|pem| is_unconstrained(pem)).collect();
        loop {
            let known = trusted.len();
            words.retain(|word| {
                let given = trusted.iter().any(|authority| authority.signed(word));
                trusted.extend(Authority::of(word).filter(|_| given));
                !given
            });
            if trusted.len() == known {
                return trusted;
            }
        }
    }
}

/// A name and its key.
struct Authority {
    name: Vec<u8>,
    key: Vec<u8>,
}

impl Authority {
    fn of(pem: &Pem) -> Option<Self> {
        let certificate = pem.parse_x509().ok()?;
        let (name, key) = (certificate.subject().as_raw(), certificate.public_key().raw);
        Some(Self { name: name.to_vec(), key: key.to_vec() })
    }

    fn signed(&self, pem: &Pem) -> bool {
        let Ok(certificate) = pem.parse_x509() else { return false };
        let Ok((_, key)) = SubjectPublicKeyInfo::from_der(&self.key) else { return false };
        certificate.issuer().as_raw() == self.name && certificate.verify_signature(Some(&key)).is_ok()
    }
}

/// All certificates of a text; none where a part of it is no certificate, or there are too many.
fn certificates(pem: &str) -> Option<Vec<Pem>> {
    let found: Vec<_> = Pem::iter_from_buffer(pem.as_bytes()).collect::<Result<_, _>>().ok()?;
    let sound = found.iter().all(|pem| pem.label == "CERTIFICATE" && pem.parse_x509().is_ok());
    (sound && found.len() <= MOST_CERTIFICATES).then_some(found)
}

fn is_root(pem: &Pem) -> bool {
    pem.parse_x509().is_ok_and(|it| it.subject().as_raw() == it.issuer().as_raw())
}

fn is_valid(pem: &Pem, now_ms: i64) -> bool {
    let now = ASN1Time::from_timestamp(now_ms / 1000);
    now.is_ok_and(|now| pem.parse_x509().is_ok_and(|certificate| certificate.validity().is_valid_at(now)))
}

/// May sign everything that a root may.
fn is_unconstrained(pem: &Pem) -> bool {
    pem.parse_x509().is_ok_and(|certificate| has_full_power(&certificate))
}

fn has_full_power(certificate: &X509Certificate<'_>) -> bool {
    let basic = certificate.basic_constraints().ok().flatten();
    let authority = basic.is_some_and(|it| it.value.ca && it.value.path_len_constraint.is_none());
    let names = certificate.name_constraints().is_ok_and(|names| names.is_none());
    let purposes = certificate.extended_key_usage().is_ok_and(|purposes| purposes.is_none());
    let usage = certificate.key_usage().is_ok_and(|usage| usage.is_none_or(|it| it.value.key_cert_sign()));
    authority && names && purposes && usage
}

fn to_pem(pem: &Pem) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(&pem.contents);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// Somebody else's words, before a person reads them.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

#[cfg(test)]
#[path = "pins/tests.rs"]
mod tests;
