//! Logs go to the bucket by grants from the gateway: no S3 credential is ever on this PC.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ionet_cloud::{Cloud, CloudFault, LogFault, UploadGrant, UploadObject};
use ionet_core::Outcome;
use ionet_core::effect::Logs;
use ionet_logbook::{Door, Object, Sources, Store};

use super::Shared;

pub(super) struct Bucket {
    cloud: Cloud,
}

impl Bucket {
    pub(super) fn new(cloud: Cloud) -> Self {
        Self { cloud }
    }
}

#[async_trait]
impl Store for Bucket {
    type Grant = UploadGrant;

    async fn grants(&self, objects: &[Object]) -> Result<Vec<UploadGrant>, LogFault> {
        let asked: Vec<UploadObject> = objects.iter().map(asked).collect();
        self.cloud.upload_grants(&asked).await.map_err(|fault| of_cloud(&fault))
    }

    async fn put(&self, grant: UploadGrant, file: &Path) -> Result<(), LogFault> {
        let body = tokio::fs::read(file).await.map_err(|_| LogFault::Unreachable)?;
        self.cloud.put(&grant, body).await
    }

    fn host(&self, grant: &UploadGrant) -> String {
        host_of(&grant.url).to_owned()
    }
}

pub(super) fn broken_off(deed: Logs) -> Outcome {
    match deed {
        Logs::Flush { .. } => Outcome::LogsFlushed(Err(LogFault::Unreachable)),
    }
}

impl Shared {
    pub(super) async fn logs(self: Arc<Self>, deed: Logs) -> Outcome {
        match deed {
            Logs::Flush { within_ms } => {
                Outcome::LogsFlushed(self.shipper.flush(Duration::from_millis(within_ms)).await)
            }
        }
    }
}

/// Where the agent and its jobs write.
pub fn sources(folders: &ionet_wire::paths::Folders) -> Sources {
    match super::agent::door_to_logs(folders) {
        Some(door) => Sources::Beyond(Door::at(&door)),
        None => {
            Sources::Here { agent: folders.agent_logs(), allocations: folders.agent_data().join("alloc") }
        }
    }
}

/// The host alone: path and query of a grant are a secret.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

fn asked(object: &Object) -> UploadObject {
    UploadObject { name: object.name.clone(), length: object.length, sha256: object.sha256.clone() }
}

fn of_cloud(fault: &CloudFault) -> LogFault {
    match fault {
        CloudFault::Refused(_)
        | CloudFault::DeviceLost
        | CloudFault::DeviceRetired
        | CloudFault::CertificateRefused
        | CloudFault::Untrusted(_) => LogFault::Refused(403),
        CloudFault::NoNetwork
        | CloudFault::Unavailable(_)
        | CloudFault::RegionUnreachable
        | CloudFault::Slow
        | CloudFault::Garbled
        | CloudFault::ClockWrong { .. }
        | CloudFault::CertificateExpired
        | CloudFault::NotEnrolled
        | CloudFault::NotSignedIn
        | CloudFault::SessionEnded
        | CloudFault::KeyringLocked
        | CloudFault::TooMany { .. }
        | CloudFault::Inspected { .. }
        | CloudFault::Proxy(_)
        | CloudFault::CannotStore(_) => LogFault::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use ionet_agent::supervisor::Waits;

    use super::*;

    #[test]
    fn the_files_of_an_ended_job_are_looked_at_before_they_go() {
        let stay = Duration::from_millis(Waits::default().files_stay_ms);

        assert!(ionet_logbook::LONGEST_REST * 2 < stay, "{stay:?}");
    }

    #[test]
    fn of_a_grants_address_the_host_alone_is_told() {
        for (url, host) in [
            ("https://store.example.test/b/k?X-Amz-Signature=5f", "store.example.test"),
            ("http://u:p@127.0.0.1:9000?x", "127.0.0.1:9000"),
            ("https://[::1]:9/b", "[::1]:9"),
        ] {
            assert_eq!(host_of(url), host);
        }
    }
}
