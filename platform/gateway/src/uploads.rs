//! Upload grants: presigned requests for one object each, below the device's own prefix. No S3 credential leaves here.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::State;
use base64::Engine as _;
use ionet_gateway_api::{Problem, UploadAnswer, UploadGrant, UploadObject, UploadRequest, path};
use rusty_s3::{Bucket, Credentials, S3Action as _, UrlStyle};

use crate::Shared;
use crate::clock::now_ms;
use crate::config::{Storage, Style};
use crate::devices::Device;
use crate::extract::{Asked, Json};
use crate::problem::Refusal;

const LIFETIME: Duration = Duration::from_secs(300);
const LIFETIME_MS: i64 = 300_000;
const MOST_OBJECTS: usize = 32;
const LARGEST: u64 = 64 * 1024 * 1024;
const LONGEST_NAME: usize = 200;

/// Signs upload grants.
pub(crate) struct Uploads {
    bucket: Bucket,
    credentials: Credentials,
    checksum: bool,
    /// For every object.
    headers: Vec<(String, String)>,
}

impl Uploads {
    /// Reads the bucket's keys.
    pub(crate) fn new(config: &Storage) -> anyhow::Result<Self> {
        let style = match config.style {
            Style::Path => UrlStyle::Path,
            Style::Host => UrlStyle::VirtualHost,
        };
        let bucket =
            Bucket::new(config.endpoint.clone(), style, config.bucket.clone(), config.region.clone())?;
        let (access, secret) = (read(&config.access_key_file)?, read(&config.secret_key_file)?);
        let headers = config.headers.iter().map(demanded).collect::<anyhow::Result<_>>()?;
        let credentials = Credentials::new(access, secret);
        Ok(Self { bucket, credentials, checksum: config.checksum, headers })
    }

    fn grant(&self, device: &str, object: &UploadObject) -> Result<UploadGrant, Refusal> {
        check(object)?;
        let digest = hex::decode(&object.sha256).map_err(|_| bad("a checksum is not hex"))?;
        let digest = base64::engine::general_purpose::STANDARD.encode(digest);
        let mut headers = vec![("content-length".to_owned(), object.length.to_string())];
        headers.extend(self.checksum.then(|| ("x-amz-checksum-sha256".to_owned(), digest)));
        headers.extend(self.headers.iter().cloned());
        let key = format!("devices/{device}/{}", object.name);
        let mut put = self.bucket.put_object(Some(&self.credentials), &key);
        for (name, value) in &headers {
            put.headers_mut().insert(name.as_str(), value.as_str());
        }
        let expires_at_ms = now_ms() + LIFETIME_MS;
        Ok(UploadGrant { url: put.sign(LIFETIME).into(), headers, expires_at_ms })
    }
}

/// Grants for up to 32 objects of up to 64 MiB, good for five minutes.
#[utoipa::path(
    post, path = path::UPLOADS, tag = "device", request_body = UploadRequest, security(("device" = [])),
    responses(
        (status = 200, body = UploadAnswer),
        (status = 400, body = Problem, description = "bad-request", content_type = "application/problem+json"),
        (status = 401, body = Problem, description = "no-certificate", content_type = "application/problem+json"),
        (status = 403, body = Problem, description = "device-lost", content_type = "application/problem+json"),
        (status = 413, body = Problem, description = "too-large", content_type = "application/problem+json"),
    )
)]
pub(crate) async fn uploads(
    State(gateway): State<Shared>,
    Asked(device, body): Asked<Device, UploadRequest>,
) -> Result<Json<UploadAnswer>, Refusal> {
    if body.objects.len() > MOST_OBJECTS {
        return Err(Refusal::TooLarge("more than 32 objects at once"));
    }
    body.objects.iter().try_for_each(check)?;
    let (objects, bytes) = (body.objects.len() as u64, body.objects.iter().map(|object| object.length).sum());
    let limits = &gateway.limits;
    limits.upload_objects.take_with(&device.id, objects, &limits.upload_bytes, bytes)?;
    let grants = body.objects.iter().map(|object| gateway.uploads.grant(&device.id, object));
    let grants = grants.collect::<Result<Vec<_>, _>>()?;
    tracing::debug!(device = device.id, objects = grants.len(), "uploads were granted");
    Ok(Json(UploadAnswer { grants }))
}

/// A header as it is signed and sent. Those that belong to one object are the gateway's to say, and PCs send no others than
/// a store's own.
fn demanded((name, value): (&String, &String)) -> anyhow::Result<(String, String)> {
    let name = name.to_ascii_lowercase();
    anyhow::ensure!(
        name.starts_with("x-amz-") && !name.starts_with("x-amz-checksum-") && name != "x-amz-content-sha256",
        "s3.headers: \"{}\" is none that can be demanded of every object; those begin with x-amz-",
        name.escape_debug()
    );
    let sane = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && value.trim() == value;
    anyhow::ensure!(sane && !value.is_empty(), "s3.headers: \"{}\" is no header", name.escape_debug());
    Ok((name, value.clone()))
}

