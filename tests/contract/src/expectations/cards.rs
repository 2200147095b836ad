//! Cards: from the plugin over the scheduler to a task.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{LIMIT, work::wait_for_blocked};
use crate::{
    ClientAgent, Options, Region, jobs,
    process::{processes_below, wait_for},
    region::cards::{Cards, FIRST, SECOND},
};

const MODEL: &str = "NVIDIA GeForce RTX 4090";

pub async fn a_node_tells_its_cards_as_the_plugin_does(region: &Region) -> Result<()> {
    let cards = Cards::play(region.path().join("cards"), &json!([{}, {"instances": []}]))?;
    let agent = region.ready_client(with(&cards)).await?;

    let node = devices(region, &agent, &[(FIRST, true), (SECOND, false)]).await?;
    let [group] = &node["NodeResources"]["Devices"].as_array().context("no devices")?[..] else {
        anyhow::bail!("not one group: {}", node["NodeResources"]["Devices"])
    };
    ensure!(group["Vendor"] == "nvidia" && group["Type"] == "gpu" && group["Name"] == MODEL, "{group}");
    let memory = &group["Attributes"]["memory"];
    ensure!(memory["Int"] == 24_564 && memory["Unit"] == "MiB", "{group}");
    ensure!(group["Attributes"]["driver_version"]["String"] == "571.24-double", "{group}");
    let told = group["Instances"].as_array().into_iter().flatten().find(|card| card["ID"] == SECOND);
    let told = told.context("the second is not told")?;
    ensure!(told["HealthDescription"] == "it is cut into instances", "{told}");
    ensure!(told["Locality"]["PciBusID"] == "00000000:02:00.0", "{told}");
    Ok(())
}

pub async fn a_job_gets_the_card_that_was_chosen_for_it_and_no_other(region: &Region) -> Result<()> {
    let cards = Cards::play(region.path().join("cards"), &json!([{}, {}]))?;
    let agent = region.ready_client(with(&cards)).await?;
    devices(region, &agent, &[(FIRST, true), (SECOND, true)]).await?;

    for job in ["a", "b"] {
        region.submit(&asking(job, &agent, 1)).await?;
    }
    let [a, b] = [card_of(region, &agent, "a").await?, card_of(region, &agent, "b").await?];
    ensure!(BTreeSet::from([a.as_str(), &b]) == [FIRST, SECOND].into(), "{a} and {b}");

    region.submit(&asking("c", &agent, 1)).await?;
    wait_for_blocked(region, "c").await?;
    ensure!(region.get("/v1/job/c/allocations").await? == json!([]), "two jobs share a card");
    region.submit(&jobs::shell("none", "service", &agent.name, SCRIPT)).await?;
    ensure!(printed(region, &agent, "none").await?.is_empty(), "a job got a card that it did not ask for");

    region.request(reqwest::Method::DELETE, "/v1/job/a", &region.management, None).await?;
    ensure!(card_of(region, &agent, "c").await? == a, "what is given back is given on");
    Ok(())
}

pub async fn a_job_that_asks_for_several_cards_gets_as_many_or_waits(region: &Region) -> Result<()> {
    let cards =
        Cards::play(region.path().join("cards"), &json!([{}, {}, {"name": "NVIDIA GeForce GTX 1050"}]))?;
    let agent = region.ready_client(with(&cards)).await?;
    let third = "GPU-00000000-0000-4000-8000-000000000002";
    devices(region, &agent, &[(FIRST, true), (SECOND, true), (third, true)]).await?;

    region.submit(&asking("three", &agent, 3)).await?;
    wait_for_blocked(region, "three").await?;
    region.submit(&asking("two", &agent, 2)).await?;
    let both = card_of(region, &agent, "two").await?;
    ensure!(both.split(',').collect::<BTreeSet<_>>() == [FIRST, SECOND].into(), "{both}");
    let mut named = asking("named", &agent, 1);
    named["TaskGroups"][0]["Tasks"][0]["Resources"]["Devices"][0]["Name"] =
        json!(format!("nvidia/gpu/{MODEL}"));
    region.submit(&named).await?;
    wait_for_blocked(region, "named").await?;
    region.submit(&asking("one", &agent, 1)).await?;
    ensure!(card_of(region, &agent, "one").await? == third, "it was free");
    Ok(())
}

pub async fn a_jobs_own_word_does_not_outrank_the_card_that_it_was_given(region: &Region) -> Result<()> {
    let cards = Cards::play(region.path().join("cards"), &json!([{}, {}]))?;
    let agent = region.ready_client(with(&cards)).await?;
    devices(region, &agent, &[(FIRST, true), (SECOND, true)]).await?;

    let mut greedy = asking("greedy", &agent, 1);
    greedy["TaskGroups"][0]["Tasks"][0]["Env"] = json!({ "NVIDIA_VISIBLE_DEVICES": "all" });
    region.submit(&greedy).await?;

    let given = card_of(region, &agent, "greedy").await?;
    ensure!([FIRST, SECOND].contains(&given.as_str()), "{given}");
    Ok(())
}

