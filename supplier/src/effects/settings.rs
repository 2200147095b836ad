//! What outlives the process: settings, identity, session, and an agent of an earlier life.

use std::sync::Arc;
use std::time::Duration;

use ionet_core::effect::Settings;
use ionet_core::event::{KeptSession, Loaded};
use ionet_core::fault::SettingsFault;
use ionet_core::{Outcome, Saved};
use tokio::time::timeout;

use super::{Shared, unsaid};
use crate::settings;

/// Writes come one after the other, in the order in which they were asked for.
#[derive(Default)]
pub(super) struct Room(tokio::sync::Mutex<()>);

/// A disk or a keyring that hangs holds up nothing: what it does not say in time counts as not there, and the owner can pause.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// Whatever it was: what is known of this program stays so. Without the word that jobs live in a capsule, nobody would wait for its wall.
pub(super) fn broken_off(deed: &Settings, program: ThisProgram) -> Outcome {
    match deed {
        Settings::Load => Outcome::Loaded(Loaded {
            saved: Err(SettingsFault::Damaged),
            device: None,
            session: KeptSession::None,
            agent: None,
            left_over: None,
            enrolment_token: program.enrolment_token,
            rehearsal: cfg!(feature = "rehearsal"),
            capsule: program.capsule,
        }),
        Settings::Save(_) => Outcome::Saved(Err(SettingsFault::CannotWrite(unsaid()))),
    }
}

/// What no file says.
#[derive(Debug, Clone, Copy)]
pub(super) struct ThisProgram {
    enrolment_token: bool,
    capsule: bool,
}

impl Shared {
    pub(super) fn this_program(&self) -> ThisProgram {
        ThisProgram {
            enrolment_token: self.tools.enrolment_token.is_some(),
            capsule: self.lives_in_a_capsule(),
        }
    }

    pub(super) async fn settings(self: Arc<Self>, deed: Settings) -> Outcome {
        match deed {
            Settings::Load => Outcome::Loaded(self.load().await),
            Settings::Save(saved) => Outcome::Saved(self.save(saved).await),
        }
    }

    async fn load(self: &Arc<Self>) -> Loaded {
        let tools = &self.tools;
        let path = tools.folders.settings();
        // A disk or a keyring that is slow keeps nobody from what runs already.
        let (saved, device, session, (agent, left_over)) = tokio::join!(
            reading(move || settings::load(&path)),
            timeout(READ_WITHIN, tools.cloud.load_device()),
            self.session(),
            self.earlier_life()
        );
        if session == KeptSession::Locked {
            self.wait_for_the_keyring();
        }
        let saved = saved.unwrap_or(Err(SettingsFault::Unreadable));
        let device = device.ok().flatten();
        let program = self.this_program();
        Loaded {
            saved,
            device,
            session,
            agent,
            left_over,
            enrolment_token: program.enrolment_token,
            rehearsal: cfg!(feature = "rehearsal"),
            capsule: program.capsule,
        }
    }

    async fn session(&self) -> KeptSession {
        if !self.tools.sessions {
            return KeptSession::None;
        }
        timeout(READ_WITHIN, self.tools.cloud.session()).await.unwrap_or(KeptSession::Locked)
    }

    async fn save(&self, mut saved: Saved) -> Result<(), SettingsFault> {
        let _turn = self.saving.0.lock().await;
        let path = self.tools.folders.settings();
        let sessions = self.tools.sessions;
        let written = tokio::task::spawn_blocking(move || {
            // Without a desktop nobody is signed in; who is on it stays so.
            if !sessions && let Ok(before) = settings::load(&path) {
                saved.account = before.account;
            }
            settings::save(&path, &saved)
        });
        written.await.unwrap_or_else(|error| Err(SettingsFault::CannotWrite(error.to_string())))
    }
}

/// None where the disk does not answer in time.
async fn reading<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    timeout(READ_WITHIN, tokio::task::spawn_blocking(read)).await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_whose_reading_breaks_off_take_from_nobody_the_wall_that_jobs_wait_for() {
        for program in [true, false].map(|is| ThisProgram { enrolment_token: is, capsule: is }) {
            let Outcome::Loaded(loaded) = broken_off(&Settings::Load, program) else { panic!("not loaded") };

            assert_eq!((loaded.capsule, loaded.enrolment_token), (program.capsule, program.enrolment_token));
            assert!(loaded.saved.is_err(), "nothing runs before its owner says so");
        }
    }
}
