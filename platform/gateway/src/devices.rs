//! Devices: enrolment, certificates and their renewal, and the end of a lost one.

use std::time::Duration;

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use base64::Engine as _;
use ionet_gateway_api::{
    AccountState, Certificate, DeviceEnd, DeviceList, DeviceSummary, EnrolRequest, EnrolmentToken, Problem,
    RenewRequest, path,
};
use rand::RngCore as _;

use crate::Shared;
use crate::accounts::{Account, ENROLMENT_TOKEN_PREFIX, Enroller, token_hash};
use crate::ca::{Issued, Order};
use crate::clock::now_ms;
use crate::csr::Request;
use crate::extract::{Asked, Caller, Json, Path};
use crate::leaf::Leaf;
use crate::limits::{Address, Meter, Stranger};
use crate::line::Peer;
use crate::problem::Refusal;
use crate::store::{DeviceRow, Ended, EnrolOutcome, Enrolment, Right};

const LABEL_LENGTH: usize = 60;
const TOKEN_LIFETIME_MS: i64 = 24 * 3600 * 1000;

/// The caller is a device: it holds the key of a live certificate that we issued, and it is not lost.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    pub(crate) id: String,
    pub(crate) public_key: String,
}

impl FromRequestParts<Shared> for Device {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gateway: &Shared) -> Result<Self, Refusal> {
        Self::known(gateway, parts, &gateway.limits.device_requests).await
    }
}

impl Device {
    /// The device that asks, if it shows that it is one and has this left of what it may ask for.
    pub(crate) async fn known(
        gateway: &Shared,
        parts: &Parts,
        meter: &Meter<String>,
    ) -> Result<Self, Refusal> {
        let known = device(gateway, parts, meter).await;
        known.map_err(|refusal| gateway.limits.refuse_stranger(Address::of(parts), refusal))
    }
}

impl Caller for Device {
    async fn still_may(&self, gateway: &Shared) -> Result<(), Refusal> {
        gateway.store.ended(&self.id).await?.map_or(Ok(()), |ended| Err(ended.into()))
    }
}

async fn device(gateway: &Shared, parts: &Parts, meter: &Meter<String>) -> Result<Device, Refusal> {
    let peer = parts.extensions.get::<Peer>().ok_or(Refusal::NoCertificate)?;
    let leaf = Leaf::read(&peer.0, &gateway.config.region.name).ok_or(Refusal::NoCertificate)?;
    // The handshake has shown that this is the device of that name.
    meter.take(leaf.device.as_str())?;
    let holder = gateway.store.holder(&leaf.serial).await?.ok_or(Refusal::NoCertificate)?;
    if holder.device != leaf.device || holder.public_key != leaf.public_key {
        return Err(Refusal::NoCertificate);
    }
    if let Some(ended) = holder.ended() {
        return Err(ended.into());
    }
    Ok(Device { id: holder.device, public_key: holder.public_key })
}

/// Enrols a device. The request's public key is all that is taken from it. The same account with the same key gets
/// the same device again, with a new certificate.
#[utoipa::path(
    post, path = path::DEVICES, tag = "account", request_body = EnrolRequest,
    security(("account" = []), ("enrolment_token" = [])),
    responses(
        (status = 201, body = Certificate),
        (status = 400, body = Problem, description = "bad-csr, bad-request", content_type = "application/problem+json"),
        (status = 401, body = Problem, description = "not-signed-in, token-spent", content_type = "application/problem+json"),
        (status = 403, body = Problem, description = "device-lost, device-retired", content_type = "application/problem+json"),
        (status = 409, body = Problem, description = "key-taken", content_type = "application/problem+json"),
    )
)]
pub(crate) async fn enrol(
    State(gateway): State<Shared>,
    Asked(enroller, body): Asked<Enroller, EnrolRequest>,
) -> Result<(StatusCode, Json<Certificate>), Refusal> {
    if body.agreement == 0 {
        return Err(Refusal::BadRequest("the owner agreed to no version of the agreement".to_owned()));
    }
    let request = Request::read(&body.csr_pem)?;
    let public_key = request.key_hex();
    let (account, right) = right_of(&gateway, enroller, &public_key).await?;
    let device = device_to_enrol(&gateway, &account, &public_key).await?;
    let issued = issue(&gateway, &device, request).await?;
    let enrolment = Enrolment {
        account: &account,
        right: &right,
        device: &device,
        label: &label(&body.label),
        agreement: body.agreement,
        public_key: &public_key,
        serial: &issued.serial,
        issued_at_ms: issued.issued_at_ms,
        expires_at_ms: issued.expires_at_ms,
    };
    match gateway.store.enrol(&enrolment).await? {
        EnrolOutcome::Enrolled => {}
        EnrolOutcome::SessionEnded => return Err(Refusal::SessionEnded),
        EnrolOutcome::TokenSpent => return Err(Refusal::TokenSpent),
        EnrolOutcome::KeyTaken => return Err(Refusal::KeyTaken),
        EnrolOutcome::Ended(ended) => return Err(ended.into()),
    }
    tracing::info!(device, by_token = matches!(right, Right::Token(_)), "a device was enrolled");
    Ok((StatusCode::CREATED, Json(certificate(&gateway, device, issued).await?)))
}