pub async fn a_card_that_fails_is_given_to_nobody_until_it_is_back(region: &Region) -> Result<()> {
    let cards = Cards::play(region.path().join("cards"), &json!([{}, {}]))?;
    let agent = region.ready_client(with(&cards)).await?;
    devices(region, &agent, &[(FIRST, true), (SECOND, true)]).await?;

    cards.now(&json!([{"lost": true}, {}]))?;
    devices(region, &agent, &[(FIRST, false), (SECOND, true)]).await?;
    for job in ["a", "b"] {
        region.submit(&asking(job, &agent, 1)).await?;
    }
    wait_for("one job that waits", LIMIT, || async {
        let placed = [region.get("/v1/job/a/allocations").await?, region.get("/v1/job/b/allocations").await?];
        Ok((placed.iter().filter(|allocations| **allocations == json!([])).count() == 1).then_some(()))
    })
    .await?;
    let placed =
        if region.get("/v1/job/a/allocations").await? == json!([]) { ["b", "a"] } else { ["a", "b"] };
    ensure!(card_of(region, &agent, placed[0]).await? == SECOND, "a lost card was given");
    wait_for_blocked(region, placed[1]).await?;

    cards.now(&json!([{}, {}]))?;
    ensure!(card_of(region, &agent, placed[1]).await? == FIRST, "it is back");
    Ok(())
}

pub async fn a_card_that_is_not_lent_is_never_given(region: &Region) -> Result<()> {
    let cards = Cards::play(region.path().join("cards"), &json!([{}, {}]))?.lending(&[SECOND]);
    let agent = region.ready_client(with(&cards)).await?;
    devices(region, &agent, &[(SECOND, true)]).await?;

    region.submit(&asking("a", &agent, 1)).await?;
    ensure!(card_of(region, &agent, "a").await? == SECOND, "the owner's own card was given");
    region.submit(&asking("b", &agent, 1)).await?;
    wait_for_blocked(region, "b").await
}

pub async fn an_agent_that_is_told_of_no_lent_card_has_none(region: &Region) -> Result<()> {
    let cards = Cards::play(region.path().join("cards"), &json!([{}]))?.lending(&[]);
    let agent = region.ready_client(with(&cards)).await?;

    region.submit(&asking("a", &agent, 1)).await?;
    wait_for_blocked(region, "a").await?;
    ensure!(
        region.ready(&agent.name).await?["NodeResources"]["Devices"].as_array().is_none_or(Vec::is_empty)
    );
    Ok(())
}

pub async fn the_plugin_ends_with_its_agent(region: &Region) -> Result<()> {
    let cards = Cards::play(region.path().join("cards"), &json!([{}]))?;
    let mut agent = region.ready_client(with(&cards)).await?;
    devices(region, &agent, &[(FIRST, true)]).await?;
    ensure!(plugins(region).len() == 1, "{:?}", plugins(region));

    agent.kill();
    wait_for("the plugin's end", LIMIT, || async { Ok(plugins(region).is_empty().then_some(())) }).await
}

/// Says which cards it may see, if it was told.
const SCRIPT: &str = "echo \"cards $NVIDIA_VISIBLE_DEVICES\"; while true; do sleep 0.1; done";

fn with(cards: &Cards) -> Options {
    Options { cards: Some(cards.clone()), ..Options::default() }
}

fn asking(id: &str, agent: &ClientAgent, count: u64) -> Value {
    let mut job = jobs::shell(id, "service", &agent.name, SCRIPT);
    job["TaskGroups"][0]["Tasks"][0]["Resources"]["Devices"] =
        json!([{ "Name": "nvidia/gpu", "Count": count }]);
    job
}

/// The node, once it tells exactly these.
async fn devices(region: &Region, agent: &ClientAgent, expected: &[(&str, bool)]) -> Result<Value> {
    let expected: BTreeSet<_> = expected.iter().copied().collect();
    let tells = |node: &Value| {
        let groups = node["NodeResources"]["Devices"].as_array().into_iter().flatten();
        let cards = groups.flat_map(|group| group["Instances"].as_array().into_iter().flatten());
        let cards = cards.filter_map(|card| Some((card["ID"].as_str()?, card["Healthy"].as_bool()?)));
        cards.collect::<BTreeSet<_>>() == expected
    };
    region.node_when(&agent.name, "with the cards of now", LIMIT, tells).await.with_context(|| agent.tail())
}

/// What the job's allocation was given, by the servers' record and by its task's environment alike.
async fn card_of(region: &Region, agent: &ClientAgent, job: &str) -> Result<String> {
    let told = printed(region, agent, job).await?;
    let listed = region.running(job).await?;
    let id = listed["ID"].as_str().unwrap_or_default();
    let allocation = region.get(&format!("/v1/allocation/{id}")).await?;
    let given = &allocation["AllocatedResources"]["Tasks"]["t"]["Devices"];
    ensure!(
        given[0]["Vendor"] == "nvidia"
            && given[0]["Type"] == "gpu"
            && given.as_array().is_some_and(|given| given.len() == 1),
        "{given}"
    );
    let ids: Vec<&str> =
        given[0]["DeviceIDs"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    ensure!(ids.join(",") == told, "recorded: {given}, told to the task: {told}");
    Ok(told)
}

async fn printed(region: &Region, agent: &ClientAgent, job: &str) -> Result<String> {
    let listed = region.running(job).await.with_context(|| agent.tail())?;
    let file = agent.alloc_dir(&listed).join("alloc/logs/t.stdout.0");
    wait_for("the task's word", LIMIT, || async {
        let text = fs::read_to_string(&file)?;
        Ok(text.lines().find_map(|line| line.strip_prefix("cards ")).map(str::to_owned))
    })
    .await
}

/// The agent starts one for a moment too, to ask what it is.
fn plugins(region: &Region) -> Vec<u32> {
    let is_plugin = |pid: &u32| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.trim_end_matches('\0').ends_with("/ionet-card-plugin")
    };
    processes_below(region.path()).into_iter().filter(is_plugin).collect()
}
