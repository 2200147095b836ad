//! The client agent as a program: signals, exit statuses, orphans, logs, its local listener.

use std::{
    fs,
    net::TcpListener,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::LIMIT;
use crate::{
    Options, Region, jobs,
    process::{is_alive, wait_for},
    shapes::{has_shape, recording, recording_text},
};

pub async fn a_terminated_agent_leaves_its_tasks_and_finds_them_again(region: &Region) -> Result<()> {
    let mut agent = region.ready_client(Options::default()).await?;
    region.submit(&jobs::loop_service("loop", &agent.name)).await?;
    let alloc = region.running("loop").await?;
    let pid: u32 = fs::read_to_string(agent.alloc_dir(&alloc).join("t/pid"))?.trim().parse()?;

    agent.process()?.signal(Signal::TERM);
    ensure!(agent.process()?.exit_code(LIMIT).await? == 1, "not exit status 1");
    ensure!(is_alive(pid), "the task has ended");
    let node = region.ready(&agent.name).await?;
    ensure!(node["SchedulingEligibility"] == "eligible", "{node}");
    agent.start()?;
    agent.logged("registered again", LIMIT, |line| line["@message"] == "node registration complete").await?;

    let again = region.running("loop").await?;
    ensure!(again["ID"] == alloc["ID"] && again["TaskStates"]["t"]["Restarts"] == 0, "{again}");
    ensure!(is_alive(pid), "the task was started anew");
    // It is really held again: it can be stopped.
    region.request(Method::DELETE, "/v1/job/loop", &region.management, None).await?;
    region.alloc_when("loop", "stopped", LIMIT, |a| a["ClientStatus"] == "complete").await?;
    ensure!(!is_alive(pid), "the task goes on");
    Ok(())
}

pub async fn an_interrupted_agent_drains_and_exits_0(region: &Region) -> Result<()> {
    let mut agent = region.ready_client(Options::default()).await?;
    region.submit(&jobs::loop_service("loop", &agent.name)).await?;
    region.running("loop").await?;

    agent.process()?.signal(Signal::INT);

    // Whether the task has ended by then is a race in the real agent, so nothing is said of it here.
    ensure!(agent.process()?.exit_code(LIMIT).await? == 0, "not exit status 0");
    let node = region
        .node_when(&agent.name, "ineligible", LIMIT, |n| n["SchedulingEligibility"] == "ineligible")
        .await?;
    ensure!(node["LastDrain"]["Meta"]["message"] == "shutting down", "{node}");
    Ok(())
}

pub async fn an_agent_that_never_registered_ends_badly_when_interrupted(region: &Region) -> Result<()> {
    region.kill_server();
    let mut agent =
        region.client(Options { intro_token: Some("unused".into()), ..Options::default() }).await?;
    agent.logged("no server", LIMIT, |line| line["@message"] == "error registering").await?;
    // It hears signals from its last word of the start on, which may come later; before that, they kill it.
    let started =
        |line: &Value| line["@message"].as_str().is_some_and(|text| text.contains("agent started!"));
    agent.logged("the start's last word", LIMIT, started).await?;
    let asked = Instant::now();

    agent.process()?.signal(Signal::INT);

    let code = agent.process()?.exit_code(LIMIT).await?;
    // It waits ten seconds for a drain that it cannot ask for; then its own deadline (1) races with a
    // panic of the real agent (2).
    ensure!(matches!(code, 1 | 2), "exit status {code}");
    ensure!(asked.elapsed() > Duration::from_secs(8), "after {:?}", asked.elapsed());
    Ok(())
}

pub async fn a_second_interrupt_ends_the_agent_at_once(region: &Region) -> Result<()> {
    let options = Options { max_kill_timeout: Some("5s"), drain_deadline: Some("20s"), ..Options::default() };
    let mut agent = region.ready_client(options).await?;
    region.submit(&jobs::stubborn_service("stubborn", &agent.name)).await?;
    let alloc = region.running("stubborn").await?;
    let pid: u32 = fs::read_to_string(agent.alloc_dir(&alloc).join("t/pid"))?.trim().parse()?;
    agent.process()?.signal(Signal::INT);
    agent.logged("self-drain", LIMIT, |line| line["@message"] == "monitoring self-drain").await?;

    agent.process()?.signal(Signal::INT);

    ensure!(agent.process()?.exit_code(Duration::from_secs(3)).await? == 1, "not exit status 1");
    ensure!(is_alive(pid), "the task has ended");
    Ok(())
}

pub async fn a_port_in_use_ends_the_agent(region: &Region) -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let options = Options { http_port: Some(taken.local_addr()?.port()), ..Options::default() };
    let mut agent = region.client(options).await?;

    ensure!(agent.process()?.exit_code(LIMIT).await? == 1, "not exit status 1");
    let output = agent.process()?.output();
    ensure!(
        output.contains("Error starting http server") && output.contains("bind: address already in use"),
        "{output}"
    );
    Ok(())
}

