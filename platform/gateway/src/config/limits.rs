//! How much a caller may ask for. Every default lets an honest PC do several times what it does on its busiest day, and a
//! house with 200 of them behind one address come back together after a power cut.

use serde::{Deserialize, Serialize};

/// So many within so long. All may come at once; what was used comes back evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    pub count: u64,
    pub per_s: u64,
}

/// Who may ask for how much. More is answered with 429 `too-many`, or, where there is no request yet, by a closed
/// connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Requests of whoever is nobody, or claims to be somebody and cannot show it: for each address.
    pub strangers: Quota,
    /// TLS handshakes: for each address.
    pub handshakes: Quota,
    /// Requests, polls not among them: for each device.
    pub device_requests: Quota,
    /// Long polls: for each device.
    pub polls: Quota,
    /// Requests: for each account, and for each enrolment token.
    pub account_requests: Quota,
    /// New devices: for each account.
    pub new_devices: Quota,
    /// New enrolment tokens: for each account.
    pub enrolment_tokens: Quota,
    /// Further certificates: for each device. Short-lived certificates raise this by themselves, to `count` a lifetime.
    pub renewals: Quota,
    /// What the region's servers must work for (introductions, stops): for each device.
    pub region_calls: Quota,
    /// Changes of what a PC wants of its nodes: for each device.
    pub wanted: Quota,
    /// Objects to be uploaded: for each device.
    pub upload_objects: Quota,
    /// Bytes to be uploaded: for each device.
    pub upload_bytes: Quota,
    /// Pages of past jobs, where a question by period counts as four: for each device and each account.
    pub history: Quota,
    /// Connections at one time, in all. The system's limit on open files may lower it.
    pub connections: usize,
    /// Connections at one time: for each address.
    pub connections_per_address: usize,
    /// Connections whose handshake is not over, in all.
    pub handshaking: usize,
    /// Connections whose handshake is not over: for each address.
    pub handshaking_per_address: usize,
    /// Seconds for a TLS handshake.
    pub handshake_s: u64,
    /// Seconds for the head of a request.
    pub head_s: u64,
    /// Seconds for a request from its head to its answer, its body included; only the long poll takes longer.
    pub request_s: u64,
    /// Seconds for which a connection may stay on which nothing is asked. A PC always has a poll under way.
    pub idle_s: u64,
}

impl Default for Limits {
    fn default() -> Self {
        let quota = |count, per_s| Quota { count, per_s };
        Self {
            strangers: quota(600, 60),
            handshakes: quota(1_200, 60),
            device_requests: quota(600, 120),
            polls: quota(600, 120),
            account_requests: quota(600, 120),
            new_devices: quota(500, DAY),
            enrolment_tokens: quota(500, DAY),
            renewals: quota(20, 3 * 3600),
            region_calls: quota(60, 300),
            wanted: quota(60, 300),
            upload_objects: quota(20_000, DAY),
            upload_bytes: quota(4 << 30, DAY),
            history: quota(240, 120),
            connections: 16_384,
            connections_per_address: 1_024,
            handshaking: 2_048,
            handshaking_per_address: 256,
            handshake_s: 10,
            head_s: 10,
            request_s: 20,
            idle_s: 90,
        }
    }
}

const DAY: u64 = 24 * 3600;

impl Limits {
    /// What the types cannot say.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let quotas = [
            self.strangers,
            self.handshakes,
            self.device_requests,
            self.polls,
            self.account_requests,
            self.new_devices,
            self.enrolment_tokens,
            self.renewals,
            self.region_calls,
            self.wanted,
            self.upload_objects,
            self.upload_bytes,
            self.history,
        ];
        let possible = |quota: &Quota| quota.count > 0 && (1..=366 * DAY).contains(&quota.per_s);
        anyhow::ensure!(quotas.iter().all(possible), "a quota under [limits] lets nobody in, or for ever");
        let counts =
            [self.connections, self.connections_per_address, self.handshaking, self.handshaking_per_address];
        anyhow::ensure!(counts.iter().all(|count| *count > 0), "a count under [limits] is zero");
        let times = [self.handshake_s, self.head_s, self.request_s, self.idle_s];
        anyhow::ensure!(times.iter().all(|time| *time > 0), "a time under [limits] is zero");
        Ok(())
    }
}
