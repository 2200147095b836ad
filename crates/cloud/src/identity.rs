//! This PC's identity: a private key that never leaves it, and the certificate that the gateway made for that key.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ionet_core::event::Device;
use ionet_core::target::AccountName;
use ionet_gateway_api::Certificate;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use serde::{Deserialize, Serialize};

use crate::files;
use crate::pins::{NotPinned, Pins};
use crate::secret::Secret;

mod fingerprint;
mod hardware;
mod record;

pub use fingerprint::Facts;
use fingerprint::{Fingerprint, Likeness};
use record::Record;

/// The folder that holds `device-key.pem`, `fingerprint.json`, `chain.pem`, `ca.pem`, `roots-words.pem` and `device.json`.
/// Clones share one state. Whatever touches files may take a while: not for a task of the loop.
#[derive(Debug, Clone)]
pub struct IdentityFolder {
    dir: PathBuf,
    /// What this PC is made of. Read once; GPUs are added when they have been detected.
    facts: Arc<Mutex<Facts>>,
    /// What was read or written last.
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Clone, Default)]
enum Held {
    #[default]
    NotRead,
    Nothing,
    Device(Record),
}

/// Whose identity lies in the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Belonging {
    /// This PC's, as far as can be told.
    Ours,
    /// It was another PC's and has been set aside: this PC is not enrolled.
    Elsewhere,
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
    #[error(transparent)]
    NotPinned(#[from] NotPinned),
}

