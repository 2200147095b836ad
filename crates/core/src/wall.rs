//! The wall around jobs as the owner is shown it: what a job can see of this PC, what it takes, and what it was refused.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::start::StartId;
use crate::time::{Bytes, UnixMs};

/// Something that a job may have, or that is to be kept from it. `SECURITY.md` names the tests of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "snake_case")]
pub enum Sight {
    Internet,
    /// A disk of the jobs' own.
    Disk,
    /// The cards that this PC lends: see [`Wall::cards`].
    Cards,
    /// This PC's own addresses, loopback among them.
    ThisPc,
    /// Whatever else is in the owner's network.
    HomeNetwork,
    /// What a data centre tells its machines: link-local addresses.
    Metadata,
    /// The port that mail is sent by.
    Mail,
    OtherJobs,
    /// The owner's files.
    Files,
    /// What this PC and its users are called.
    Names,
    /// Whatever else runs on this PC.
    Programs,
}

impl Sight {
    pub const ALL: [Self; 11] = [
        Self::Internet,
        Self::Disk,
        Self::Cards,
        Self::ThisPc,
        Self::HomeNetwork,
        Self::Metadata,
        Self::Mail,
        Self::OtherJobs,
        Self::Files,
        Self::Names,
        Self::Programs,
    ];

    /// A job has this, and needs it. All else is kept from it.
    pub fn is_for_jobs(self) -> bool {
        match self {
            Self::Internet | Self::Disk | Self::Cards => true,
            Self::ThisPc
            | Self::HomeNetwork
            | Self::Metadata
            | Self::Mail
            | Self::OtherJobs
            | Self::Files
            | Self::Names
            | Self::Programs => false,
        }
    }

    /// Its name in sentences.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Internet => "internet",
            Self::Disk => "disk",
            Self::Cards => "cards",
            Self::ThisPc => "this-pc",
            Self::HomeNetwork => "home-network",
            Self::Metadata => "metadata",
            Self::Mail => "mail",
            Self::OtherJobs => "other-jobs",
            Self::Files => "files",
            Self::Names => "names",
            Self::Programs => "programs",
        }
    }
}

/// What came of a try from inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Saw {
    /// It did not get through.
    Kept,
    /// It got through.
    Open,
    /// It could not be tried.
    Unknown,
}

/// What a probe found, in the place of a job, before any job was there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Wall {
    pub at: UnixMs,
    /// What is not in it was not tried.
    pub saw: BTreeMap<Sight, Saw>,
    /// UUIDs of the cards that it saw.
    pub cards: BTreeSet<String>,
}

impl Wall {
    pub fn finding(&self, sight: Sight) -> Finding {
        match self.saw.get(&sight).copied().unwrap_or(Saw::Unknown) {
            Saw::Open if sight.is_for_jobs() => Finding::Open,
            Saw::Open => Finding::Breach,
            Saw::Kept if sight.is_for_jobs() => Finding::CutOff,
            Saw::Kept => Finding::Kept,
            Saw::Unknown => Finding::Untried,
        }
    }

    /// What is to be kept from jobs and is not. What could not be tried is none: nothing was seen of it.
    pub fn breaches(&self) -> impl Iterator<Item = Sight> {
        Sight::ALL.into_iter().filter(|sight| self.finding(*sight) == Finding::Breach)
    }
}

/// What was seen beside what is meant to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Jobs have it, and need it.
    Open,
    /// It is kept from jobs.
    Kept,
    /// It is to be kept from jobs, and was reached.
    Breach,
    /// Jobs need it, and it was not reached.
    CutOff,
    /// It could not be tried.
    Untried,
}

/// The wall as a watcher is shown it: each [`Sight`] once, whatever the probe left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct WallView {
    /// When it was tried.
    pub at: UnixMs,
    pub sights: Vec<SightView>,
    /// UUIDs of the cards that a job could see.
    pub cards: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct SightView {
    pub sight: Sight,
    pub finding: Finding,
}

impl From<&Wall> for WallView {
    fn from(wall: &Wall) -> Self {
        let view = |sight| SightView { sight, finding: wall.finding(sight) };
        Self { at: wall.at, sights: Sight::ALL.map(view).into(), cards: wall.cards.clone() }
    }
}

/// What jobs take of this PC at one moment. Traffic is counted from the capsule's start.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct CapsuleUse {
    pub at: UnixMs,
    pub sent: Bytes,
    pub received: Bytes,
    /// Packets to closed addresses that were turned back.
    #[cfg_attr(feature = "bindings", specta(type = i32))]
    pub refused: u64,
    /// None, and so its size, where jobs' files lie in a folder of this PC's own disk.
    pub disk_used: Option<Bytes>,
    pub disk_size: Option<Bytes>,
    pub memory: Bytes,
}

/// What is told from within the capsule of a start. It goes with its agent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inside {
    pub wall: Option<Wall>,
    pub used: Option<CapsuleUse>,
}

/// What was not run because it asked for more than a job may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Refusals {
    pub count: u32,
    /// Of the newest, the field or the rule, never its value.
    pub what: String,
    /// When the newest was refused.
    pub at: UnixMs,
}

/// The refusals of all starts that this life of the app has seen. What was refused once stays told, with its time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refused {
    of: StartId,
    /// Of starts before that one.
    earlier: u32,
    newest: Option<Refusals>,
}

impl Refused {
    /// A gate counts from its start on, and may say the same twice.
    pub(crate) fn hear(&mut self, id: StartId, refusals: Refusals) {
        if self.of != id {
            self.earlier = self.total();
            self.of = id;
        }
        self.newest = Some(refusals);
    }

    pub fn all(&self) -> Option<Refusals> {
        self.newest.clone().map(|newest| Refusals { count: self.total(), ..newest })
    }

    fn total(&self) -> u32 {
        self.newest.as_ref().map_or(0, |newest| self.earlier.saturating_add(newest.count))
    }
}
