//! An agent's life: what there is of it, what it is on the way to, and what each word makes of that.

use ionet_core::StartId;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Agent {
    /// Nothing runs and nothing is left.
    Absent,
    Wanted(StartId),
    /// With what comes when it is there, if it is not to stay.
    Spawning(StartId, Option<Then>),
    Running(StartId),
    /// It ended by itself. Its tasks may run on, and a new agent would take them over.
    Crashed,
    ToTerminate(StartId, Then),
    Terminating(StartId, Then, u64),
    Killing(StartId, Then, u64),
    ToSweep(Option<StartId>),
    Sweeping(Option<StartId>),
}

/// What follows the agent's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Everything goes; after that a start, if one was asked for meanwhile.
    Sweep(Option<StartId>),
    /// The tasks stay for the next agent.
    Start(StartId),
}

impl Then {
    fn start(self) -> Option<StartId> {
        match self {
            Self::Sweep(start) => start,
            Self::Start(id) => Some(id),
        }
    }

    fn and_start(self, id: StartId) -> Self {
        match self {
            Self::Sweep(_) => Self::Sweep(Some(id)),
            Self::Start(_) => Self::Start(id),
        }
    }

    /// The agent has ended.
    pub(super) fn begins(self) -> Agent {
        match self {
            Self::Sweep(next) => Agent::ToSweep(next),
            Self::Start(id) => Agent::Wanted(id),
        }
    }
}

impl Agent {
    /// The start whose agent is there or about to be, and stays.
    pub(super) fn stays(self) -> Option<StartId> {
        match self {
            Self::Wanted(id) | Self::Spawning(id, None) | Self::Running(id) => Some(id),
            Self::Absent
            | Self::Spawning(_, Some(_))
            | Self::Crashed
            | Self::ToTerminate(..)
            | Self::Terminating(..)
            | Self::Killing(..)
            | Self::ToSweep(_)
            | Self::Sweeping(_) => None,
        }
    }

    /// A start that was asked for and has no agent yet.
    pub(super) fn waiting(self) -> Option<StartId> {
        match self {
            Self::Wanted(id) => Some(id),
            Self::Spawning(_, then) => then.and_then(Then::start),
            Self::ToTerminate(_, then) | Self::Terminating(_, then, _) | Self::Killing(_, then, _) => {
                then.start()
            }
            Self::ToSweep(next) | Self::Sweeping(next) => next,
            Self::Absent | Self::Running(_) | Self::Crashed => None,
        }
    }

    /// All of it is about to go, whatever may start afterwards.
    pub(super) fn is_leaving(self) -> bool {
        match self {
            Self::Spawning(_, then) => matches!(then, Some(Then::Sweep(_))),
            Self::ToTerminate(_, then) | Self::Terminating(_, then, _) | Self::Killing(_, then, _) => {
                matches!(then, Then::Sweep(_))
            }
            Self::ToSweep(_) | Self::Sweeping(_) => true,
            Self::Absent | Self::Wanted(_) | Self::Running(_) | Self::Crashed => false,
        }
    }

    /// A start newer than all before it was asked for.
    pub(super) fn and_start(self, id: StartId) -> Self {
        match self {
            Self::Absent | Self::Crashed | Self::Wanted(_) => Self::Wanted(id),
            Self::Spawning(old, then) => {
                Self::Spawning(old, Some(then.unwrap_or(Then::Start(id)).and_start(id)))
            }
            Self::Running(old) => Self::ToTerminate(old, Then::Start(id)),
            Self::ToTerminate(old, then) => Self::ToTerminate(old, then.and_start(id)),
            Self::Terminating(old, then, since_ms) => Self::Terminating(old, then.and_start(id), since_ms),
            Self::Killing(old, then, since_ms) => Self::Killing(old, then.and_start(id), since_ms),
            Self::ToSweep(_) => Self::ToSweep(Some(id)),
            Self::Sweeping(_) => Self::Sweeping(Some(id)),
        }
    }

    /// All of it is to go, and no start that waited comes any more.
    pub(super) fn leaving(self) -> Self {
        let sweep = Then::Sweep(None);
        match self {
            Self::Absent | Self::Wanted(_) | Self::Crashed | Self::ToSweep(_) => Self::ToSweep(None),
            Self::Spawning(id, _) => Self::Spawning(id, Some(sweep)),
            Self::Running(id) | Self::ToTerminate(id, _) => Self::ToTerminate(id, sweep),
            Self::Terminating(id, _, since_ms) => Self::Terminating(id, sweep, since_ms),
            Self::Killing(id, _, since_ms) => Self::Killing(id, sweep, since_ms),
            Self::Sweeping(_) => Self::Sweeping(None),
        }
    }

    /// Its process ended: whether that was asked for, and what comes now.
    pub(super) fn without_process(self) -> (bool, Self) {
        match self {
            Self::ToTerminate(_, then) | Self::Terminating(_, then, _) | Self::Killing(_, then, _) => {
                (true, then.begins())
            }
            Self::Running(_) => (false, Self::Crashed),
            Self::Absent
            | Self::Wanted(_)
            | Self::Spawning(..)
            | Self::Crashed
            | Self::ToSweep(_)
            | Self::Sweeping(_) => (true, self),
        }
    }
}
