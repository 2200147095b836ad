//! What an operator writes down: one TOML file. Paths in it are relative to the file.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use url::Url;

mod limits;

pub use self::limits::{Limits, Quota};

/// The gateway's configuration. Secrets are named by file and read when they are needed; none stands in here.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to listen, for example `0.0.0.0:8443`. Port 0: the kernel chooses.
    pub listen: SocketAddr,
    /// How PCs reach this gateway, for example `https://gateway.example/`.
    pub public_url: Url,
    /// `sqlite://PATH`. The file is made when it does not exist.
    pub database_url: String,
    pub tls: ServerTls,
    pub devices: DeviceCertificates,
    pub accounts: AccountIssuer,
    pub region: Region,
    pub s3: Storage,
    pub prices: Prices,
    #[serde(default)]
    pub limits: Limits,
}

/// The certificate that PCs see.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerTls {
    /// PEM, leaf first.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// The authority behind the devices' certificates.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceCertificates {
    /// The root that the region's servers know. PCs get it to check those servers.
    pub root_ca: PathBuf,
    /// The issuing intermediate, PEM. Further certificates in the file are older intermediates that are still trusted.
    pub intermediate: PathBuf,
    pub intermediate_key: PathBuf,
    /// How long a device's certificate lives, in seconds.
    #[serde(default = "seven_days")]
    pub lifetime_s: u64,
}

/// Who vouches for accounts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountIssuer {
    /// The OpenID Connect issuer. Accounts are kept under this spelling; that of a slash at its end makes no other
    /// difference.
    pub issuer: String,
    /// What an access token's `aud` must hold.
    pub audience: String,
    /// The app's client ids at a provider whose access tokens have no `aud` (Amazon Cognito): such a token counts if its
    /// `client_id` is one of these, since whoever signed in with the app meant this gateway. For no client of another
    /// program, whose owner could use its people's tokens here. None: every token must hold the audience.
    #[serde(default)]
    pub clients_without_audience: Vec<String>,
}

/// The Nomad region that this gateway lets PCs into.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    pub name: String,
    pub datacenter: String,
    pub node_pool: String,
    /// `host:port` of the servers' RPC endpoints, told to PCs.
    pub servers: Vec<String>,
    /// The servers' HTTP API, for this gateway alone. Tried in turn.
    pub nomad: Vec<Url>,
    /// PEM; needed for `https`.
    pub ca: Option<PathBuf>,
    /// The client certificate and key for the HTTP API, PEM; the two go together.
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// Holds the Nomad token; read anew for every request, so that it can be changed at any time.
    pub token_file: PathBuf,
}

/// The bucket that PCs get upload grants for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    pub endpoint: Url,
    pub region: String,
    pub bucket: String,
    pub access_key_file: PathBuf,
    pub secret_key_file: PathBuf,
    /// Whether the bucket's name is part of the path, or of the host.
    #[serde(default)]
    pub style: Style,
    /// Whether the store checks what comes by `x-amz-checksum-sha256`; not every one knows that header.
    #[serde(default = "yes")]
    pub checksum: bool,
    /// What the bucket's policy demands of every object beside that, such as `x-amz-server-side-encryption`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

/// How a bucket is addressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    #[default]
    Path,
    Host,
}

/// Prices in millionths of the currency's unit per hour of one allocation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    #[serde(default = "usual_currency")]
    pub currency: String,
    /// For a job that asks for no GPU of the table.
    pub default_micros_per_hour: i64,
    /// By the slug of the GPU that the job was given, or asks for.
    #[serde(default)]
    pub gpus: BTreeMap<String, i64>,
}

impl Config {
    /// Reads and checks a configuration file.
    pub fn load(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        let mut config: Self =
            toml::from_str(&text).with_context(|| format!("reading {}", file.display()))?;
        config.anchor(file.parent().unwrap_or(Path::new(".")));
        config.check()?;
        Ok(config)
    }

    /// What the types cannot say.
    pub fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.devices.lifetime_s >= 60, "devices.lifetime_s is under a minute");
        anyhow::ensure!(!self.region.nomad.is_empty(), "region.nomad names no server");
        anyhow::ensure!(!self.region.servers.is_empty(), "region.servers names no server");
        anyhow::ensure!(
            self.region.certificate.is_some() == self.region.key.is_some(),
            "region.certificate and region.key go together"
        );
        let prices = self.prices.gpus.values().chain([&self.prices.default_micros_per_hour]);
        anyhow::ensure!(prices.into_iter().all(|price| *price >= 0), "a price is negative");
        self.limits.check()
    }

    fn anchor(&mut self, folder: &Path) {
        let paths = [
            &mut self.tls.certificate,
            &mut self.tls.key,
            &mut self.devices.root_ca,
            &mut self.devices.intermediate,
            &mut self.devices.intermediate_key,
            &mut self.region.token_file,
            &mut self.s3.access_key_file,
            &mut self.s3.secret_key_file,
        ];
        let optional = [&mut self.region.ca, &mut self.region.certificate, &mut self.region.key];
        for path in paths.into_iter().chain(optional.into_iter().flatten()) {
            *path = folder.join(&*path);
        }
    }
}

impl Prices {
    /// The price for a job that asks for this GPU, or for none.
    pub fn for_gpu(&self, slug: Option<&str>) -> i64 {
        slug.and_then(|slug| self.gpus.get(slug)).copied().unwrap_or(self.default_micros_per_hour)
    }
}

fn seven_days() -> u64 {
    7 * 24 * 3600
}

fn yes() -> bool {
    true
}

fn usual_currency() -> String {
    ionet_gateway_api::CURRENCY.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../gateway.example.toml");

    #[test]
    fn the_example_file_is_a_valid_configuration() {
        let config: Config = toml::from_str(EXAMPLE).unwrap();

        assert!(config.check().is_ok());
        assert_eq!(config.devices.lifetime_s, 604_800);
    }

    #[test]
    fn the_example_file_shows_every_limit_at_its_default() {
        let shown: toml::Table = toml::from_str(EXAMPLE).unwrap();
        let defaults = toml::Table::try_from(Limits::default()).unwrap();

        assert_eq!(shown["limits"].as_table(), Some(&defaults));
    }

    #[test]
    fn a_limit_that_lets_nobody_in_is_refused() {
        let mut config: Config = toml::from_str(EXAMPLE).unwrap();

        config.limits.wanted.count = 0;

        assert!(config.check().is_err());
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let mut config: Config = toml::from_str(EXAMPLE).unwrap();

        config.anchor(Path::new("/etc/gateway"));

        assert_eq!(config.tls.key, Path::new("/etc/gateway/server-key.pem"));
        assert_eq!(config.region.ca.as_deref(), Some(Path::new("/etc/gateway/root.pem")));
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        let misspelt = EXAMPLE.replace("bucket", "bukcet");

        assert!(toml::from_str::<Config>(&misspelt).is_err());
    }

    #[test]
    fn a_gpu_without_a_price_of_its_own_earns_the_default() {
        let config: Config = toml::from_str(EXAMPLE).unwrap();

        assert_eq!(config.prices.for_gpu(Some("nvidia-geforce-rtx-4090")), 400_000);
        assert_eq!(config.prices.for_gpu(Some("a-card-of-next-year")), 100_000);
        assert_eq!(config.prices.for_gpu(None), 100_000);
    }
}
