//! Cards: a job has those that the scheduler gave its allocation, of those that this PC lends. What a container is told of its cards, who
//! hands them over reads; it is looked at in the engine.

use anyhow::Result;
use serde_json::{Value, json};

use super::gate::{asks, put};
use crate::attack::{Attack, Verdict};
use crate::customer::{ALL_CARDS, ALLOCATION, ANOTHER, Customer, LENT, LOADER, OFFERED, OWNERS_CARD, reason};
use crate::sides::Layer;
use crate::stage::Stage;

const CARDS: &str = "NVIDIA_VISIBLE_DEVICES";

pub(super) fn all() -> Vec<Attack> {
    let all = by_its_environment().into_iter().chain(otherwise());
    all.map(|attack| Attack { layer: Layer::Card, ..attack.alone() }).collect()
}

fn by_its_environment() -> Vec<Attack> {
    // What is asked for, by which runtime, with which words, and by which of them it is known.
    let rows = [
        ("every card, by the environment", "nvidia", "CARDS=all", "CARDS=all"),
        ("the first card, by its number", "nvidia", "CARDS=0", "CARDS=0"),
        ("a card that this PC does not lend", "nvidia", "CARDS=OWNERS", "OWNERS"),
        ("a card that is not lent, beside one that is", "nvidia", "CARDS=LENT,OWNERS", "OWNERS"),
        ("every card, said after none", "nvidia", "CARDS=void CARDS=all", "CARDS=all"),
        ("every card, without its runtime", "runc", "CARDS=all", "CARDS=all"),
        (
            "a screen's abilities of its card",
            "nvidia",
            "CARDS=LENT NVIDIA_DRIVER_CAPABILITIES=display",
            "=display",
        ),
        ("the settings of a card's parts", "nvidia", "NVIDIA_MIG_CONFIG_DEVICES=all", "NVIDIA_MIG"),
        ("ways between cards of many PCs", "nvidia", "NVIDIA_IMEX_CHANNELS=0", "NVIDIA_IMEX"),
        ("devices beside the card", "nvidia", "NVIDIA_GDS=enabled", "NVIDIA_GDS=enabled"),
        ("its own code in what hands the card over", "nvidia", "CARDS=LENT LD_PRELOAD=/own.so", "LD_PRELOAD"),
        (
            "its own libraries in what hands the card over",
            "nvidia",
            "CARDS=LENT LD_LIBRARY_PATH=/own",
            "LD_LIBRARY_PATH",
        ),
    ];
    let spelled =
        |word: &str| word.replace("CARDS", CARDS).replace("OWNERS", OWNERS_CARD).replace("LENT", LENT[0]);
    let row = |(name, runtime, words, known): (&str, &'static str, &str, &str)| {
        let (env, known) = (words.split(' ').map(spelled).collect::<Vec<_>>(), spelled(known));
        asks(name, move |stage| has(stage, OFFERED, runtime, &env, &known))
    };
    rows.into_iter().map(row).collect()
}

fn otherwise() -> Vec<Attack> {
    vec![
        asks("every card, by what its image says", |stage| {
            has(stage, ALL_CARDS, "nvidia", &[], &format!("{CARDS}=all"))
        }),
        asks("its own code in what hands the card over, by what its image says", |stage| {
            has(stage, LOADER, "nvidia", &[format!("{CARDS}={}", LENT[0])], "LD_PRELOAD")
        }),
        asks("every card, by a request to the engine (device_requests)", requested),
        asks("a card that runs another one's work", squatted),
    ]
}

fn of(image: &str, runtime: &str, env: &[String], allocation: &str) -> Value {
    let mut asked = Customer::plain(allocation);
    put(&mut asked, "/Image", json!(image));
    put(&mut asked, "/Env", json!(env));
    put(&mut asked, "/HostConfig/Runtime", json!(runtime));
    asked
}

/// Whether what the container is told has this in it.
fn has(stage: &Stage, image: &str, runtime: &str, env: &[String], known: &str) -> Result<Verdict> {
    let (made, heard) = stage.customer()?.container(&of(image, runtime, env, ALLOCATION).to_string());
    let told = made.map(|made| made["Config"]["Env"].to_string()).unwrap_or_default();
    Ok(Verdict { succeeded: told.contains(known), detail: heard })
}

fn requested(stage: &Stage) -> Result<Verdict> {
    let mut asked = Customer::plain(ALLOCATION);
    let all = json!([{"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]}]);
    put(&mut asked, "/HostConfig/DeviceRequests", all);
    let (made, heard) = stage.customer()?.container(&asked.to_string());
    let succeeded = made.is_some_and(|made| made["HostConfig"]["DeviceRequests"].to_string().contains("gpu"));
    Ok(Verdict { succeeded, detail: heard })
}

/// The scheduler gives a card to one allocation at a time, and the other names it itself.
fn squatted(stage: &Stage) -> Result<Verdict> {
    let customer = stage.customer()?;
    let env = [format!("{CARDS}={}", LENT[0])];
    let begin = |allocation: &str| {
        let id = customer.create(allocation, &of(OFFERED, "nvidia", &env, allocation).to_string())?;
        customer.start(&id)
    };
    let first = begin(ANOTHER);
    let second = begin(ALLOCATION);
    let [ran, runs] = [ANOTHER, ALLOCATION].map(|allocation| {
        let name = format!("work-{allocation}");
        let runs = stage.engine.lives(&name);
        stage.engine.remove(&name);
        runs
    });
    anyhow::ensure!(ran, "the first does not run with its card: {first:?}");
    let detail = second.map_or_else(|error| reason(&error), |_| "both run with one card".to_owned());
    Ok(Verdict { succeeded: runs, detail })
}