impl IdentityFolder {
    /// Looks at this PC's hardware; touches no file of the folder.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self::with_facts(dir, Facts::of_this_pc())
    }

    /// For tests: a PC made of these facts.
    pub fn with_facts(dir: impl Into<PathBuf>, facts: Facts) -> Self {
        Self { dir: dir.into(), facts: Arc::new(Mutex::new(facts)), held: Arc::default() }
    }

    /// GPUs outlive mainboards, and are known last. Call it when they have been detected: only then it may show whose the
    /// identity is.
    pub fn know_gpus(&self, uuids: impl IntoIterator<Item = String>) -> Belonging {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).add_gpus(uuids);
        self.belonging()
    }

    /// The identity, if it is whole, and this is still the PC it was made on as far as can be told. On another PC it is set
    /// aside, and a new key is made: a copied disk does not share a device with its origin.
    pub(crate) fn load(&self, pins: &Pins) -> Option<Device> {
        let found = (self.belonging() == Belonging::Ours).then(|| self.whole(pins)).flatten();
        let device = found.as_ref().map(Record::device);
        self.hold(found.map_or(Held::Nothing, Held::Device));
        device
    }

    pub(crate) fn is_read(&self) -> bool {
        !matches!(self.held(), Held::NotRead)
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

    /// When the certificate was given and when it ends. From memory.
    pub(crate) fn device(&self) -> Option<Device> {
        self.record().map(|record| record.device())
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

    /// Takes in what the gateway gave, all or nothing. `device.json` comes last: with it the identity counts.
    pub(crate) fn store(
        &self,
        given: &Certificate,
        pins: &Pins,
        now_ms: i64,
    ) -> Result<Device, IdentityFault> {
        let record = Record::of(given).ok_or(IdentityFault::NotOurs)?;
        if !is_for(&given.chain_pem, &self.key()?) {
            return Err(IdentityFault::NotOurs);
        }
        let admitted = pins.admit(given, &self.words(), now_ms)?;
        self.learn_facts()?;
        files::replace(&self.file("roots-words.pem"), admitted.words_pem.as_bytes())?;
        files::replace(&self.file("ca.pem"), admitted.roots_pem.as_bytes())?;
        files::replace(&self.file("chain.pem"), given.chain_pem.as_bytes())?;
        self.write_record(record)
    }

    /// The gateway has said whose device this is.
    pub(crate) fn know_owner(&self, owner: &AccountName) -> Result<(), IdentityFault> {
        let Some(record) = self.record().filter(|record| record.owner.as_ref() != Some(owner)) else {
            return Ok(());
        };
        self.write_record(Record { owner: Some(owner.clone()), ..record }).map(|_| ())
    }

    /// Keeps what is there out of the way: the next signing request is made with a new key.
    pub(crate) fn set_aside(&self) -> io::Result<()> {
        self.hold(Held::Nothing);
        let taken = |number: &u32| self.dir.join(format!("set-aside-{number}")).exists();
        let number = (1..).find(|number| !taken(number)).unwrap_or(u32::MAX);
        let aside = self.dir.join(format!("set-aside-{number}"));
        files::folder(&aside)?;
        // device.json first: without it nothing here counts as an identity. The region's roots are not this device's.
        for name in ["device.json", "device-key.pem", "chain.pem", "ca.pem", "fingerprint.json"] {
            if self.file(name).exists() {
                fs::rename(self.file(name), aside.join(name))?;
            }
        }
        Ok(())
    }

    /// What lies in the folder, where all of it fits together.
    fn whole(&self, pins: &Pins) -> Option<Record> {
        let chain = files::read(&self.file("chain.pem")).ok().flatten()?;
        let record: Record = read_json(&self.file("device.json"))?;
        let roots = files::read(&self.file("ca.pem")).ok().flatten()?;
        if !pins.still_admit(&roots, &self.words()) {
            tracing::warn!(
                "the region's root is not one that this app was shipped with; this PC enrols anew"
            );
            return None;
        }
        self.key().is_ok_and(|key| is_for(&chain, &key)).then_some(record)
    }

    fn key(&self) -> Result<KeyPair, IdentityFault> {
        let path = self.file("device-key.pem");
        let damage = match files::read(&path) {
            Ok(None) => None,
            Ok(Some(pem)) => match KeyPair::from_pem(&pem) {
                Ok(key) => return Ok(key),
                Err(error) => Some(error.to_string()),
            },
            Err(error) if files::is_damage(&error) => Some(error.to_string()),
            Err(error) => return Err(error.into()),
        };
        if let Some(why) = damage {
            tracing::warn!(why, "the key is damaged; it is set aside and a new one is made");
            self.set_aside()?;
        }
        files::folder(&self.dir)?;
        self.learn_facts()?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        files::replace(&path, key.serialize_pem().as_bytes())?;
        Ok(key)
    }

    fn belonging(&self) -> Belonging {
        let Some(made_on) = self.fingerprint() else { return Belonging::Ours };
        let likeness = made_on.compare(&self.facts.lock().unwrap_or_else(PoisonError::into_inner));
        match likeness {
            Likeness::Same => {
                if let Err(error) = self.learn_facts() {
                    tracing::warn!(%error, "what this PC is made of cannot be written down");
                }
                Belonging::Ours
            }
            Likeness::Undecided => {
                tracing::info!("nothing shows yet whether this PC is the one that its identity was made on");
                Belonging::Ours
            }
            Likeness::Other => {
                tracing::info!("the identity was made on another PC and is set aside");
                if let Err(error) = self.set_aside().map_err(Into::into).and_then(|()| self.key().map(drop)) {
                    tracing::error!(%error, "the identity of another PC cannot be set aside");
                }
                Belonging::Elsewhere
            }
        }
    }

    /// Parts come and go: what this PC was made of once stays known, so that each of them tells it.
    fn learn_facts(&self) -> io::Result<()> {
        let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let known = self.fingerprint();
        let learnt = match &known {
            Some(known) if known.compare(&facts) == Likeness::Same => known.clone().with(&facts),
            // Whether these parts belong together is not known.
            Some(known) => known.clone(),
            None => Fingerprint::take(&facts),
        };
        if known.as_ref() == Some(&learnt) {
            return Ok(());
        }
        files::replace(&self.file("fingerprint.json"), &json(&learnt)?)
    }

    fn write_record(&self, record: Record) -> Result<Device, IdentityFault> {
        files::replace(&self.file("device.json"), &json(&record)?)?;
        let device = record.device();
        self.hold(Held::Device(record));
        Ok(device)
    }

    fn fingerprint(&self) -> Option<Fingerprint> {
        read_json(&self.file("fingerprint.json"))
    }

    fn words(&self) -> String {
        files::read(&self.file("roots-words.pem")).ok().flatten().unwrap_or_default()
    }

    fn record(&self) -> Option<Record> {
        match self.held() {
            Held::Device(record) => Some(record),
            Held::NotRead | Held::Nothing => None,
        }
    }

    fn held(&self) -> Held {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn hold(&self, held: Held) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = held;
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

fn is_for(chain_pem: &str, key: &KeyPair) -> bool {
    let Ok((_, pem)) = x509_parser::pem::parse_x509_pem(chain_pem.as_bytes()) else { return false };
    pem.parse_x509().is_ok_and(|leaf| leaf.public_key().raw == key.subject_public_key_info())
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
