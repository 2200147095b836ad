//! What the command line can ask. Everything goes over the wire to the resident program.

pub mod earnings;
pub mod open;
pub mod say;
pub mod status;

use ionet_core::target::PauseEnd;
use ionet_core::{Intent, Phase, Snapshot, Target};
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

/// Sends one intent and waits until the snapshot shows that it was taken.
pub async fn ask(
    folders: &Folders,
    intent: Intent,
    taken: impl Fn(&Snapshot) -> bool,
) -> Result<Snapshot, WireError> {
    let mut client = Client::connect(&folders.meeting(), Kind::Command).await?;
    client.send(intent).await?;
    loop {
        let snapshot = client.next().await?;
        if taken(&snapshot) {
            return Ok(snapshot);
        }
    }
}

/// Whether a pause until resumed was taken, and nothing is on its way down any more.
pub fn is_paused(snapshot: &Snapshot) -> bool {
    let taken = snapshot.target == Target::Paused { until: PauseEnd::Resumed };
    taken && snapshot.giving_back.is_none() && snapshot.phase != Phase::Loading
}
