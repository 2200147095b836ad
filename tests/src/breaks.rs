//! Ways to break one step for real. Each changes the world, never the check.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use ionet_stage::Stage;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose,
    NameConstraints,
};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use url::Url;

use crate::files;
use crate::step::Step;
use crate::world::World;

/// What has to be broken before the app has ever run: a tray that takes nothing, a PC without a driver.
pub fn before_the_first_start(world: &mut World) -> Result<()> {
    if world.is_broken(Step::FirstStart) {
        world.desktop.tray.refuse();
    }
    if world.is_broken(Step::Detection) {
        // NVML_ERROR_DRIVER_NOT_LOADED; a real card's library is hidden behind the double.
        const DRIVER_NOT_LOADED: u32 = 9;
        let script = json!({"init": DRIVER_NOT_LOADED, "cards": []});
        std::fs::write(world.card_script(), serde_json::to_vec(&script)?)?;
    }
    Ok(())
}

/// The sign-in page is opened with a state that the app has not chosen, so its answer is somebody else's.
pub fn another_state(page: Url) -> Url {
    let mut other = page.clone();
    let pairs = page.query_pairs().map(|(name, value)| match &*name {
        "state" => (name, "somebody-elses".into()),
        _ => (name, value),
    });
    other.query_pairs_mut().clear().extend_pairs(pairs).finish();
    other
}

/// The gateway signs with an authority that no server of the region knows.
pub async fn foreign_authority(stage: &mut Stage) -> Result<()> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "somebody else's devices");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName(format!("client.{}.nomad", stage.home().name()))],
        excluded_subtrees: Vec::new(),
    });
    let certificate = params.self_signed(&key)?;
    let devices = stage.pki().devices.clone();
    std::fs::write(&devices.cert, certificate.pem())?;
    std::fs::write(&devices.key, key.serialize_pem())?;
    stage.stop_gateway()?;
    stage.start_gateway().await
}

/// A job that ends with a failure as soon as it starts.
pub fn failing(mut job: Value) -> Value {
    let config = &mut job["Job"]["TaskGroups"][0]["Tasks"][0]["Config"];
    config["args"] = json!(["-c", "echo it cannot work >&2; exit 7"]);
    job
}

/// Somebody doubles what the ledger pays for.
pub async fn alter_ledger(ledger: &Path) -> Result<()> {
    const SCRIPT: &str = "import sqlite3, sys
ledger = sqlite3.connect(sys.argv[1], timeout=10)
with ledger:
    ledger.execute('UPDATE allocations SET rate_micros_per_hour = rate_micros_per_hour * 2')
ledger.close()";
    let done = Command::new("python3").args(["-c", SCRIPT]).arg(ledger).status().await?;
    ensure!(done.success(), "the ledger could not be altered");
    Ok(())
}

/// The gateway's Nomad token may read, and nothing else: it can neither hold nodes nor stop allocations.
pub async fn disarm_gateway(world: &World) -> Result<()> {
    const RULES: &str = r#"
        node { policy = "read" }
        namespace "default" { capabilities = ["read-job"] }
        node_pool "gamers" { policy = "read" }"#;
    let region = world.stage.operator();
    region.put("/v1/acl/policy/reader", &json!({"Name": "reader", "Rules": RULES})).await?;
    let asked = json!({"Name": "reader", "Type": "client", "Policies": ["reader"]});
    let token = region.put("/v1/acl/token", &asked).await?;
    let secret = token["SecretID"].as_str().context("the region gave no token")?;
    std::fs::write(world.stage.home().gateway_token_file(), secret)?;
    Ok(())
}

/// One bit of one stored object turns over.
pub fn flip_a_bit(bucket: &Path) -> Result<()> {
    let objects = files::below(bucket)?;
    let packed = |file: &&std::path::PathBuf| file.extension().is_some_and(|end| end == "gz");
    let victim = objects.iter().find(packed).context("the bucket is empty")?;
    let mut bytes = std::fs::read(victim)?;
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle).context("an empty object")? ^= 1;
    Ok(std::fs::write(victim, bytes)?)
}

/// A task that outlived everybody who was to end it: it carries an allocation's marks and works in its folder.
pub fn orphan(world: &World) -> Result<Child> {
    let folder = world.pc.folders().agent_data().join("alloc/orphan/work");
    std::fs::create_dir_all(&folder)?;
    let child = Command::new("sleep")
        .arg("600")
        .env_clear()
        .env("NOMAD_ALLOC_ID", "00000000-0000-4000-8000-000000000000")
        .env("NOMAD_TASK_NAME", "work")
        .env("NOMAD_ALLOC_DIR", &folder)
        .current_dir(&folder)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    Ok(child)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_state_of_a_sign_in_page_is_exchanged() {
        let page = Url::parse("http://id/auth?client_id=a&state=ours&nonce=n%20n").unwrap();

        let other = another_state(page);

        assert_eq!(other.as_str(), "http://id/auth?client_id=a&state=somebody-elses&nonce=n+n");
    }
}
