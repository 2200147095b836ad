//! What a job demands of the card that it runs on, by the scheduler's own record of its placement.
//!
//! Where a node's cards are the scheduler's to give, a job has those that it was given, and no other way to one. Else the
//! demands are read: a constraint is a demand for a card if a node without one could not meet it, however it is spelt: the check is done
//! as Nomad's scheduler does it, on the node's tags with and without a card. A job that says nothing to the scheduler may
//! still take the card by what it asks of the container engine: then it gets the node's, of whatever kind.

use std::collections::{BTreeMap, HashSet};

use regex::RegexBuilder;
use serde::Deserialize;

use self::engine::{Asked, Takes};
use crate::ledger::ClientStatus;

mod engine;

/// A node's tags under `ionet.`.
pub(crate) type Tags = BTreeMap<String, String>;

/// The type of device that a card is to the scheduler.
pub(crate) const CARD_DEVICE: &str = "gpu";
const CARD: &str = "ionet.gpu";
const CARD_COUNT: &str = "ionet.gpu_count";
/// Of a node whose cards the scheduler gives to jobs, by the servers' record of it. No node can say this of itself: its own
/// tags begin otherwise.
pub(crate) const GIVES: &str = "gives.cards";
/// A job's regular expressions are its customer's: so much one may cost to compile, so many are read of one job, and so
/// long may they be together.
const LARGEST_PATTERN: usize = 1 << 18;
const MOST_PATTERNS: usize = 8;
const LONGEST_PATTERNS: usize = 1_024;

/// Which card a job runs on, as far as its price goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Demand {
    /// It asks for none.
    None,
    /// These, by their slugs, one for each card: nobody else has them meanwhile.
    Given(Vec<String>),
    /// This one, by its slug.
    Card(String),
    /// Its node's, by its slug, and by the PC's word alone: nothing that the customer asked for says that it is the one.
    Taken(String),
    /// It asks for one, and the record does not tell which.
    Unclear,
}

