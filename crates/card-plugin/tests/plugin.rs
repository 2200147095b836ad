//! The program, driven as Nomad drives it: started with the cookie, found by its line, spoken to over its socket, with the NVML
//! double for a driver.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use ionet_card_plugin::protocol::services::base_plugin_client::BasePluginClient;
use ionet_card_plugin::protocol::services::device_plugin_client::DevicePluginClient;
use ionet_card_plugin::protocol::services::g_r_p_c_controller_client::GRPCControllerClient;
use ionet_card_plugin::protocol::services::health_client::HealthClient;
use ionet_card_plugin::protocol::{
    Block, Config, Empty, Fingerprint, HealthQuestion, Kind, ReserveRequest, StatsRequest,
};
use ionet_card_plugin::{COOKIE, Handshake};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Streaming};

/// Longer than any machine is slow.
const LONG: Duration = Duration::from_secs(60);

const FIRST: &str = "GPU-00000000-0000-4000-8000-000000000000";
const SECOND: &str = "GPU-00000000-0000-4000-8000-000000000001";

struct Plugin {
    folder: TempDir,
    child: Child,
    socket: PathBuf,
    channel: Channel,
}

impl Plugin {
    async fn with(cards: Value) -> Self {
        let folder = TempDir::new().unwrap();
        symlink(double(), folder.path().join("libnvidia-ml.so.1")).unwrap();
        play(folder.path(), &cards);
        let mut child = program(folder.path()).env(COOKIE.0, COOKIE.1).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(LONG, lines.next_line()).await.unwrap().unwrap().unwrap();
        let socket = line.parse::<Handshake>().unwrap().socket;
        let endpoint = Endpoint::try_from(format!("unix://{}", socket.display())).unwrap();
        Self { folder, child, channel: endpoint.connect().await.unwrap(), socket }
    }

    /// With this `config` block.
    async fn set(&self, config: &Value) {
        self.base().set_config(told(config)).await.unwrap();
    }

    fn play(&self, cards: Value) {
        play(self.folder.path(), &cards);
    }

    fn base(&self) -> BasePluginClient<Channel> {
        BasePluginClient::new(self.channel.clone())
    }

    fn device(&self) -> DevicePluginClient<Channel> {
        DevicePluginClient::new(self.channel.clone())
    }

    async fn fingerprint(&self) -> Streaming<Fingerprint> {
        self.device().fingerprint(Empty {}).await.unwrap().into_inner()
    }

    async fn reserve(&self, ids: &[&str]) -> Result<BTreeMap<String, String>, (Code, String)> {
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        match self.device().reserve(ReserveRequest { ids }).await {
            Ok(reserved) => Ok(reserved.into_inner().container.unwrap().envs),
            Err(status) => Err((status.code(), status.message().to_owned())),
        }
    }

    async fn ends(&mut self) -> bool {
        tokio::time::timeout(LONG, self.child.wait()).await.unwrap().unwrap().success()
    }
}

fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ionet-card-plugin"));
    command
        .env_clear()
        .env("LD_LIBRARY_PATH", folder)
        .env("IONET_NVML_SCRIPT", folder.join("script.json"))
        .env("TMPDIR", folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// At once: the plugin may be reading.
fn play(folder: &Path, cards: &Value) {
    std::fs::write(folder.join("next"), json!({ "cards": cards }).to_string()).unwrap();
    std::fs::rename(folder.join("next"), folder.join("script.json")).unwrap();
}

fn double() -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_ionet-card-plugin")).parent().unwrap();
    let places = ["libnvml_double.so", "deps/libnvml_double.so"].map(|name| folder.join(name));
    places.into_iter().find(|file| file.is_file()).expect("the NVML double is built with these tests")
}

fn told(config: &Value) -> Config {
    Config { msgpack: rmp_serde::to_vec(config).unwrap(), api_version: "v0.1.0".to_owned() }
}

async fn next(stream: &mut Streaming<Fingerprint>) -> Vec<(String, bool)> {
    let told = tokio::time::timeout(LONG, stream.message()).await.unwrap().unwrap().unwrap();
    let devices = told.groups.into_iter().flat_map(|group| group.devices);
    devices.map(|device| (device.id, device.healthy)).collect()
}

fn two() -> Value {
    json!([{"name": "NVIDIA GeForce RTX 4090"}, {"name": "NVIDIA GeForce RTX 4090"}])
}

#[tokio::test]
async fn the_plugin_says_what_it_is_and_what_it_may_be_told() {
    let plugin = Plugin::with(two()).await;

    let info = plugin.base().plugin_info(Empty {}).await.unwrap().into_inner();
    assert_eq!((info.kind(), info.name.as_str()), (Kind::Device, "ionet-card-plugin"));
    assert_eq!(info.api_versions, ["v0.1.0"]);
    let schema = plugin.base().config_schema(Empty {}).await.unwrap().into_inner();
    let Some(Block::Object(object)) = schema.spec.unwrap().block else { panic!("no object") };
    assert_eq!(object.attributes.keys().collect::<Vec<_>>(), ["cards"]);
    let mut health = HealthClient::new(plugin.channel.clone());
    let asked = HealthQuestion { service: "plugin".to_owned() };
    assert_eq!(health.check(asked).await.unwrap().into_inner().status, 1);
}

#[tokio::test]
async fn what_the_plugin_is_told_and_does_not_understand_is_refused() {
    let plugin = Plugin::with(two()).await;

    for config in [
        told(&json!({"cards": "all"})),
        told(&json!(3)),
        Config { msgpack: vec![0xc1], api_version: "v0.1.0".to_owned() },
        Config { api_version: "v9.0.0".to_owned(), ..told(&json!({})) },
    ] {
        let refused = plugin.base().set_config(config.clone()).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{config:?}");
    }
    assert_eq!(next(&mut plugin.fingerprint().await).await, [], "and nothing is lent by it");
}

