//! What the core wants done. Each comes back as exactly one [`crate::event::Outcome`], unless its line says otherwise.

use std::collections::BTreeMap;

use crate::event::{Link, SignInMethod};
use crate::target::Saved;

#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Read settings, identity and session.
    Load,
    Save(Saved),
    /// Ends as `SignedIn`, also when cancelled. A `DeviceCode` signal may come first.
    SignIn(SignInMethod),
    /// No outcome of its own: the sign-in under way ends as cancelled.
    CancelSignIn,
    /// Revoke the tokens and forget them.
    SignOut,
    Enrol,
    Renew,
    Detect,
    /// Start the long poll on the gateway. No outcome: it speaks in signals.
    Watch,
    /// Start the agent under the guard; the guard reports an unexpected end as a signal.
    StartAgent {
        tags: BTreeMap<String, String>,
    },
    SetEligible(bool),
    /// Stop every process and container of every job where it stands.
    Freeze,
    /// Let frozen work run again, at the lowest priority.
    Thaw,
    /// Have the gateway stop this node's allocations; done when none is pending or running.
    StopAllocations,
    /// Stop the agent and leave no process, container or mount of ours.
    StopAgent,
    /// The same for an agent that the servers deny, which also forgets its node identity: its next start counts by its
    /// introduction alone. Comes back as `AgentStopped`.
    Readmit,
    /// Close and ship what can be shipped within a few seconds.
    FlushLogs,
    /// No outcome.
    OpenWindow,
    /// No outcome.
    OpenLink(Link),
    /// The program ends. No outcome.
    Exit,
}