/// For which account somebody enrols a key, and by what right.
async fn right_of(
    gateway: &Shared,
    enroller: Enroller,
    public_key: &str,
) -> Result<(String, Right), Refusal> {
    match enroller {
        Enroller::Account(account) => Ok((account.id, Right::Session(account.sessions_ended_ms))),
        Enroller::Token { hash, from } => {
            let account = gateway.store.token_account(&hash, public_key, now_ms()).await?;
            let account = account.ok_or(Refusal::TokenSpent);
            let account = account.map_err(|refusal| gateway.limits.refuse_stranger(from, refusal))?;
            gateway.limits.account_requests.take(hash.as_str())?;
            Ok((account, Right::Token(hash)))
        }
    }
}

/// As which device a key enrols, within what its account may have.
async fn device_to_enrol(gateway: &Shared, account: &str, public_key: &str) -> Result<String, Refusal> {
    let known = gateway.store.device_by_key(public_key).await?;
    let is_new = known.is_none();
    let device = device_for(known, account)?;
    if is_new {
        gateway.limits.new_devices.take(account)?;
    } else {
        gateway.limits.renewals.take(device.as_str())?;
    }
    Ok(device)
}

/// The account's devices.
#[utoipa::path(
    get, path = path::DEVICES, tag = "account", security(("account" = [])),
    responses(
        (status = 200, body = DeviceList),
        (status = 401, body = Problem, description = "not-signed-in", content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list(
    State(gateway): State<Shared>,
    account: Account,
) -> Result<Json<DeviceList>, Refusal> {
    let devices = gateway.store.devices_of(&account.id).await?.into_iter().map(summary).collect();
    Ok(Json(DeviceList { devices }))
}

/// "This PC is lost". Its certificate gets nothing any more, and its nodes are drained and held ineligible.
#[utoipa::path(
    post, path = path::DEVICE_LOST, tag = "account", security(("account" = [])),
    params(("device" = String, Path, description = "the device's id")),
    responses(
        (status = 204),
        (status = 401, body = Problem, description = "not-signed-in", content_type = "application/problem+json"),
        (status = 403, body = Problem, description = "not-yours", content_type = "application/problem+json"),
    )
)]
pub(crate) async fn lost(
    State(gateway): State<Shared>,
    account: Account,
    Path(device): Path<String>,
) -> Result<StatusCode, Refusal> {
    if !gateway.store.mark_lost(Some(&account.id), &device, now_ms()).await? {
        return Err(Refusal::NotYours);
    }
    tracing::info!(device, "a device was reported lost");
    gateway.changes.bump(&device);
    gateway.keep.notify_one();
    Ok(StatusCode::NO_CONTENT)
}

/// The PC leaves its account of its own accord. Its certificate gets nothing any more, its nodes are drained and held
/// ineligible, and what it earned stays the account's.
#[utoipa::path(
    delete, path = path::DEVICE, tag = "device", security(("device" = [])),
    responses(
        (status = 204),
        (status = 401, body = Problem, description = "no-certificate", content_type = "application/problem+json"),
        (status = 403, body = Problem, description = "device-lost, device-retired", content_type = "application/problem+json"),
    )
)]
pub(crate) async fn retire(State(gateway): State<Shared>, device: Device) -> Result<StatusCode, Refusal> {
    gateway.store.retire(&device.id, now_ms()).await?;
    tracing::info!(device = device.id, "a device left its account");
    gateway.changes.bump(&device.id);
    gateway.keep.notify_one();
    Ok(StatusCode::NO_CONTENT)
}

/// A token that lets one machine without a browser enrol for this account.
#[utoipa::path(
    post, path = path::ENROLMENT_TOKENS, tag = "account", security(("account" = [])),
    responses(
        (status = 201, body = EnrolmentToken),
        (status = 401, body = Problem, description = "not-signed-in", content_type = "application/problem+json"),
    )
)]
pub(crate) async fn enrolment_token(
    State(gateway): State<Shared>,
    account: Account,
) -> Result<(StatusCode, Json<EnrolmentToken>), Refusal> {
    gateway.limits.enrolment_tokens.take(account.id.as_str())?;
    let mut secret = [0; 32];
    rand::rng().fill_bytes(&mut secret);
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(secret);
    let token = format!("{ENROLMENT_TOKEN_PREFIX}{text}");
    let now = now_ms();
    let expires_at_ms = now + TOKEN_LIFETIME_MS;
    let (hash, ended_ms) = (token_hash(&token), account.sessions_ended_ms);
    if !gateway.store.add_token(&account.id, ended_ms, &hash, now, expires_at_ms).await? {
        return Err(Refusal::SessionEnded);
    }
    tracing::info!("an enrolment token was made");
    Ok((StatusCode::CREATED, Json(EnrolmentToken { token, expires_at_ms })))
}

