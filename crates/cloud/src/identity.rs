//! This PC's identity: a private key that never leaves it, and the certificate that the gateway made for that key.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ionet_core::UnixMs;
use ionet_core::event::Device;
use ionet_gateway_api::Certificate;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use serde::{Deserialize, Serialize};

use crate::files;
use crate::secret::Secret;

mod fingerprint;
mod hardware;

pub use fingerprint::Facts;
use fingerprint::{Fingerprint, Likeness};

/// The folder that holds `device-key.pem`, `fingerprint.json`, `chain.pem`, `ca.pem` and `device.json`.
/// Clones share one state.
#[derive(Debug, Clone)]
pub struct IdentityFolder {
    dir: PathBuf,
    /// What this PC is made of. Read once; GPUs are added when they have been detected.
    facts: Arc<Mutex<Facts>>,
}

/// What the agent's plan needs of the enrolment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolled {
    /// The device's id; its node's name.
    pub device: String,
    pub region: String,
    pub datacenter: String,
    pub node_pool: String,
    /// `host:port` of the region's RPC endpoints.
    pub servers: Vec<String>,
    /// PEM files: the private key, leaf and intermediate, and the root of the region's servers.
    pub key: PathBuf,
    pub chain: PathBuf,
    pub ca: PathBuf,
}

/// The gateway's [`Certificate`] without its certificates.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    device: String,
    issued_at_ms: i64,
    expires_at_ms: i64,
    region: String,
    datacenter: String,
    node_pool: String,
    servers: Vec<String>,
}

