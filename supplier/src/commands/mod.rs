//! What the command line can ask. Everything goes over the wire to the resident program.

pub mod earnings;
pub mod open;
pub mod say;
pub mod status;

use ionet_core::target::PauseEnd;
use ionet_core::{Intent, Phase, Snapshot, Target, Verb};
use ionet_wire::WireError;
use ionet_wire::client::Client;
use ionet_wire::message::Kind;
use ionet_wire::paths::Folders;

/// Exit codes of every command. `docs/status.md` lists them.
pub mod exit {
    /// Done; for `status`: online, with or without a job.
    pub const OK: u8 = 0;
    /// It did not work; the reason is on standard error.
    pub const FAILED: u8 = 1;
    /// The app is not running.
    pub const NOT_RUNNING: u8 = 3;
    /// `status`: paused by the owner.
    pub const PAUSED: u8 = 4;
    /// `status`: something needs the owner.
    pub const NEEDS_OWNER: u8 = 5;
    /// `status`: on its way (starting, connecting, pausing, quitting).
    pub const UNDER_WAY: u8 = 6;
}

/// What became of an intent.
pub enum Told {
    Taken(Box<Snapshot>),
    /// It cannot be carried out now, and nothing was changed.
    NotPossible(Box<Snapshot>),
}

/// A deed as the command line asks for it.
pub struct Deed {
    pub intent: Intent,
    /// By this verb the app says whether it is possible now.
    pub verb: Verb,
    /// What the owner wants by it, from the moment at which it is taken.
    pub target: Target,
    /// Whether it is done.
    pub done: fn(&Snapshot) -> bool,
}

/// Sends one intent and waits until the snapshot shows that it is done, or that it is not possible.
pub async fn ask(folders: &Folders, deed: Deed) -> Result<Told, WireError> {
    let mut client = Client::connect(&folders.meeting(), Kind::Command).await?;
    client.send(deed.intent).await?;
    loop {
        let snapshot = Box::new(client.next().await?);
        if (deed.done)(&snapshot) {
            return Ok(Told::Taken(snapshot));
        }
        let possible = snapshot.phase == Phase::Loading || snapshot.can.contains(&deed.verb);
        if !possible && snapshot.target != deed.target {
            return Ok(Told::NotPossible(snapshot));
        }
    }
}

/// Whether a pause until resumed was taken, and nothing is on its way down any more.
pub fn is_paused(snapshot: &Snapshot) -> bool {
    let taken = snapshot.target == Target::Paused { until: PauseEnd::Resumed };
    taken && snapshot.giving_back.is_none() && snapshot.phase != Phase::Loading
}