/// Renews a certificate, also an expired one, by proof of the device's key: the request must be signed by it.
#[utoipa::path(
    post, path = path::RENEWALS, tag = "nobody", request_body = RenewRequest,
    responses(
        (status = 200, body = Certificate),
        (status = 400, body = Problem, description = "bad-csr, bad-request", content_type = "application/problem+json"),
        (status = 403, body = Problem, description = "not-yours, device-lost, device-retired", content_type = "application/problem+json"),
    )
)]
pub(crate) async fn renew_by_key(
    _: Stranger,
    State(gateway): State<Shared>,
    Json(body): Json<RenewRequest>,
) -> Result<Json<Certificate>, Refusal> {
    let request = Request::read(&body.csr_pem)?;
    let device = gateway.store.device(&body.device).await?.ok_or(Refusal::NotYours)?;
    if device.public_key != request.key_hex() {
        return Err(Refusal::NotYours);
    }
    renew(&gateway, device.device, request).await.map(Json)
}

/// Renews the certificate with which the device calls.
#[utoipa::path(
    post, path = path::CERTIFICATE, tag = "device", request_body = RenewRequest, security(("device" = [])),
    responses(
        (status = 200, body = Certificate),
        (status = 400, body = Problem, description = "bad-csr, bad-request", content_type = "application/problem+json"),
        (status = 401, body = Problem, description = "no-certificate", content_type = "application/problem+json"),
        (status = 403, body = Problem, description = "not-yours, device-lost, device-retired", content_type = "application/problem+json"),
    )
)]
pub(crate) async fn renew_by_certificate(
    State(gateway): State<Shared>,
    Asked(device, body): Asked<Device, RenewRequest>,
) -> Result<Json<Certificate>, Refusal> {
    let request = Request::read(&body.csr_pem)?;
    if body.device != device.id || device.public_key != request.key_hex() {
        return Err(Refusal::NotYours);
    }
    renew(&gateway, device.id, request).await.map(Json)
}

async fn renew(gateway: &Shared, device: String, request: Request) -> Result<Certificate, Refusal> {
    if let Some(ended) = gateway.store.ended(&device).await? {
        return Err(ended.into());
    }
    gateway.limits.renewals.take(device.as_str())?;
    let issued = issue(gateway, &device, request).await?;
    let written = gateway.store.renew(&device, &issued.serial, issued.issued_at_ms, issued.expires_at_ms);
    if let Some(ended) = written.await? {
        return Err(ended.into());
    }
    tracing::info!(device, "a certificate was renewed");
    certificate(gateway, device, issued).await
}

async fn issue(gateway: &Shared, device: &str, request: Request) -> Result<Issued, Refusal> {
    let role = format!("client.{}.nomad", gateway.config.region.name);
    let order = Order {
        public_key: request.public_key,
        request: request.der,
        common_name: device.to_owned(),
        dns_names: vec![role.clone(), format!("{device}.{role}")],
        lifetime: Duration::from_secs(gateway.config.devices.lifetime_s),
    };
    Ok(gateway.authority.issue(order).await?)
}

async fn certificate(gateway: &Shared, device: String, issued: Issued) -> Result<Certificate, Refusal> {
    let region = &gateway.config.region;
    let (subject, shown) = gateway.store.account_of(&device).await?;
    Ok(Certificate {
        device,
        account: AccountState { subject, shown },
        chain_pem: issued.chain_pem,
        ca_pem: gateway.authority.root_pem().to_owned(),
        issued_at_ms: issued.issued_at_ms,
        expires_at_ms: issued.expires_at_ms,
        region: region.name.clone(),
        datacenter: region.datacenter.clone(),
        node_pool: region.node_pool.clone(),
        servers: region.servers.clone(),
    })
}

/// The device that a key enrols as: its own of old, or a new one.
fn device_for(known: Option<DeviceRow>, account: &str) -> Result<String, Refusal> {
    match known {
        None => Ok(format!("d-{}", uuid::Uuid::new_v4().simple())),
        Some(device) if device.account != account => Err(Refusal::KeyTaken),
        Some(device) => match device.ended() {
            Some(ended) => Err(ended.into()),
            None => Ok(device.device),
        },
    }
}

fn label(asked: &str) -> String {
    asked
        .chars()
        .filter(|letter| !letter.is_control())
        .take(LABEL_LENGTH)
        .collect::<String>()
        .trim()
        .to_owned()
}

fn summary(row: DeviceRow) -> DeviceSummary {
    let end = row.ended().map(|ended| match ended {
        Ended::Lost => DeviceEnd::Lost,
        Ended::Retired => DeviceEnd::Retired,
    });
    DeviceSummary {
        device: row.device,
        label: row.label,
        enrolled_at_ms: row.enrolled_at_ms,
        expires_at_ms: row.expires_at_ms,
        end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_keeps_sixty_characters_and_no_control_ones() {
        assert_eq!(label("  Büro\n-PC\u{7} "), "Büro-PC");
        assert_eq!(label(&"ö".repeat(80)).chars().count(), 60);
    }
}
