//! The wire between a supplier's PC and the io.net gateway: requests, answers, paths and problem codes.
//!
//! Three kinds of caller, one listener (HTTPS; a client certificate is asked for, not demanded):
//! - **account**: `Authorization: Bearer <access token>` of the identity provider;
//! - **device**: mTLS with the certificate from enrolment;
//! - **nobody**: health, the OpenAPI document, renewal of an expired certificate.
//!
//! Times are milliseconds since the Unix epoch by the gateway's clock. Money is a decimal string.
//! Every error is `application/problem+json` ([`Problem`]) with a stable `code`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// What suppliers are paid in, unless an operator says otherwise.
pub const CURRENCY: &str = "USDC";

/// Whose a token is, by its claims: PC and gateway must read it alike. None where it names nobody.
pub fn subject(claims: &Map<String, Value>) -> Option<String> {
    match claims.get("sub")? {
        Value::String(subject) if !subject.is_empty() => Some(subject.clone()),
        // A longer one is known by its first digits only, and would be another's too.
        Value::Number(subject) if subject.is_u64() || subject.is_i64() => Some(subject.to_string()),
        Value::String(_)
        | Value::Number(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Array(_)
        | Value::Object(_) => None,
    }
}

/// Paths, so that client and server cannot disagree.
pub mod path {
    pub const HEALTH: &str = "/healthz";
    pub const OPENAPI: &str = "/openapi.json";
    /// POST, account or enrolment token: [`super::EnrolRequest`] -> [`super::Certificate`].
    /// GET, account: [`super::DeviceList`].
    pub const DEVICES: &str = "/v1/devices";
    /// POST, account: 204. From then on the device's certificate is worthless.
    pub const DEVICE_LOST: &str = "/v1/devices/{device}/lost";
    /// POST, account: [`super::EnrolmentToken`], for machines without a browser.
    pub const ENROLMENT_TOKENS: &str = "/v1/enrolment-tokens";
    /// POST, nobody: [`super::RenewRequest`] -> [`super::Certificate`]; the CSR's signature by the recorded device
    /// key is the proof.
    pub const RENEWALS: &str = "/v1/renewals";
    /// POST, device: [`super::RenewRequest`] -> [`super::Certificate`].
    pub const CERTIFICATE: &str = "/v1/device/certificate";
    /// POST, device: -> [`super::Introduction`].
    pub const INTRODUCTION: &str = "/v1/device/introduction";
    /// PUT, device: [`super::WantedRequest`] -> [`super::WantedAnswer`]. What the PC wants of its nodes; the gateway keeps
    /// the one of the highest sequence number and brings every node of the device to it, also one that registers later.
    pub const WANTED: &str = "/v1/device/wanted";
    /// DELETE, device: 204. The PC leaves its account of its own accord: its certificate is worthless from then on, what it
    /// earned stays the account's.
    pub const DEVICE: &str = "/v1/device";
    /// POST, device: [`super::PeriodsRequest`] -> [`super::PeriodsAnswer`], of this device.
    pub const DEVICE_PERIODS: &str = "/v1/device/earnings/periods";
    /// POST, device: [`super::JobsRequest`] -> [`super::JobsAnswer`], of this device.
    pub const DEVICE_JOBS: &str = "/v1/device/earnings/jobs";
    /// POST, account: [`super::PeriodsRequest`] -> [`super::PeriodsAnswer`], of all devices that the account ever had.
    pub const ACCOUNT_PERIODS: &str = "/v1/earnings/periods";
    /// POST, account: [`super::JobsRequest`] -> [`super::JobsAnswer`], of all devices that the account ever had.
    pub const ACCOUNT_JOBS: &str = "/v1/earnings/jobs";
    /// POST, device: asks the region to stop every allocation of this device's nodes -> [`super::StopAnswer`].
    pub const STOP: &str = "/v1/device/allocations/stop";
    /// GET, device: long poll, `?index=N&wait=SECONDS` -> [`super::DeviceState`]. Answers at once when its index is
    /// above N, else at the first change or after `wait` (at most 60) seconds with the same index.
    pub const WATCH: &str = "/v1/device/watch";
    /// POST, device: [`super::UploadRequest`] -> [`super::UploadAnswer`].
    pub const UPLOADS: &str = "/v1/device/uploads";
}

/// RFC 9457.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    /// One of [`code`].
    pub code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// With [`code::TOO_MANY`]: seconds until the same request may be made again. Also the header `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
}