/// An allocation with what its job asks for.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AllocationFull {
    client_status: String,
    #[serde(default)]
    task_group: String,
    #[serde(default)]
    job: Option<Job>,
    #[serde(default)]
    allocated_resources: Option<Allocated>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Allocated {
    #[serde(default)]
    tasks: Option<BTreeMap<String, AllocatedTask>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AllocatedTask {
    #[serde(default)]
    devices: Option<Vec<AllocatedDevice>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AllocatedDevice {
    #[serde(rename = "Type", default)]
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(rename = "DeviceIDs", default)]
    ids: Option<Vec<String>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Job {
    #[serde(flatten)]
    wishes: Wishes,
    #[serde(default)]
    task_groups: Option<Vec<TaskGroup>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TaskGroup {
    #[serde(default)]
    name: String,
    #[serde(flatten)]
    wishes: Wishes,
    #[serde(default)]
    tasks: Option<Vec<Task>>,
}

#[derive(Debug, Clone, Deserialize)]
struct Task {
    #[serde(flatten)]
    wishes: Wishes,
    #[serde(flatten)]
    asked: Asked,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Wishes {
    #[serde(default)]
    constraints: Option<Vec<Wish>>,
    #[serde(default)]
    affinities: Option<Vec<Wish>>,
}

#[derive(Debug, Clone, Deserialize)]
struct Wish {
    #[serde(rename = "LTarget", default)]
    left: String,
    #[serde(rename = "RTarget", default)]
    right: String,
    #[serde(rename = "Operand", default)]
    operand: String,
    /// Affinities have one; below zero it is an aversion.
    #[serde(rename = "Weight", default)]
    weight: i64,
}

impl AllocationFull {
    pub(crate) fn is_over(&self) -> bool {
        ClientStatus::from_word(&self.client_status).is_terminal()
    }

    /// Which card it was placed for; `tags` are those of its node when it was placed.
    ///
    /// Cards that the scheduler gave count first, then one that the job names, then the node's where the job's
    /// demands admit it, or where a task takes it from the engine. The last is the PC's own word, within what its customer
    /// accepts.
    pub(crate) fn demand(&self, tags: &Tags) -> Demand {
        let given: Vec<String> = self.given().collect();
        if !given.is_empty() {
            return Demand::Given(given);
        }
        if tags.contains_key(GIVES) {
            return Demand::None;
        }
        if !self.is_short(tags) {
            return Demand::Unclear;
        }
        let without = without_card(tags);
        let demands: Vec<&Wish> = self.demands(&without).collect();
        if let Some(named) = demands.iter().find_map(|wish| wish.named_card()) {
            return Demand::Card(named.to_owned());
        }
        let asked = !demands.is_empty() || self.is_preferred(tags, &without);
        match (asked, self.taken()) {
            (false, Takes::Nothing) => return Demand::None,
            (false, Takes::Untold) => return Demand::Unclear,
            (true, _) | (_, Takes::Card) => {}
        }
        // What cannot be checked here was met when the scheduler checked it.
        let admitted = demands.iter().all(|wish| wish.is_met(tags) != Some(false));
        match tags.get(CARD).filter(|_| admitted) {
            Some(card) if asked => Demand::Card(card.clone()),
            Some(card) => Demand::Taken(card.clone()),
            None => Demand::Unclear,
        }
    }

    /// Whether its regular expressions are few and short enough to be read.
    fn is_short(&self, tags: &Tags) -> bool {
        let wishes = self
            .parts()
            .flat_map(|part| part.constraints.iter().flatten().chain(part.affinities.iter().flatten()));
        let patterns = wishes.filter(|wish| wish.operand == "regexp" && wish.is_about_a_card());
        let lengths =
            patterns.map(|wish| Side::of(&wish.right, tags).and_then(|side| side.0).map_or(0, str::len));
        let (count, length) = lengths.fold((0, 0), |(count, sum), length| (count + 1, sum + length));
        count <= MOST_PATTERNS && length <= LONGEST_PATTERNS
    }

    /// What a node without a card could not meet.
    fn demands(&self, without: &Tags) -> impl Iterator<Item = &Wish> {
        let constraints = self.parts().flat_map(|part| part.constraints.iter().flatten());
        constraints.filter(|wish| wish.is_about_a_card() && wish.is_met(without) == Some(false))
    }

    /// Whether it would rather have a card, and got one.
    fn is_preferred(&self, tags: &Tags, without: &Tags) -> bool {
        let affinities = self.parts().flat_map(|part| part.affinities.iter().flatten());
        affinities
            .filter(|wish| wish.weight > 0 && wish.is_about_a_card())
            .any(|wish| wish.is_met(without) == Some(false) && wish.is_met(tags) == Some(true))
    }

    /// What its tasks take of themselves.
    fn taken(&self) -> Takes {
        let tasks = self.groups().flat_map(|group| group.tasks.iter().flatten());
        tasks.map(|task| task.asked.takes()).max().unwrap_or(Takes::Nothing)
    }

    /// A slug for each card.
    fn given(&self) -> impl Iterator<Item = String> {
        let tasks = self.allocated_resources.iter().flat_map(|allocated| allocated.tasks.iter().flatten());
        let devices = tasks.flat_map(|(_, task)| task.devices.iter().flatten());
        devices.filter(|device| device.kind == CARD_DEVICE).flat_map(|device| {
            // A record that names none of them was made for one all the same.
            let count = device.ids.as_ref().map_or(1, Vec::len).max(1);
            std::iter::repeat_n(slug(&device.name), count)
        })
    }

    /// The wishes of the job, of this allocation's group and of its tasks.
    fn parts(&self) -> impl Iterator<Item = &Wishes> {
        let of_groups = self.groups().flat_map(|group| {
            std::iter::once(&group.wishes).chain(group.tasks.iter().flatten().map(|task| &task.wishes))
        });
        self.job.iter().map(|job| &job.wishes).chain(of_groups)
    }

    /// This allocation's part of the job.
    fn groups(&self) -> impl Iterator<Item = &TaskGroup> {
        let groups = self.job.iter().flat_map(|job| job.task_groups.iter().flatten());
        groups.filter(|group| group.name == self.task_group)
    }
}

impl Wish {
    fn is_about_a_card(&self) -> bool {
        [&self.left, &self.right].into_iter().filter_map(|side| tag(side)).any(is_of_card)
    }

    /// The card that it names, whichever side the name stands on.
    fn named_card(&self) -> Option<&str> {
        let equals = matches!(self.operand.as_str(), "=" | "==" | "is");
        match (tag(&self.left), tag(&self.right)) {
            (Some(CARD), None) if equals => Some(&self.right),
            (None, Some(CARD)) if equals => Some(&self.left),
            _ => None,
        }
    }

    /// As the scheduler checks it (`checkConstraint`); none where only the scheduler can tell.
    fn is_met(&self, tags: &Tags) -> Option<bool> {
        let (left, right) = (Side::of(&self.left, tags)?, Side::of(&self.right, tags)?);
        let both = left.0.zip(right.0);
        let check = |met: &dyn Fn(&str, &str) -> Option<bool>| both.map_or(Some(false), |(l, r)| met(l, r));
        match self.operand.as_str() {
            "=" | "==" | "is" => check(&|l, r| Some(l == r)),
            "!=" | "not" => Some(left.0.unwrap_or_default() != right.0.unwrap_or_default()),
            "<" => check(&|l, r| Some(order(l, r).is_lt())),
            "<=" => check(&|l, r| Some(order(l, r).is_le())),
            ">" => check(&|l, r| Some(order(l, r).is_gt())),
            ">=" => check(&|l, r| Some(order(l, r).is_ge())),
            "distinct_hosts" | "distinct_property" => Some(true),
            "is_set" => Some(left.0.is_some()),
            "is_not_set" => Some(left.0.is_none()),
            "regexp" => check(&|l, r| {
                let pattern = RegexBuilder::new(r).size_limit(LARGEST_PATTERN).build().ok()?;
                Some(pattern.is_match(l))
            }),
            "set_contains" | "set_contains_all" => check(&|l, r| Some(members(r).is_subset(&members(l)))),
            "set_contains_any" => check(&|l, r| Some(!members(r).is_disjoint(&members(l)))),
            // "version", "semver" and what Nomad may learn: nobody meets it without the tag.
            _ => check(&|_, _| None),
        }
    }
}

/// One side of a constraint: a literal, or what a tag holds, if the node has it.
struct Side<'a>(Option<&'a str>);

impl<'a> Side<'a> {
    /// None: it is about something else of the node.
    fn of(text: &'a str, tags: &'a Tags) -> Option<Self> {
        match tag(text) {
            Some(key) => Some(Self(tags.get(key).map(String::as_str))),
            None => (!text.starts_with("${")).then_some(Self(Some(text))),
        }
    }
}

fn tag(text: &str) -> Option<&str> {
    let key = text.strip_prefix("${meta.")?;
    Some(key.strip_suffix('}').unwrap_or(key)).filter(|key| key.starts_with("ionet."))
}

fn is_of_card(key: &str) -> bool {
    key.starts_with(CARD) || matches!(key, "ionet.driver" | "ionet.cuda")
}

/// The same node, had it no card.
fn without_card(tags: &Tags) -> Tags {
    let mut rest: Tags = tags
        .iter()
        .filter(|(key, _)| !is_of_card(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    rest.insert(CARD_COUNT.to_owned(), "0".to_owned());
    rest
}

/// Numbers by value, everything else by its letters.
fn order(left: &str, right: &str) -> std::cmp::Ordering {
    if let (Ok(left), Ok(right)) = (left.parse::<i64>(), right.parse::<i64>()) {
        return left.cmp(&right);
    }
    match (left.parse::<f64>(), right.parse::<f64>()) {
        (Ok(left), Ok(right)) => left.total_cmp(&right),
        _ => left.cmp(right),
    }
}

fn members(set: &str) -> HashSet<&str> {
    set.split(',').map(str::trim).collect()
}

/// A card's name as PCs tag it: lower case, one dash between words.
fn slug(name: &str) -> String {
    let words = name.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests;