pub async fn a_loopback_address_must_be_advertised(region: &Region) -> Result<()> {
    let data = region.path().join("quiet");
    let file = region.path().join("quiet.hcl");
    let text = format!(
        "data_dir = \"{}\"\nbind_addr = \"127.0.0.1\"\nclient {{\n  enabled = true\n  servers = [\"127.0.0.1:{}\"]\n}}\n",
        data.display(),
        region.rpc_port
    );
    fs::write(&file, text)?;

    let output = Command::new(region.binary()).args(["agent", "-config"]).arg(&file).output()?;

    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1), "{:?} {said}", output.status);
    ensure!(
        said.contains("Defaulting advertise to localhost is unsafe, please set advertise manually"),
        "{said}"
    );
    Ok(())
}

pub async fn orphans_look_as_described(region: &Region) -> Result<()> {
    let mut agent = region.ready_client(Options::default()).await?;
    region.submit(&jobs::loop_service("loop", &agent.name)).await?;
    let alloc = region.running("loop").await?;
    let dir = agent.alloc_dir(&alloc);
    let pid: u32 = fs::read_to_string(dir.join("t/pid"))?.trim().parse()?;
    agent.kill();

    let environ = String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/environ"))?).into_owned();
    let id = alloc["ID"].as_str().unwrap_or_default();
    ensure!(environ.contains(&format!("NOMAD_ALLOC_ID={id}")), "{environ}");
    ensure!(fs::read_link(format!("/proc/{pid}/cwd"))? == dir.join("t"), "another working directory");
    let others = crate::process::processes_below(&dir);
    let line = |pid: &u32| {
        String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default())
            .replace('\0', " ")
    };
    let lines: Vec<String> = others.iter().map(line).collect();
    let program = region.binary().display().to_string();
    let executor = lines.iter().find(|line| line.starts_with(&format!("{program} executor {{")));
    let config = executor
        .and_then(|line| line.trim().split_once(" executor "))
        .context(format!("no executor in {lines:?}"))?;
    let config: Value = serde_json::from_str(config.1)?;
    ensure!(config["LogFile"] == dir.join("t/executor.out").display().to_string(), "{config}");
    let logmon =
        others.iter().find(|pid| line(pid).trim() == format!("{program} logmon")).context("no logmon")?;
    let environ = String::from_utf8_lossy(&fs::read(format!("/proc/{logmon}/environ"))?).into_owned();
    ensure!(environ.contains("NOMAD_PLUGIN_MAGIC_COOKIE="), "{environ}");
    Ok(())
}

