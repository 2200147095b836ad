//! Online is what the region says, not what the agent thinks.

use anyhow::{Context as _, Result, bail, ensure};
use ionet_core::hardware::tags;
use serde_json::Value;

use crate::pc::Pc;
use crate::processes::{self, Process};
use crate::report::AgentKind;
use crate::step::Step;
use crate::wait::until;
use crate::world::World;

#[expect(clippy::too_many_lines, reason = "one scene from its beginning to its end")]
pub(super) async fn walk(world: &mut World) -> Result<String> {
    if world.is_broken(Step::Online) {
        world.stage.stop_region()?;
    }
    let device = world.learnt.device()?.to_owned();
    let node = until("the region says that the node is ready", world.patience, || async {
        let nodes = world.stage.nomad_get("/v1/nodes").await?;
        let mut ours = nodes.as_array().into_iter().flatten().filter(|node| node["Name"] == device.as_str());
        let ready = ours.find(|node| is_online(node)).cloned();
        ready.map(Some).with_context(|| format!("the region lists {nodes}"))
    })
    .await?;
    let id = node["ID"].as_str().context("a node without an id")?.to_owned();
    world.learnt.node = Some(id.clone());
    let said = world.window()?.shows(&["waiting"], world.patience).await?;
    let title = said.lines().find(|line| line.contains("Waiting")).unwrap_or("waiting").trim().to_owned();
    world.window()?.attribute("node-status", "data-status", world.patience, |word| word == "ready").await?;
    if let Some(online) = world.learnt.online.take()
        && let Some(after) = online.await?
    {
        world.learnt.measured.insert("signed_in_to_online", after);
    }
    let shown = world.window()?.field("device-id", world.patience).await?;
    ensure!(shown == device, "the window shows device {shown}");

    let node = world.node().await?;
    ensure!(node["NodePool"] == "gamers" && node["Datacenter"] == "home", "pool {}", node["NodePool"]);
    let hardware = world.pc.snapshot().await?.hardware.context("no hardware")?;
    let wanted = tags(&hardware);
    for (tag, value) in &wanted {
        ensure!(node["Meta"][tag] == value.as_str(), "tag {tag} is {} and not {value}", node["Meta"][tag]);
    }
    let plain = world.pc.folders().agent_configuration().join("agent.hcl");
    let plan = std::fs::read_to_string(world.pc.of_agent("/run/agent/agent.hcl", plain)?)?;
    let (wanted_driver, other) =
        if world.options.engine { ("docker", "raw_exec") } else { ("raw_exec", "docker") };
    ensure!(
        plan.contains(wanted_driver) && !plan.contains(other),
        "the plan allows something else than {wanted_driver}"
    );
    let agent = agent(&world.pc)?;
    clean(&agent)?;
    loopback_alone(&agent)?;
    marked(world).await?;
    Ok(format!(
        "window shows “{title}” and device {device}; the region says node {} is ready and eligible in pool gamers with \
         {} tags; the agent is process {} under the guard, in a clean environment, without its introduction token, listening on loopback alone",
        &id[..8.min(id.len())],
        wanted.len(),
        agent.pid
    ))
}

pub(super) fn is_online(node: &Value) -> bool {
    node["Status"] == "ready" && node["SchedulingEligibility"] == "eligible"
}

/// The one agent of this PC, whose parent is the guard.
pub(super) fn agent(pc: &Pc) -> Result<Process> {
    let ours = pc.processes(None);
    let agents: Vec<&Process> = ours.iter().filter(|process| process.command.contains(" agent ")).collect();
    let [agent] = agents.as_slice() else { bail!("agents: {}", processes::listed(&ours)) };
    let guard = |pid: u32| ours.iter().any(|one| one.pid == pid && one.is_guard());
    ensure!(guard(agent.parent), "the agent's parent is not the guard: {}", processes::listed(&ours));
    Ok((*agent).clone())
}

/// Nobody outside this PC can speak to the agent.
fn loopback_alone(agent: &Process) -> Result<()> {
    let heard = processes::listening(agent);
    ensure!(!heard.is_empty(), "the agent listens nowhere");
    ensure!(heard.iter().all(|address| address.ip().is_loopback()), "the agent listens at {heard:?}");
    Ok(())
}

/// A build for rehearsals says so in window and tray, and the gateway does where it works with a double.
async fn marked(world: &World) -> Result<()> {
    const MARK: &str = "Rehearsal";
    let menu = world.desktop.tray.menu().await?;
    ensure!(menu.iter().any(|line| line.label.contains(MARK)), "the tray says {menu:?}");
    world.window()?.says(MARK, world.patience).await?;
    let health = world.stage.gateway_health().await?;
    let by_double = world.agent().kind == AgentKind::Double;
    ensure!(health.contains("rehearsal") == by_double, "the gateway says {health:?}");
    Ok(())
}

/// Neither the owner's surroundings nor a token get in.
fn clean(agent: &Process) -> Result<()> {
    const OF_THE_DESKTOP: [&str; 5] =
        ["DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "XAUTHORITY", "AWS_CA_BUNDLE", "NOMAD_CLIENT_INTRO_TOKEN"];
    for (name, value) in agent.environment() {
        ensure!(!OF_THE_DESKTOP.contains(&name.as_str()), "{name} reached the agent");
        ensure!(!value.contains("eyJ"), "a token stands in the agent's {name}");
    }
    ensure!(!agent.command.contains("eyJ"), "a token stands on the agent's command line");
    Ok(())
}
