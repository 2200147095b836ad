//! What an attack is, and how it is known whether it succeeded: by whom it was to reach, not by who made it.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::eyes::Seen;
use crate::sides::{By, Layer};
use crate::stage::Stage;
use crate::world::NET;

pub(crate) struct Attack {
    pub(crate) name: String,
    pub(crate) by: By,
    pub(crate) layer: Layer,
    /// No other layer withstands it: it succeeds where this one is open.
    pub(crate) alone: bool,
    pub(crate) deed: Deed,
}

pub(crate) enum Deed {
    /// A packet that must not arrive.
    Reach { before: String, act: Vec<String>, after: String, aim: Seen, control: Vec<String> },
    /// Words that must not be found.
    Learn { script: String, secret: String },
    /// What the kernel must refuse: how it is asked inside, and how by the owner, whom it is allowed.
    May { act: Vec<String>, control: Vec<String> },
    /// What has to be looked at from more than one side.
    Own(fn(&Stage) -> Result<Verdict>),
    /// What is asked of the engine, and seen in what that says then.
    Asked(Box<Asks>),
}

type Asks = dyn Fn(&Stage) -> Result<Verdict>;

#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) succeeded: bool,
    pub(crate) detail: String,
}

/// What came of a try.
pub(crate) enum Outcome {
    Tried(Verdict),
    /// There is nothing to attack on this PC: its owner could not do that either.
    NothingHere(String),
}

const ARRIVES_WITHIN: Duration = Duration::from_secs(3);
/// The port of a last packet to the internet: when that has arrived, what went before it has, too.
const LAST: u16 = 19_999;

impl Attack {
    pub(crate) fn new(name: &str, by: By, layer: Layer, deed: Deed) -> Self {
        Self { name: name.to_owned(), by, layer, alone: false, deed }
    }

    pub(crate) fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// # Errors
    /// It could not be tried: its control failed, so that nothing could have been seen of it.
    pub(crate) fn try_on(&self, stage: &Stage) -> Result<Outcome> {
        match &self.deed {
            Deed::Reach { before, act, after, aim, control } => {
                stage.eyes.forget();
                let owner = stage.owner(control)?;
                let arrived = stage.eyes.will_see(aim, ARRIVES_WITHIN);
                ensure!(arrived, "the owner themselves does not reach {aim:?}: {owner:?}");
                reach(stage, self.by, (before, act, after), aim).map(Outcome::Tried)
            }
            Deed::Learn { script, secret } => learn(stage, self.by, script, secret),
            Deed::May { act, control } => {
                let owner = stage.owner(control)?;
                if owner.status != 0 {
                    return Ok(Outcome::NothingHere(last_line(&owner.text)));
                }
                let said = stage.act(self.by, act)?;
                Ok(Outcome::Tried(Verdict { succeeded: said.status == 0, detail: last_line(&said.text) }))
            }
            Deed::Own(deed) => deed(stage).map(Outcome::Tried),
            Deed::Asked(deed) => deed(stage).map(Outcome::Tried),
        }
    }
}

fn reach(
    stage: &Stage,
    by: By,
    (before, act, after): (&str, &[String], &str),
    aim: &Seen,
) -> Result<Verdict> {
    if !before.is_empty() {
        let ready = stage.shell(by, before)?;
        ensure!(ready.status == 0, "it cannot be prepared: {ready:?}");
    }
    stage.eyes.forget();
    let said = stage.act(by, act)?;
    if !after.is_empty() {
        let ready = stage.shell(by, after)?;
        ensure!(ready.status == 0, "it cannot be undone: {ready:?}");
    }
    let last =
        Seen { place: crate::world::Place::Net, to: crate::world::address(NET), protocol: 17, port: LAST };
    let sent = stage.act(by, &["udp", NET, &LAST.to_string()].map(str::to_owned))?;
    ensure!(stage.eyes.will_see(&last, ARRIVES_WITHIN), "the attacker's last word does not arrive: {sent:?}");
    Ok(Verdict { succeeded: stage.eyes.saw(aim), detail: last_line(&said.text) })
}

fn learn(stage: &Stage, by: By, script: &str, secret: &str) -> Result<Outcome> {
    let knows = |text: &str| text.to_lowercase().contains(&secret.to_lowercase());
    let owner = stage.owner(&["sh".to_owned(), script.to_owned()])?;
    if !knows(&owner.text) {
        return Ok(Outcome::NothingHere("the owner does not find it either".to_owned()));
    }
    let said = stage.shell(by, script)?;
    let found = said.text.lines().find(|line| knows(line)).map(|line| line.chars().take(160).collect());
    Ok(Outcome::Tried(Verdict {
        succeeded: found.is_some(),
        detail: found.unwrap_or_else(|| last_line(&said.text)),
    }))
}

pub(crate) fn last_line(text: &str) -> String {
    text.lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default()
        .trim()
        .chars()
        .take(160)
        .collect()
}