/// Stable problem codes.
pub mod code {
    /// 401: no or a worthless token.
    pub const NOT_SIGNED_IN: &str = "not-signed-in";
    /// 401: a device endpoint without a client certificate of ours.
    pub const NO_CERTIFICATE: &str = "no-certificate";
    /// 401: the session began before a PC of the account was reported lost: sign in anew.
    pub const SESSION_ENDED: &str = "session-ended";
    /// 429: more than a caller may ask for; [`super::Problem::retry_after_s`] says when again.
    pub const TOO_MANY: &str = "too-many";
    /// 409: a wanted state with a higher sequence number is known; the detail is that number.
    pub const STALE_SEQUENCE: &str = "stale-sequence";
    /// 403: the device has left its account of its own accord.
    pub const DEVICE_RETIRED: &str = "device-retired";
    /// 403: the device was reported lost.
    pub const DEVICE_LOST: &str = "device-lost";
    /// 403/404: somebody else's, or unknown. The two are not told apart.
    pub const NOT_YOURS: &str = "not-yours";
    /// 401: the enrolment token is used up, expired or unknown.
    pub const TOKEN_SPENT: &str = "token-spent";
    /// 409: this device key is already enrolled for another account.
    pub const KEY_TAKEN: &str = "key-taken";
    /// 400: the certificate signing request cannot be read, or its signature or key is not acceptable.
    pub const BAD_CSR: &str = "bad-csr";
    /// 400: anything else that is wrong with the request.
    pub const BAD_REQUEST: &str = "bad-request";
    /// 502: the region does not answer or refused.
    pub const REGION_UNREACHABLE: &str = "region-unreachable";
    /// 413: more than an upload may be.
    pub const TOO_LARGE: &str = "too-large";
    /// 404: no such path.
    pub const NOT_FOUND: &str = "not-found";
    /// 405: the path does not take this method.
    pub const METHOD_NOT_ALLOWED: &str = "method-not-allowed";
    /// 503: not now (the request took too long, or the identity provider does not answer); the same again later may do.
    pub const UNAVAILABLE: &str = "unavailable";
    /// 500.
    pub const INTERNAL: &str = "internal";
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EnrolRequest {
    /// PKCS#10, PEM. The gateway takes its public key (EC P-256) and nothing else.
    pub csr_pem: String,
    /// What the owner calls this PC; at most 60 characters are kept.
    pub label: String,
    /// The version of the agreement that the owner agreed to.
    pub agreement: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RenewRequest {
    pub device: String,
    /// PKCS#10, PEM, signed by the device's recorded key.
    pub csr_pem: String,
}

/// What enrolment and renewal give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Certificate {
    /// The device's id, for ever; the name its node must have.
    pub device: String,
    /// Leaf, then intermediate.
    pub chain_pem: String,
    /// The root that signs the region's servers.
    pub ca_pem: String,
    pub issued_at_ms: i64,
    pub expires_at_ms: i64,
    pub region: String,
    pub datacenter: String,
    pub node_pool: String,
    /// `host:port` of the region's RPC endpoints.
    pub servers: Vec<String>,
    /// Whose device it is: who is paid.
    pub account: AccountState,
}

/// An account as its PCs may show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountState {
    /// The identity provider's `sub`.
    pub subject: String,
    /// What a person recognises, by the last sign-in that carried it (an e-mail address or a name); else the subject.
    pub shown: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EnrolmentToken {
    /// A secret; good for one enrolment.
    pub token: String,
    pub expires_at_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceList {
    pub devices: Vec<DeviceSummary>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceSummary {
    pub device: String,
    pub label: String,
    pub enrolled_at_ms: i64,
    pub expires_at_ms: i64,
    /// Why it is no device of the account any more; none while it is one.
    pub end: Option<DeviceEnd>,
}

/// How a device ended. Lost is what counts when both are true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeviceEnd {
    /// It was reported lost.
    Lost,
    /// It left its account of its own accord.
    Retired,
}

/// A Nomad introduction token, minted for node name = device id. A secret.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Introduction {
    pub token: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WantedRequest {
    /// Rises with every change. One that is not above the highest known is refused with [`code::STALE_SEQUENCE`], unless it
    /// is the same again.
    pub seq: u64,
    /// Whether the device's nodes may get new work.
    pub eligible: bool,
    /// UUIDs of the GPUs that their owner needs now. Kept and told; a node with any of them held is not eligible.
    pub holds: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WantedAnswer {
    pub seq: u64,
    /// The region's servers have it too. Else the gateway has it, and they follow when they answer.
    pub applied: bool,
}

/// Earnings by period. The owner's days, with their time zone and its daylight saving, are the PC's business: it sends the
/// moments at which they meet.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PeriodsRequest {
    /// Rising moments, 2 to 1 000; period `i` is from moment `i` to moment `i + 1`.
    pub boundaries_ms: Vec<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeriodsAnswer {
    /// One amount a period, a decimal string. Periods that meet add up to the whole, to the millionth.
    pub amounts: Vec<String>,
    pub currency: String,
    pub as_of_ms: i64,
}

/// Earnings by job, newest placement first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JobsRequest {
    pub from_ms: i64,
    pub to_ms: i64,
    /// [`JobsAnswer::next`] of the page before; none for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// 1 to 1 000.
    pub limit: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobsAnswer {
    pub jobs: Vec<JobEarnings>,
    /// Where the next page begins; none after the last. What is placed meanwhile does not shift the pages.
    pub next: Option<String>,
    pub currency: String,
    pub as_of_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobEarnings {
    pub allocation: String,
    pub job: String,
    pub device: String,
    /// What the owner calls that PC.
    pub label: String,
    /// The GPU that it was priced as, a slug; none at the default price.
    pub gpu: Option<String>,
    pub placed_at_ms: i64,
    /// Since when it has been paid for; none while it never ran.
    pub started_at_ms: Option<i64>,
    pub ended_at_ms: Option<i64>,
    /// Decimal string, per hour.
    pub rate_per_hour: String,
    /// Decimal string: what it earned between the request's moments.
    pub amount: String,
    /// Nomad's client status, or why it earns no longer: `complete`, `failed`, `lost`, `stopped`, `disputed`.
    pub end: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StopAnswer {
    /// Allocations of this device that were pending or running when asked.
    pub stopping: Vec<String>,
}

/// What the gateway has to tell a device. Replaced whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceState {
    pub index: u64,
    /// Whose device it is: who is paid.
    pub account: AccountState,
    /// The highest sequence number of a wanted state that the gateway has; 0 before the first.
    pub wanted_seq: u64,
    /// The newest node that registered under this device's id.
    pub node: Option<NodeState>,
    /// Live allocations, and those that ended in the owner's day, newest first, at most 100.
    pub allocations: Vec<AllocationState>,
    pub earnings: EarningsState,
    /// Since when the region has not answered the gateway; what stands here is as of then. Absent while it answers.
    pub region_silent_since_ms: Option<i64>,
    /// The region is a double.
    pub rehearsal: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeState {
    pub id: String,
    /// Nomad's word: `initializing`, `ready`, `down`, `disconnected`.
    pub status: String,
    pub eligible: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AllocationState {
    pub id: String,
    pub job: String,
    /// Nomad's client status: `pending`, `running`, `complete`, `failed`, `lost`.
    pub status: String,
    /// By the servers' clock.
    pub placed_at_ms: i64,
    pub earned: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EarningsState {
    /// Since the owner's day began.
    pub today: String,
    pub currency: String,
    pub as_of_ms: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UploadRequest {
    pub objects: Vec<UploadObject>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UploadObject {
    /// Relative, `[a-z0-9._/-]`, no `..`; lands below the device's own prefix.
    pub name: String,
    pub length: u64,
    /// Lower-case hex.
    pub sha256: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UploadAnswer {
    /// In the order asked for.
    pub grants: Vec<UploadGrant>,
}

/// A presigned PUT, bound to key, length, checksum and a few minutes. A secret until it expires.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UploadGrant {
    pub url: String,
    /// Headers that must be sent exactly so.
    pub headers: Vec<(String, String)>,
    pub expires_at_ms: i64,
}
