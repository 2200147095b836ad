//! What the core wants done, by room. Each effect comes back as exactly one [`crate::event::Outcome`], unless its line says
//! otherwise.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{Link, SignInId, SignInMethod};
use crate::share::Share;
use crate::start::StartId;
use crate::target::Saved;

#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    Settings(Settings),
    Account(Account),
    Identity(Identity),
    Agent(Agent),
    Work(Work),
    Region(Region),
    Logs(Logs),
    Desktop(Desktop),
    /// The program ends. No outcome.
    Exit,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Settings {
    /// Read settings, identity and session, and look for an agent of an earlier life.
    Load,
    Save(Saved),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// Ends as `SignedIn`, also when cancelled. A `DeviceCode` signal may come first. One that is under way is cancelled.
    SignIn { id: SignInId, method: SignInMethod },
    /// No outcome of its own: the sign-in under way ends as cancelled.
    CancelSignIn,
    /// Revoke the tokens and forget them.
    SignOut,
    /// This PC was reported lost: forget the session on it. No outcome.
    Forget,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    Enrol,
    Renew,
    /// Leave the account whose device this is, and set its key and certificate aside. What was earned stays that account's.
    Leave,
}

/// Everything here carries the start that it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub enum Agent {
    /// Start the agent under the guard; the guard reports an unexpected end as a signal.
    Start { id: StartId, tags: BTreeMap<String, String>, share: Share },
    /// Stop every process and container of every job where it stands, and keep stopped what starts meanwhile.
    Freeze { id: StartId },
    /// The settings are not read yet, and the owner wants the PC back: stop what an earlier life may have left running. No outcome:
    /// what is asked then is carried out once it is known what there is.
    FreezeEarlier,
    /// Let frozen work run again, at the lowest priority.
    Thaw { id: StartId },
    /// End a start that is under way, stop the agent, and leave no process, container or mount of ours. Work gets
    /// `patience_ms` to leave by itself. The next start introduces itself anew.
    Stop { id: StartId, patience_ms: u64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Look at the cards and at all that a job needs of this PC.
    Look,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Region {
    /// Start the long poll on the gateway. No outcome: it speaks in signals.
    Watch,
    SetWanted {
        seq: u64,
        wanted: Wanted,
    },
    /// Have the gateway stop this node's allocations; done when none is pending or running, or the time is over.
    StopAllocations {
        id: StartId,
        within_ms: u64,
    },
}

/// What this PC wants of its node. The gateway keeps the one with the highest sequence number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// New work may come.
    pub eligible: bool,
    /// UUIDs of the GPUs that the owner needs now.
    pub holds: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logs {
    /// Close and ship what can be shipped in this time.
    Flush { within_ms: u64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Desktop {
    /// No outcome.
    OpenWindow,
    /// No outcome.
    OpenLink(Link),
}

macro_rules! rooms {
    ($($room:ident),+) => {
        $(impl From<$room> for Effect {
            fn from(deed: $room) -> Self {
                Self::$room(deed)
            }
        })+
    };
}

rooms!(Settings, Account, Identity, Agent, Work, Region, Logs, Desktop);