fn check(object: &UploadObject) -> Result<(), Refusal> {
    if object.length > LARGEST {
        return Err(Refusal::TooLarge("an object of more than 64 MiB"));
    }
    if object.length == 0 {
        return Err(bad("an object is empty"));
    }
    let hex = object.sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if object.sha256.len() != 64 || !hex {
        return Err(bad("a checksum is not 64 lower-case hex digits"));
    }
    if !is_name(&object.name) {
        return Err(bad("a name is not of the form [a-z0-9._/-], relative, without empty or dotted parts"));
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let letters =
        name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'/'));
    let parts = name.split('/').all(|part| !matches!(part, "" | "." | ".."));
    letters && parts && name.len() <= LONGEST_NAME && !name.contains("..")
}

fn bad(what: &str) -> Refusal {
    Refusal::BadRequest(what.to_owned())
}

fn read(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> Uploads {
        let bucket =
            Bucket::new("http://127.0.0.1:9".parse().unwrap(), UrlStyle::Path, "logs", "eu").unwrap();
        let credentials = Credentials::new("the-access-key", "the-secret-key");
        Uploads { bucket, credentials, checksum: true, headers: Vec::new() }
    }

    fn object(name: &str) -> UploadObject {
        UploadObject { name: name.to_owned(), length: 5, sha256: "0f".repeat(32) }
    }

    #[test]
    fn a_grant_is_bound_to_key_length_checksum_and_five_minutes() {
        let grant = signer().grant("d-1", &object("app/1.log.gz")).unwrap();

        assert!(grant.url.starts_with("http://127.0.0.1:9/logs/devices/d-1/app/1.log.gz?"), "{}", grant.url);
        assert!(grant.url.contains("X-Amz-Expires=300"));
        assert!(grant.url.contains("X-Amz-SignedHeaders=content-length%3Bhost%3Bx-amz-checksum-sha256"));
        assert!(!grant.url.contains("the-secret-key"));
        assert_eq!(grant.headers[0], ("content-length".to_owned(), "5".to_owned()));
        assert_eq!(grant.headers[1].1, "Dw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8=");
    }

    #[test]
    fn a_grant_carries_what_the_bucket_demands_and_no_checksum_where_the_store_knows_none() {
        let encrypted = ("x-amz-server-side-encryption".to_owned(), "AES256".to_owned());
        let signer = Uploads { checksum: false, headers: vec![encrypted.clone()], ..signer() };

        let grant = signer.grant("d-1", &object("a")).unwrap();

        assert!(
            grant.url.contains("X-Amz-SignedHeaders=content-length%3Bhost%3Bx-amz-server-side-encryption&")
        );
        assert_eq!(grant.headers, [("content-length".to_owned(), "5".to_owned()), encrypted]);
    }

    #[test]
    fn a_bucket_by_its_own_host_and_headers_that_no_pc_would_send_are_told_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        std::fs::write(&key, "key").unwrap();
        let uploads = |headers: serde_json::Value| {
            let config = serde_json::json!({
                "endpoint": "https://store.example.test", "region": "eu", "bucket": "logs",
                "access_key_file": key, "secret_key_file": key, "style": "host", "headers": headers,
            });
            Uploads::new(&serde_json::from_value(config).unwrap())
        };

        let signer = uploads(serde_json::json!({ "X-Amz-Server-Side-Encryption": "aws:kms" })).unwrap();
        let grant = signer.grant("d-1", &object("a")).unwrap();

        assert!(grant.url.starts_with("https://logs.store.example.test/devices/d-1/a?"), "{}", grant.url);
        assert_eq!(grant.headers[2].0, "x-amz-server-side-encryption");
        for (name, value) in [
            ("cookie", "a"),
            ("x-amz-checksum-sha256", "a"),
            ("x-amz-acl", ""),
            ("x-amz-acl", "a\r\nb"),
            ("x-amz-\n", "a"),
        ] {
            assert!(uploads(serde_json::json!({ name: value })).is_err(), "{name:?}: {value:?}");
        }
    }

    #[test]
    fn a_name_cannot_leave_the_devices_prefix() {
        for name in
            ["", "/", "/a", "a/", "a//b", "..", "a/../b", "./a", "a/.", "a\\b", "A", "a b", "ä", "a%2e"]
        {
            assert!(signer().grant("d-1", &object(name)).is_err(), "{name:?}");
        }
        for name in ["a", "a/b.c", "jobs/x_1-2/3.gz", ".hidden"] {
            assert!(signer().grant("d-1", &object(name)).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn sizes_and_checksums_are_checked() {
        let mut large = object("a");
        large.length = LARGEST + 1;
        let mut upper = object("a");
        upper.sha256 = "0F".repeat(32);
        let mut short = object("a");
        short.sha256.pop();

        assert!(matches!(signer().grant("d-1", &large), Err(Refusal::TooLarge(_))));
        assert!(matches!(signer().grant("d-1", &upper), Err(Refusal::BadRequest(_))));
        assert!(matches!(signer().grant("d-1", &short), Err(Refusal::BadRequest(_))));
    }
}
