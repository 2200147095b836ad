//! The gateway's [`Certificate`] without its certificates.

use ionet_core::UnixMs;
use ionet_core::event::Device;
use ionet_core::target::AccountName;
use ionet_gateway_api::Certificate;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) device: String,
    pub(super) issued_at_ms: i64,
    pub(super) expires_at_ms: i64,
    pub(super) region: String,
    pub(super) datacenter: String,
    pub(super) node_pool: String,
    pub(super) servers: Vec<String>,
    /// None where the gateway has not told yet.
    #[serde(default)]
    pub(super) owner: Option<AccountName>,
}

impl Record {
    /// None where a name is no name.
    pub(super) fn of(given: &Certificate) -> Option<Self> {
        let ids = [&given.device, &given.region].into_iter().all(|name| is_id(name));
        let words = [&given.datacenter, &given.node_pool].into_iter().all(|name| is_word(name));
        (ids && words).then(|| Self {
            device: given.device.clone(),
            issued_at_ms: given.issued_at_ms,
            expires_at_ms: given.expires_at_ms,
            region: given.region.clone(),
            datacenter: given.datacenter.clone(),
            node_pool: given.node_pool.clone(),
            servers: given.servers.clone(),
            owner: Some(AccountName {
                subject: given.account.subject.clone(),
                shown: given.account.shown.clone(),
            }),
        })
    }

    pub(super) fn device(&self) -> Device {
        let life = self.expires_at_ms.saturating_sub(self.issued_at_ms);
        Device {
            id: self.device.clone(),
            owner: self.owner.clone(),
            region: self.region.clone(),
            node_pool: self.node_pool.clone(),
            expires_at: UnixMs(self.expires_at_ms),
            renew_at: UnixMs(self.issued_at_ms.saturating_add(life / 3 * 2)),
        }
    }
}

/// Ids and regions become file names, host names and lines of configuration: anything else is not one of ours.
fn is_id(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&text.len()) && text.chars().all(plain)
}

/// As Nomad writes them.
fn is_word(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.';
    (1..=128).contains(&text.len()) && text.chars().all(plain)
}
