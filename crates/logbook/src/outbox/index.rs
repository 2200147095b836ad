//! What lies in the outbox, in mind: the folders are gone through once.

use std::collections::BTreeMap;
use std::path::Path;

use super::JOBS;
use super::pack::{Closed, walk};
use crate::names::number_of;

/// The number tells the age, whatever the clock did; the name tells apart what has one number.
pub(super) type Key = (u64, String);

#[derive(Default)]
pub(super) struct Index {
    /// Packed and unsent, with their sizes.
    pub(super) waiting: BTreeMap<Key, u64>,
    pub(super) shipped: BTreeMap<Key, u64>,
    /// Closed and not packed: the disk did not let it.
    pub(super) raw: Vec<Closed>,
}

/// Whose lines they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    App,
    Agent,
    Jobs,
}

pub(super) fn key(name: String) -> Key {
    (number_of(&name), name)
}

fn owner(name: &str) -> Owner {
    match name.split('/').next() {
        Some("jobs") => Owner::Jobs,
        Some("agent") => Owner::Agent,
        Some(_) | None => Owner::App,
    }
}

/// `jobs/<allocation>`, or the stream itself.
fn party(name: &str) -> &str {
    match name.strip_prefix(JOBS).and_then(|rest| rest.find('/')) {
        Some(end) => &name[..JOBS.len() + end],
        None => name.split('/').next().unwrap_or(name),
    }
}

impl Index {
    pub(super) fn load(waiting: &Path, shipped: &Path) -> Self {
        Self { waiting: parcels(waiting), shipped: parcels(shipped), raw: Vec::new() }
    }

    pub(super) fn bytes(&self) -> u64 {
        let raw: u64 = self.raw.iter().map(|closed| closed.bytes).sum();
        self.waiting.values().chain(self.shipped.values()).sum::<u64>() + raw
    }

    /// Of what is not shipped.
    pub(super) fn bytes_of(&self, whose: Owner) -> u64 {
        let raw = self.raw.iter().filter(|closed| owner(&closed.stream) == whose).map(|closed| closed.bytes);
        raw.sum::<u64>() + self.of(whose).map(|(_, bytes)| bytes).sum::<u64>()
    }

    pub(super) fn count_of(&self, whose: Owner) -> usize {
        self.of(whose).count()
    }

    /// The oldest of whoever takes the most room.
    pub(super) fn take_oldest(&mut self, whose: Owner) -> Option<(String, u64)> {
        let mut parties = BTreeMap::<&str, (u64, u64)>::new();
        for ((_, name), bytes) in self.of(whose) {
            let (sum, count) = parties.entry(party(name)).or_default();
            (*sum, *count) = (*sum + bytes, *count + 1);
        }
        let (largest, _) = parties.into_iter().max_by_key(|(_, sizes)| *sizes)?;
        let key = self.of(whose).find(|((_, name), _)| party(name) == largest)?.0.clone();
        let bytes = self.waiting.remove(&key)?;
        Some((key.1, bytes))
    }

    pub(super) fn take_raw(&mut self, whose: Owner) -> Option<Closed> {
        let place = self.raw.iter().position(|closed| owner(&closed.stream) == whose)?;
        Some(self.raw.remove(place))
    }

    fn of(&self, whose: Owner) -> impl Iterator<Item = (&Key, &u64)> {
        self.waiting.iter().filter(move |((_, name), _)| owner(name) == whose)
    }
}

fn parcels(folder: &Path) -> BTreeMap<Key, u64> {
    let mut found = BTreeMap::new();
    walk(folder, "", &mut |path, stream, name| {
        if name.ends_with(".gz")
            && let Ok(metadata) = path.metadata()
        {
            found.insert(key(format!("{stream}/{name}")), metadata.len());
        }
    });
    found
}
