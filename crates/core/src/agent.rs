//! The agent's life, as one type: each variant carries only what is true in it.

use std::collections::BTreeMap;

use crate::fault::RegistrationFault;
use crate::giving_back::GivingBack;
use crate::start::StartId;
use crate::wall::Inside;

/// A node's static tags (Nomad `meta`).
pub type Tags = BTreeMap<String, String>;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Agent {
    /// Nothing of ours runs.
    #[default]
    Away,
    /// An agent ended without a sweep, or a sweep could not clear everything away: work of it may still be there.
    Unswept,
    Starting {
        id: StartId,
        tags: Tags,
        /// What it said of its registration before its start was told: it says it once.
        said: Option<Result<(), RegistrationFault>>,
        inside: Inside,
    },
    Running(Running),
    GivingBack(GivingBack),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    pub id: StartId,
    /// On the monotonic clock.
    pub since_ms: u64,
    /// What it was started with. None for one that an earlier life started, until the cards have been looked at.
    pub tags: Option<Tags>,
    /// It has said once that the servers took its node in.
    pub taken_in: bool,
    /// Why the servers do not take its node in, by its own last word.
    pub registration: Option<RegistrationFault>,
    /// The engine has become another than its configuration was written for.
    pub other_engine: bool,
    /// An earlier life started it, which may have ended between freezing and thawing.
    pub may_be_frozen: bool,
    pub inside: Inside,
}

impl Running {
    pub fn new(id: StartId, since_ms: u64) -> Self {
        Self {
            id,
            since_ms,
            tags: None,
            taken_in: false,
            registration: None,
            other_engine: false,
            may_be_frozen: false,
            inside: Inside::default(),
        }
    }

    /// It says that the servers have taken its node in, or why not.
    pub(crate) fn hear(&mut self, said: Result<(), RegistrationFault>) {
        self.taken_in |= said.is_ok();
        self.registration = said.err();
    }
}

impl Agent {
    /// Whether something of ours runs or may run.
    pub fn may_run(&self) -> bool {
        *self != Self::Away
    }

    /// The start that is under way or runs, unless it is being given back.
    pub fn live(&self) -> Option<StartId> {
        match self {
            Self::Starting { id, .. } => Some(*id),
            Self::Running(running) => Some(running.id),
            Self::Away | Self::Unswept | Self::GivingBack(_) => None,
        }
    }

    /// What is told from within its capsule, while it is live.
    pub fn inside(&self) -> Option<&Inside> {
        match self {
            Self::Starting { inside, .. } => Some(inside),
            Self::Running(running) => Some(&running.inside),
            Self::Away | Self::Unswept | Self::GivingBack(_) => None,
        }
    }

    /// The same, of this start and no other.
    pub(crate) fn inside_of(&mut self, start: StartId) -> Option<&mut Inside> {
        match self {
            Self::Starting { id, inside, .. } if *id == start => Some(inside),
            Self::Running(running) if running.id == start => Some(&mut running.inside),
            Self::Starting { .. } | Self::Running(_) => None,
            Self::Away | Self::Unswept | Self::GivingBack(_) => None,
        }
    }

    pub fn running(&self) -> Option<&Running> {
        match self {
            Self::Running(running) => Some(running),
            Self::Away | Self::Unswept | Self::Starting { .. } | Self::GivingBack(_) => None,
        }
    }

    pub fn giving_back(&self) -> Option<&GivingBack> {
        match self {
            Self::GivingBack(giving) => Some(giving),
            Self::Away | Self::Unswept | Self::Starting { .. } | Self::Running(_) => None,
        }
    }
}
