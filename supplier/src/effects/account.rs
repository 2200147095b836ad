//! Who is signed in.

use std::sync::{Arc, Mutex};

use ionet_cloud::{PageWords, SignInHooks};
use ionet_core::effect::Account;
use ionet_core::event::{DeviceCode, KeptSession, SignInId};
use ionet_core::fault::SignInFault;
use ionet_core::{Event, Outcome, Signal};
use tokio_util::sync::CancellationToken;

use super::{Shared, lock, unsaid};

#[derive(Default)]
pub(super) struct Room {
    /// Of the sign-in under way.
    cancel: Mutex<CancellationToken>,
    /// Where the device code is typed in, while one is shown.
    code_page: Mutex<Option<String>>,
}

impl Room {
    pub(super) fn code_page(&self) -> Option<String> {
        lock(&self.code_page).clone()
    }
}

impl Shared {
    pub(super) fn account(self: &Arc<Self>, deed: Account) {
        let shared = self.clone();
        match deed {
            Account::SignIn { id, method } => {
                // Made before the task runs, so that a cancel sent right behind the sign-in finds it.
                let cancel = CancellationToken::new();
                std::mem::replace(&mut *lock(&self.signing_in.cancel), cancel.clone()).cancel();
                let broken_off = Outcome::SignedIn { id, result: Err(SignInFault::Refused(unsaid())) };
                self.run(broken_off, async move {
                    let result = shared.tools.cloud.sign_in(method, shared.hooks(id), cancel).await;
                    Outcome::SignedIn { id, result }
                });
            }
            Account::CancelSignIn => lock(&self.signing_in.cancel).cancel(),
            Account::SignOut => self.run(Outcome::SignedOut, async move {
                shared.tools.cloud.sign_out().await;
                Outcome::SignedOut
            }),
            Account::Forget => drop(tokio::spawn(async move { shared.tools.cloud.sign_out().await })),
        }
    }

    /// Tells of the session once its keyring is unlocked.
    pub(super) fn wait_for_the_keyring(self: &Arc<Self>) {
        let shared = self.clone();
        let runner = self.tools.runners.start("keyring", move || {
            let shared = shared.clone();
            async move {
                loop {
                    shared.tools.cloud.unlocked().await;
                    let kept = shared.tools.cloud.session().await;
                    if kept != KeptSession::Locked {
                        return shared.tell(Signal::Session(kept)).await;
                    }
                }
            }
        });
        runner.for_ever();
    }

    fn hooks(self: &Arc<Self>, id: SignInId) -> SignInHooks {
        let (at_browser, at_code, at_wait) = (self.clone(), self.clone(), self.clone());
        SignInHooks {
            open_browser: Box::new(move |url| {
                let opened = at_browser.open_page(url.to_string());
                Box::pin(async move { opened.await.unwrap_or(false) })
            }),
            device_code: Box::new(move |code| at_code.show_code(id, code)),
            still_waiting: Box::new(move || at_wait.hand_over(Signal::BrowserIsSilent { id })),
            words: self.page_words(),
        }
    }

    fn show_code(self: &Arc<Self>, id: SignInId, code: DeviceCode) {
        *lock(&self.signing_in.code_page) = Some(code.verification_uri.clone());
        self.hand_over(Signal::DeviceCode { id, code });
    }

    /// For callers that cannot wait: the queue may be full for a moment, and what they have to say must not be dropped.
    fn hand_over(self: &Arc<Self>, signal: Signal) {
        let events = self.events.clone();
        tokio::spawn(async move { events.send(Event::Signal(signal)).await });
    }

    fn page_words(&self) -> PageWords {
        let say = |id: &str| self.tools.words.say(id, &[]);
        PageWords {
            done_title: say("callback-done-title"),
            done_text: say("callback-done-body"),
            failed_title: say("callback-failed-title"),
            failed_text: say("callback-failed-body"),
            too_large_title: say("callback-too-large-title"),
            too_large_text: say("callback-too-large-body"),
        }
    }
}