#[expect(clippy::too_many_lines, reason = "one scene from its beginning to its end")]
pub async fn configuration_is_validated(region: &Region) -> Result<()> {
    let data = region.path().join("validated").display().to_string();
    let client = "client {\n  enabled = true\n}\n";
    let cases = [
        ("good", format!("data_dir = \"{data}\"\n{client}"), 0),
        (
            "quoted key in a block",
            format!(
                "data_dir = \"{data}\"\nclient {{\n  enabled = true\n  meta {{\n    \"a.b\" = \"c\"\n  }}\n}}\n"
            ),
            0,
        ),
        (
            "meta as an object",
            format!(
                "data_dir = \"{data}\"\nclient {{\n  enabled = true\n  meta = {{\n    \"a.b\" = \"c\"\n  }}\n}}\n"
            ),
            0,
        ),
        ("unknown key", format!("data_dir = \"{data}\"\nbogus_key = 1\n{client}"), 1),
        (
            "unknown client key",
            format!("data_dir = \"{data}\"\nclient {{\n  enabled = true\n  bogus_key = 1\n}}\n"),
            1,
        ),
        ("unknown tls key", format!("data_dir = \"{data}\"\n{client}tls {{\n  bogus_key = 1\n}}\n"), 1),
        ("open block", format!("data_dir = \"{data}\"\nclient {{\n"), 1),
        ("empty", String::new(), 1),
        ("no data_dir", client.to_owned(), 1),
        ("relative data_dir", format!("data_dir = \"d\"\n{client}"), 1),
        (
            "pool all",
            format!("data_dir = \"{data}\"\nclient {{\n  enabled = true\n  node_pool = \"all\"\n}}\n"),
            1,
        ),
        (
            "bad drain deadline",
            format!(
                "data_dir = \"{data}\"\nclient {{\n  enabled = true\n  drain_on_shutdown {{\n    deadline = \"x\"\n  }}\n}}\n"
            ),
            0,
        ),
    ];
    for (name, text, code) in cases {
        let file = region.path().join("validated.hcl");
        fs::write(&file, text)?;
        let output = Command::new(region.binary()).args(["config", "validate"]).arg(&file).output()?;
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(code), "{name}: {:?} {said}", output.status);
        ensure!((code == 0) == said.contains("Configuration is valid!"), "{name}: {said}");
    }
    let missing =
        Command::new(region.binary()).args(["config", "validate", "/nonexistent/file.hcl"]).output()?;
    ensure!(missing.status.code() == Some(1), "a missing file is valid");
    Ok(())
}

pub async fn the_version_is_told(region: &Region) -> Result<()> {
    let output = Command::new(region.binary()).arg("version").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(text.lines().next().is_some_and(|line| line.starts_with("Nomad v2.0.5")), "{text}");
    let is_double = text.contains("This is a rehearsal double, not Nomad.");
    ensure!(is_double == (region.kind == crate::Kind::Double), "{text}");
    let health = region.request(Method::GET, "/v1/agent/health", "", None).await?;
    ensure!(health.is_double == is_double, "{health:?}");
    Ok(())
}

pub async fn local_endpoints_answer_as_recorded_without_a_token(region: &Region) -> Result<()> {
    let agent = region.ready_client(Options::default()).await?;
    let health = agent.request(Method::GET, "/v1/agent/health", "", None).await?;
    ensure!(health.body == recording("agent_health_ok.json")?, "{health:?}");
    for path in [
        "/v1/metrics",
        "/v1/metrics?format=prometheus",
        "/v1/status/leader",
        "/v1/status/peers",
        "/v1/regions",
    ] {
        let reply = agent.request(Method::GET, path, "", None).await?;
        ensure!(reply.status == 200, "{path}: {reply:?}");
    }
    let pools = agent.request(Method::GET, "/v1/node/pools", "", None).await?;
    ensure!(pools.status == 200 && pools.body == json!([]), "{pools:?}");
    for path in
        ["/v1/agent/self", "/v1/agent/servers", "/v1/client/stats", "/v1/client/metadata", "/v1/nodes"]
    {
        let reply = agent.request(Method::GET, path, "", None).await?;
        ensure!(reply.status == 403 && reply.text == "Permission denied", "{path}: {reply:?}");
    }
    let stats = agent.request(Method::GET, "/v1/client/stats", &region.node_read, None).await?;
    ensure!(stats.status == 200, "{stats:?}");
    has_shape("client stats", &recording("client_stats.json")?, &stats.body)?;
    let nodes = agent.request(Method::GET, "/v1/nodes", &region.node_read, None).await?;
    ensure!(nodes.status == 200 && nodes.body[0]["Name"] == agent.name.as_str(), "{nodes:?}");
    let own = agent.request(Method::GET, "/v1/agent/self", &region.management, None).await?;
    ensure!(own.status == 200 && own.body["config"]["Client"]["IntroToken"].is_string(), "{own:?}");
    has_shape("agent self", &recording("agent_self.json")?, &own.body)
}