#[tokio::test]
async fn a_card_that_fails_or_comes_back_is_told_while_the_agent_listens() {
    let plugin = Plugin::with(two()).await;
    plugin.set(&json!({"cards": [FIRST, SECOND]})).await;
    let mut told = plugin.fingerprint().await;

    let [first, second] = [FIRST, SECOND].map(str::to_owned);
    assert_eq!(next(&mut told).await, [(first.clone(), true), (second.clone(), true)]);
    plugin.play(json!([{}, {"lost": true}]));
    assert_eq!(next(&mut told).await, [(first.clone(), true), (second.clone(), false)]);
    let (code, message) = plugin.reserve(&[SECOND]).await.unwrap_err();
    assert_eq!(code, Code::FailedPrecondition, "{message}");
    plugin.play(json!([{"instances": []}, {}]));
    assert_eq!(next(&mut told).await, [(first, false), (second, true)], "one that is cut up is not whole");
}

#[tokio::test]
async fn a_job_gets_the_cards_that_were_chosen_for_it_and_no_other_way_to_one() {
    let plugin = Plugin::with(two()).await;
    plugin.set(&json!({"cards": [FIRST, SECOND]})).await;

    let both = plugin.reserve(&[SECOND, FIRST]).await.unwrap();
    assert_eq!(both, BTreeMap::from([("NVIDIA_VISIBLE_DEVICES".to_owned(), format!("{SECOND},{FIRST}"))]));
    for ids in [&["all"][..], &[FIRST, "GPU-other"], &["0"]] {
        assert_eq!(plugin.reserve(ids).await.unwrap_err().0, Code::NotFound, "{ids:?}");
    }
    assert_eq!(plugin.reserve(&[]).await.unwrap_err().0, Code::InvalidArgument);
}

#[tokio::test]
async fn a_card_that_its_owner_does_not_lend_is_neither_offered_nor_given() {
    let plugin = Plugin::with(two()).await;
    plugin.set(&json!({"cards": [SECOND]})).await;

    assert_eq!(next(&mut plugin.fingerprint().await).await, [(SECOND.to_owned(), true)]);
    let (code, message) = plugin.reserve(&[FIRST]).await.unwrap_err();
    assert_eq!(code, Code::NotFound);
    assert_eq!(message, format!("the card {FIRST} is not lent on this PC"));
    for nobody_said_which in [json!({"cards": []}), json!({"cards": null}), json!({})] {
        plugin.set(&nobody_said_which).await;
        assert_eq!(next(&mut plugin.fingerprint().await).await, [], "{nobody_said_which}");
    }
}

#[tokio::test]
async fn what_a_card_does_is_told_to_the_agent() {
    let plugin =
        Plugin::with(json!([{"name": "A card", "memory_used_mb": 300, "utilisation_percent": 7}])).await;
    plugin.set(&json!({"cards": [FIRST, SECOND]})).await;
    next(&mut plugin.fingerprint().await).await;

    let mut stats = plugin.device().stats(StatsRequest { every: None }).await.unwrap().into_inner();
    let told = tokio::time::timeout(LONG, stats.message()).await.unwrap().unwrap().unwrap();

    let group = &told.groups[0];
    assert_eq!(group.name, "A card");
    let figures = &group.devices[FIRST].figures.as_ref().unwrap().by_name;
    assert_eq!(figures["Memory used"].number, Some(300));
    assert_eq!(figures["Utilisation"].number, Some(7));
    assert!(figures.contains_key("Temperature") && figures.contains_key("Power"));
}

#[tokio::test]
async fn the_plugin_ends_when_it_is_told_to_though_somebody_listens_and_leaves_no_socket() {
    let mut plugin = Plugin::with(two()).await;
    let mode = std::fs::metadata(&plugin.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "nobody else may speak to it");
    plugin.set(&json!({"cards": [FIRST, SECOND]})).await;
    let mut told = plugin.fingerprint().await;
    next(&mut told).await;

    GRPCControllerClient::new(plugin.channel.clone()).shutdown(Empty {}).await.unwrap();

    assert!(plugin.ends().await);
    assert!(!plugin.socket.exists());
}

#[tokio::test]
async fn the_plugin_ends_with_the_agent_that_started_it() {
    let folder = TempDir::new().unwrap();
    let mut agent = Command::new("/bin/sh")
        .args(["-c", "\"$0\" & echo $!; exec sleep 600", env!("CARGO_BIN_EXE_ionet-card-plugin")])
        .envs([COOKIE, ("TMPDIR", folder.path().to_str().unwrap())])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(agent.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    for _ in 0..2 {
        said.push(tokio::time::timeout(LONG, lines.next_line()).await.unwrap().unwrap().unwrap());
    }
    let socket = said.iter().find_map(|line| line.parse::<Handshake>().ok()).unwrap().socket;
    assert!(socket.exists());

    agent.kill().await.unwrap();

    // Its output closes when nobody has it open any more.
    assert_eq!(tokio::time::timeout(LONG, lines.next_line()).await.unwrap().unwrap(), None);
    assert!(!socket.exists());
}

#[tokio::test]
async fn a_person_who_starts_the_plugin_is_told_that_there_is_nothing_to_do() {
    let folder = TempDir::new().unwrap();

    let ended = program(folder.path()).output().await.unwrap();

    assert!(!ended.status.success());
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "");
    assert!(String::from_utf8_lossy(&ended.stderr).contains("nothing to do with it by hand"));
}
