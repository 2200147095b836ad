//! What the command line can ask. Everything goes over the wire to the resident program.

pub mod earnings;
pub mod open;
pub mod say;
pub mod settings;
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
    /// It was taken, and before it was done somebody wanted something else.
    Undone(Box<Snapshot>),
}

/// A deed as the command line asks for it.
pub struct Deed {
    intent: Intent,
    possible: fn(&Snapshot) -> bool,
    target: Target,
    /// What is wanted has come.
    done: fn(&Snapshot) -> bool,
}

impl Deed {
    /// Done when nothing is on its way down any more. A pause that lasts may get another end.
    pub const PAUSE: Self = Self {
        intent: Intent::Pause { until: PauseEnd::Resumed },
        possible: |now| {
            let paused = matches!(now.target, Target::Paused { .. });
            now.can.contains(&Verb::Pause) || paused && now.can.contains(&Verb::Quit)
        },
        target: Target::Paused { until: PauseEnd::Resumed },
        done: |now| now.giving_back.is_none() && now.phase != Phase::Loading,
    };

    pub const RESUME: Self = Self {
        intent: Intent::Resume,
        possible: |now| now.can.contains(&Verb::Resume),
        target: Target::Earning,
        done: |_| true,
    };

    /// None while it is on its way. Before the settings are read nothing is known. `taken`: it has been seen to be wanted.
    fn told(&self, now: Snapshot, taken: &mut bool) -> Option<Told> {
        if now.target == self.target {
            *taken |= now.phase != Phase::Loading;
            return (self.done)(&now).then(|| Told::Taken(Box::new(now)));
        }
        if *taken {
            return Some(Told::Undone(Box::new(now)));
        }
        let possible = now.phase == Phase::Loading || (self.possible)(&now);
        (!possible).then(|| Told::NotPossible(Box::new(now)))
    }
}

/// Sends one intent and waits until the snapshot shows that it is done, or that it is not possible.
pub async fn ask(folders: &Folders, deed: Deed) -> Result<Told, WireError> {
    let mut client = Client::connect(&folders.meeting(), Kind::Command).await?;
    client.send(deed.intent.clone()).await?;
    let mut taken = false;
    loop {
        if let Some(told) = deed.told(client.next().await?, &mut taken) {
            return Ok(told);
        }
    }
}

#[cfg(test)]
mod tests {
    use ionet_core::giving_back::Step;
    use ionet_core::{State, UnixMs, view};

    use super::*;

    fn now(phase: Phase, target: Target, can: &[Verb]) -> Snapshot {
        Snapshot { phase, target, can: can.iter().copied().collect(), ..view(&State::default()) }
    }

    #[test]
    fn what_is_not_possible_is_told_from_what_is_on_its_way() {
        let until = PauseEnd::At { at: UnixMs(1) };
        let welcome = now(Phase::Welcome, Target::Earning, &[Verb::SignIn, Verb::Quit]);
        let for_an_hour = now(Phase::Paused { until }, Target::Paused { until }, &[Verb::Resume, Verb::Quit]);
        let online = now(Phase::Waiting, Target::Earning, &[Verb::Pause, Verb::Quit]);
        let quitting = now(Phase::Quitting, Target::Earning, &[]);

        let told = |deed: Deed, now: &Snapshot| deed.told(now.clone(), &mut false);
        assert!(matches!(told(Deed::PAUSE, &welcome), Some(Told::NotPossible(_))));
        assert!(matches!(told(Deed::PAUSE, &quitting), Some(Told::NotPossible(_))));
        assert!(told(Deed::PAUSE, &for_an_hour).is_none(), "it gets another end");
        assert!(told(Deed::PAUSE, &online).is_none() && told(Deed::RESUME, &for_an_hour).is_none());
        assert!(matches!(told(Deed::RESUME, &online), Some(Told::Taken(_))));
    }

    #[test]
    fn a_pause_that_somebody_undoes_before_it_is_done_is_not_waited_for() {
        let until = PauseEnd::Resumed;
        let online = now(Phase::Waiting, Target::Earning, &[Verb::Pause, Verb::Quit]);
        let pausing = Snapshot {
            giving_back: Some(Step::Freezing),
            ..now(Phase::Pausing, Target::Paused { until }, &[Verb::Resume, Verb::Quit])
        };
        let resumed = Snapshot { target: Target::Earning, ..pausing.clone() };
        let mut taken = false;

        assert!(Deed::PAUSE.told(online, &mut taken).is_none());
        assert!(Deed::PAUSE.told(pausing, &mut taken).is_none());
        assert!(matches!(Deed::PAUSE.told(resumed, &mut taken), Some(Told::Undone(_))));
    }
}