pub async fn local_metrics_tell_the_node_status(region: &Region) -> Result<()> {
    let agent = region.ready_client(Options::default()).await?;
    region.submit(&jobs::loop_service("loop", &agent.name)).await?;
    let alloc = region.running("loop").await?;
    let recorded = recording("metrics_excerpt.json")?;
    let metrics = wait_for("metrics of the running task", LIMIT, || async {
        let metrics = agent.request(Method::GET, "/v1/metrics", "", None).await?.body;
        let of_task = gauges(&metrics, "nomad.client.allocs.cpu.total_percent");
        let ready = gauges(&metrics, "nomad.client.allocations.running");
        let known =
            of_task.iter().any(|g| g["Labels"]["alloc_id"] == alloc["ID"] && g["Labels"]["task"] == "t");
        let up =
            ready.iter().any(|g| g["Labels"]["node_status"] == "ready" && g["Value"].as_f64() == Some(1.0));
        Ok((known && up).then_some(metrics))
    })
    .await?;
    for gauge in recorded["Gauges"].as_array().into_iter().flatten() {
        let name = gauge["Name"].as_str().unwrap_or_default();
        let found = gauges(&metrics, name);
        let keys = |labels: &Value| {
            labels.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>()).unwrap_or_default()
        };
        let labels = keys(&gauge["Labels"]);
        ensure!(
            found
                .iter()
                .any(|g| labels.iter().all(|key| keys(&g["Labels"]).contains(key)) && g["Value"].is_number()),
            "{name} with the labels {labels:?}: {found:?}"
        );
    }
    let cert = gauges(&metrics, "nomad.agent.tls.cert.expiration_seconds");
    ensure!(cert[0]["Value"].as_f64().is_some_and(|left| left > 0.0), "{cert:?}");
    Ok(())
}

pub async fn a_normal_start_is_logged_as_recorded(region: &Region) -> Result<()> {
    let mut agent = region.ready_client(Options::default()).await?;
    region.submit(&jobs::short_batch("once", &agent.name)).await?;
    region.alloc_when("once", "complete", LIMIT, |a| a["ClientStatus"] == "complete").await?;
    agent.process()?.signal(Signal::HUP);
    agent.logged("reload", LIMIT, |line| line["@message"] == "Reloading configuration...").await?;
    agent.process()?.signal(Signal::TERM);
    agent.process()?.exit_code(LIMIT).await?;

    let log = agent.log();
    for line in recorded_lines("normal_start")? {
        // Which plugins a build carries is not part of the contract.
        if line["@message"] == "detected plugin" && line["name"] != "raw_exec" {
            continue;
        }
        let text = line["@message"].as_str().unwrap_or_default();
        let same = |found: &&Value| {
            let said = found["@message"].as_str().unwrap_or_default();
            let message = said == text
                || (text.starts_with("Loaded configuration from")
                    && said.starts_with("Loaded configuration from"));
            message
                && found["@module"] == line["@module"]
                && found["@level"] == line["@level"]
                && found["type"] == line["type"]
        };
        let found =
            log.iter().find(same).with_context(|| format!("no line like {line} in\n{}", agent.tail()))?;
        has_shape(text, &line, found)?;
    }
    ensure!(
        fs::read_to_string(agent.dir.join("client.log"))?.contains("node registration complete"),
        "not in the log file"
    );
    Ok(())
}

pub(super) fn recorded_lines(case: &str) -> Result<Vec<Value>> {
    let lines = recording_text("agent_log_lines.ndjson")?;
    let parsed: Vec<Value> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    Ok(parsed.into_iter().filter(|line| line["case"] == case).map(|line| line["line"].clone()).collect())
}

fn gauges(metrics: &Value, name: &str) -> Vec<Value> {
    metrics["Gauges"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|gauge| gauge["Name"] == name)
        .cloned()
        .collect()
}