/// Why an identity could not be kept or used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityFault {
    #[error(transparent)]
    File(#[from] io::Error),
    #[error("the key cannot be used: {0}")]
    Key(#[from] rcgen::Error),
    /// The gateway's answer does not fit this PC's key, or its names are not names.
    #[error("the certificate is not for this key")]
    NotOurs,
}

impl IdentityFolder {
    /// Looks at this PC's hardware; touches no file of the folder.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self::with_facts(dir, Facts::of_this_pc())
    }

    /// For tests: a PC made of these facts.
    pub fn with_facts(dir: impl Into<PathBuf>, facts: Facts) -> Self {
        Self { dir: dir.into(), facts: Arc::new(Mutex::new(facts)) }
    }

    /// GPUs outlive mainboards. Call it when they have been detected: the next certificate is remembered with them.
    pub fn know_gpus(&self, uuids: impl IntoIterator<Item = String>) {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).add_gpus(uuids);
    }

    /// The identity, if it is whole and this is still the PC it was made on. On another PC it is set aside, and a new key is made:
    /// a copied disk does not share a device with its origin.
    pub fn load(&self) -> Option<Device> {
        if let Err(error) = self.set_aside_if_elsewhere() {
            tracing::error!(%error, "the identity of another PC cannot be set aside");
            return None;
        }
        let chain = files::read(&self.file("chain.pem")).ok().flatten()?;
        let record = self.record()?;
        self.key().is_ok_and(|key| is_for(&chain, &key)).then(|| record.device_of())
    }

    pub(crate) fn enrolled(&self) -> Option<Enrolled> {
        let record = self.record()?;
        Some(Enrolled {
            device: record.device,
            region: record.region,
            datacenter: record.datacenter,
            node_pool: record.node_pool,
            servers: record.servers,
            key: self.file("device-key.pem"),
            chain: self.file("chain.pem"),
            ca: self.file("ca.pem"),
        })
    }

    /// When the certificate was given and when it ends.
    pub(crate) fn device(&self) -> Option<Device> {
        self.record().map(|record| record.device_of())
    }

    /// A PKCS#10 request, PEM, signed by this PC's key, which is made here where there is none.
    pub(crate) fn signing_request(&self) -> Result<String, IdentityFault> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "io.net supplier");
        Ok(params.serialize_request(&self.key()?)?.pem()?)
    }

    /// Key and chain as one PEM, for a TLS client.
    pub(crate) fn tls_identity(&self) -> Result<Option<Secret<String>>, IdentityFault> {
        let key = files::read(&self.file("device-key.pem"))?;
        let chain = files::read(&self.file("chain.pem"))?;
        Ok(self.record().and(key).zip(chain).map(|(key, chain)| Secret::new(key + "\n" + &chain)))
    }

    /// Takes in what the gateway gave. `device.json` comes last: with it the identity counts.
    pub(crate) fn store(&self, given: &Certificate) -> Result<Device, IdentityFault> {
        if !is_for(&given.chain_pem, &self.key()?) || !is_name(&given.device) || !is_name(&given.region) {
            return Err(IdentityFault::NotOurs);
        }
        let record = Record::of(given);
        self.write_fingerprint()?;
        files::replace(&self.file("ca.pem"), given.ca_pem.as_bytes())?;
        files::replace(&self.file("chain.pem"), given.chain_pem.as_bytes())?;
        files::replace(&self.file("device.json"), &json(&record)?)?;
        Ok(record.device_of())
    }

    fn key(&self) -> Result<KeyPair, IdentityFault> {
        let path = self.file("device-key.pem");
        if let Some(pem) = files::read(&path)? {
            match KeyPair::from_pem(&pem) {
                Ok(key) => return Ok(key),
                Err(error) => {
                    tracing::warn!(%error, "the key is damaged; it is set aside and a new one is made");
                    self.set_aside()?;
                }
            }
        }
        files::folder(&self.dir)?;
        self.write_fingerprint()?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        files::replace(&path, key.serialize_pem().as_bytes())?;
        Ok(key)
    }

    fn set_aside_if_elsewhere(&self) -> Result<(), IdentityFault> {
        let Some(made_on) = self.fingerprint() else { return Ok(()) };
        let likeness = made_on.compare(&self.facts.lock().unwrap_or_else(PoisonError::into_inner));
        match likeness {
            Likeness::Same => Ok(()),
            Likeness::Unknown => {
                tracing::warn!("this PC shows no hardware to tell it by; its identity is used as it is");
                Ok(())
            }
            Likeness::Other => {
                tracing::info!("the identity was made on another PC and is set aside");
                self.set_aside()?;
                self.key().map(|_| ())
            }
        }
    }

    fn set_aside(&self) -> io::Result<()> {
        let taken = |number: &u32| self.dir.join(format!("set-aside-{number}")).exists();
        let number = (1..).find(|number| !taken(number)).unwrap_or(u32::MAX);
        let aside = self.dir.join(format!("set-aside-{number}"));
        files::folder(&aside)?;
        // device.json first: without it nothing here counts as an identity.
        for name in ["device.json", "device-key.pem", "chain.pem", "ca.pem", "fingerprint.json"] {
            if self.file(name).exists() {
                fs::rename(self.file(name), aside.join(name))?;
            }
        }
        Ok(())
    }

    fn write_fingerprint(&self) -> io::Result<()> {
        let fingerprint = Fingerprint::take(&self.facts.lock().unwrap_or_else(PoisonError::into_inner));
        files::replace(&self.file("fingerprint.json"), &json(&fingerprint)?)
    }

    fn fingerprint(&self) -> Option<Fingerprint> {
        read_json(&self.file("fingerprint.json"))
    }

    fn record(&self) -> Option<Record> {
        read_json(&self.file("device.json"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

impl Record {
    fn of(given: &Certificate) -> Self {
        Self {
            device: given.device.clone(),
            issued_at_ms: given.issued_at_ms,
            expires_at_ms: given.expires_at_ms,
            region: given.region.clone(),
            datacenter: given.datacenter.clone(),
            node_pool: given.node_pool.clone(),
            servers: given.servers.clone(),
        }
    }

    fn device_of(&self) -> Device {
        let life = self.expires_at_ms.saturating_sub(self.issued_at_ms);
        Device {
            id: self.device.clone(),
            region: self.region.clone(),
            node_pool: self.node_pool.clone(),
            expires_at: UnixMs(self.expires_at_ms),
            renew_at: UnixMs(self.issued_at_ms.saturating_add(life / 3 * 2)),
        }
    }
}

fn is_for(chain_pem: &str, key: &KeyPair) -> bool {
    let Ok((_, pem)) = x509_parser::pem::parse_x509_pem(chain_pem.as_bytes()) else { return false };
    pem.parse_x509().is_ok_and(|leaf| leaf.public_key().raw == key.subject_public_key_info())
}

/// Ids and regions become file names, host names and lines of configuration: anything else is not one of ours.
fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&text.len()) && text.chars().all(plain)
}

fn json(value: &impl Serialize) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec_pretty(value)?)
}

/// A file that is missing or damaged reads as nothing: the PC enrols again with the key it has.
fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Option<T> {
    let text = files::read(path).ok().flatten()?;
    serde_json::from_str(&text)
        .inspect_err(|error| tracing::warn!(%error, file = %path.display(), "damaged, and left unused"))
        .ok()
}

#[cfg(test)]
#[cfg(unix)]
#[path = "identity/tests.rs"]
mod tests;
