use std::sync::{Arc, Condvar, Mutex};

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio::sync::Notify;

use super::*;
use crate::keyring::Ring;

const ISSUER: &str = "https://id";

/// A keyring that a test plays.
#[derive(Debug, Clone, Default)]
pub(crate) struct Played {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
    /// Told when a hanging call may go on.
    go_on: Arc<Condvar>,
}

#[derive(Debug, Default)]
struct State {
    locked: bool,
    absent: bool,
    hanging: bool,
    /// Its wallets are closed, and it tells of none.
    bare: bool,
    /// What the owner does when they are asked for the password.
    unlocks: bool,
    asked: u32,
    secret: Option<String>,
}

impl Played {
    pub(crate) fn locked() -> Self {
        let played = Self::default();
        played.set_state(|state| {
            state.locked = true;
            state.secret = Some("token-0".into());
        });
        played
    }

    pub(crate) fn unlock(&self) {
        self.set_state(|state| state.locked = false);
    }

    fn set_state(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_one();
        self.go_on.notify_all();
    }

    /// The state, when nothing hangs; the owner has been asked then, where they had to be.
    fn opened<T>(&self, act: impl FnOnce(&mut State) -> T) -> Result<T, KeyringFault> {
        let mut state = self.state.lock().unwrap();
        while state.hanging {
            state = self.go_on.wait(state).unwrap();
        }
        if state.absent {
            return Err(KeyringFault::Absent);
        }
        if state.locked {
            state.asked += 1;
            state.locked = !state.unlocks;
        }
        if state.locked { Err(KeyringFault::Locked) } else { Ok(act(&mut state)) }
    }
}

impl Ring for Played {
    fn lock(&self, _: &str) -> BoxFuture<'static, Lock> {
        let state = self.state.lock().unwrap();
        let lock = match (state.absent, state.locked) {
            (true, _) => Lock::Absent,
            (false, _) if state.bare => Lock::Bare,
            (false, true) => Lock::Locked { entry: state.secret.is_some() },
            (false, false) => Lock::Open,
        };
        if state.hanging { Box::pin(std::future::pending()) } else { Box::pin(async move { lock }) }
    }

    fn changes(&self) -> BoxFuture<'static, BoxStream<'static, ()>> {
        let changed = self.changed.clone();
        let heard = futures_util::stream::unfold(changed, async |changed| {
            changed.notified().await;
            Some(((), changed))
        });
        let heard: BoxStream<'static, ()> = Box::pin(heard);
        Box::pin(async { heard })
    }

    fn get(&self, _: &str) -> Result<Option<String>, KeyringFault> {
        self.opened(|state| state.secret.clone())
    }

    fn set(&self, _: &str, secret: &str) -> Result<(), KeyringFault> {
        self.opened(|state| state.secret = Some(secret.to_owned()))
    }

    fn delete(&self, _: &str) -> Result<(), KeyringFault> {
        self.opened(|state| state.secret = None)
    }
}

pub(crate) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("data/session.json")
    }

    fn without_keyring(&self) -> Vault {
        Vault::new(ISSUER.into(), self.file(), None)
    }

    /// As a program that starts now.
    pub(crate) fn with(&self, keyring: &Played) -> Vault {
        let entry = Entry::new(Arc::new(keyring.clone()), ISSUER.into(), Duration::from_millis(200));
        Vault::new(ISSUER.into(), self.file(), Some(entry))
    }
}

fn token(text: &str) -> Secret<String> {
    Secret::new(text.into())
}

fn in_keyring(text: &str) -> Found {
    Found::Token(token(text), SessionStore::Keyring)
}

fn in_file(text: &str) -> Found {
    Found::Token(token(text), SessionStore::File)
}

#[tokio::test]
async fn without_a_keyring_the_token_lies_in_a_file_and_reads_back() {
    let place = Place::new();
    let vault = place.without_keyring();

    let store = vault.keep(&token("token-1"), None).await.unwrap();

    assert_eq!(store, SessionStore::File);
    assert_eq!(vault.load().await, in_file("token-1"));
}

#[tokio::test]
async fn with_a_keyring_no_token_is_in_any_file() {
    let (place, keyring) = (Place::new(), Played::default());

    let store = place.with(&keyring).keep(&token("token-1"), None).await.unwrap();

    assert_eq!(store, SessionStore::Keyring);
    assert_eq!(place.with(&keyring).load().await, in_keyring("token-1"));
    assert!(!std::fs::read_to_string(place.file()).unwrap().contains("token-1"));
}

#[tokio::test]
async fn a_forgotten_session_is_gone_and_forgetting_twice_is_fine() {
    let (place, keyring) = (Place::new(), Played::default());

    for vault in [place.without_keyring(), place.with(&keyring)] {
        vault.keep(&token("token-1"), None).await.unwrap();
        vault.forget().await;
        vault.forget().await;

        assert_eq!(vault.load().await, Found::Nothing);
        assert!(!place.file().exists());
    }
    assert_eq!(keyring.state.lock().unwrap().secret, None);
}

#[tokio::test]
async fn turns_are_taken_one_after_the_other() {
    let place = Place::new();
    let (first, second) = (place.without_keyring(), place.without_keyring());

    let held = first.turn().await;
    let waiting = tokio::spawn(async move { second.turn().await.is_some() });
    tokio::task::yield_now().await;
    let waits = !waiting.is_finished();
    drop(held);

    assert!(waits && waiting.await.unwrap());
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_that_lies_in_the_turns_place_is_not_written_through() {
    let place = Place::new();
    let theirs = place.folder.path().join("theirs");
    std::fs::write(&theirs, "theirs").unwrap();
    std::fs::create_dir(place.folder.path().join("data")).unwrap();
    std::os::unix::fs::symlink(&theirs, place.file().with_extension("lock")).unwrap();

    let turn = place.without_keyring().turn().await;

    assert!(turn.is_none());
    assert_eq!(std::fs::read_to_string(&theirs).unwrap(), "theirs");
}

#[tokio::test]
async fn another_issuers_or_a_damaged_session_reads_as_none() {
    let place = Place::new();
    place.without_keyring().keep(&token("token-1"), None).await.unwrap();

    let other = Vault::new("https://other".into(), place.file(), None).load().await;
    std::fs::write(place.file(), "{").unwrap();
    let damaged = place.without_keyring().load().await;

    assert_eq!((other, damaged), (Found::Nothing, Found::Nothing));
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_a_typed_failure() {
    let place = Place::new();
    std::fs::write(place.folder.path().join("data"), "a file").unwrap();

    let kept = place.without_keyring().keep(&token("t"), None).await;

    assert!(matches!(kept, Err(VaultFault::File(_))));
}

#[tokio::test]
async fn a_keyring_that_is_locked_at_login_is_no_sign_out_and_asks_nobody() {
    let (place, keyring) = (Place::new(), Played::locked());

    let found = place.with(&keyring).load().await;

    assert_eq!(found, Found::Locked);
    assert_eq!(keyring.state.lock().unwrap().asked, 0);
}

#[tokio::test]
async fn a_locked_keyring_without_our_entry_means_that_nobody_is_signed_in() {
    let (place, keyring) = (Place::new(), Played::locked());
    keyring.set_state(|state| state.secret = None);

    assert_eq!(place.with(&keyring).load().await, Found::Nothing);
}

#[tokio::test]
async fn behind_a_keyring_that_has_no_wallet_open_yet_who_is_known_stays_so_and_nobody_else_is() {
    let (place, keyring) = (Place::new(), Played::default());
    keyring.set_state(|state| state.bare = true);
    let unknown = place.with(&keyring).load().await;
    keyring.set_state(|state| state.bare = false);
    place.with(&keyring).keep(&token("token-1"), None).await.unwrap();

    keyring.set_state(|state| state.bare = true);
    let known = place.with(&keyring).load().await;
    keyring.set_state(|state| state.bare = false);

    assert_eq!((unknown, known), (Found::Nothing, Found::Locked));
    assert!(matches!(place.with(&keyring).load().await, Found::Token(..)));
}

#[tokio::test]
async fn the_unlocking_is_heard_at_once() {
    let (place, keyring) = (Place::new(), Played::locked());
    let vault = place.with(&keyring);
    let waiting = tokio::spawn({
        let vault = vault.clone();
        async move { vault.unlocked().await }
    });

    keyring.set_state(|state| state.locked = false);
    let found = tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap().unwrap();

    assert_eq!(found, in_keyring("token-0"));
    assert_eq!(vault.load().await, in_keyring("token-0"));
}

#[tokio::test]
async fn a_session_that_is_known_to_be_in_the_keyring_is_not_lost_by_one_that_hangs_or_is_not_there_yet() {
    let (place, keyring) = (Place::new(), Played::default());
    place.with(&keyring).keep(&token("token-1"), None).await.unwrap();

    keyring.set_state(|state| state.absent = true);
    let absent = place.with(&keyring).load().await;
    keyring.set_state(|state| (state.absent, state.hanging) = (false, true));
    let hanging = place.with(&keyring).load().await;
    keyring.set_state(|state| state.hanging = false);

    assert_eq!((absent, hanging), (Found::Locked, Found::Locked));
    assert_eq!(place.with(&keyring).load().await, in_keyring("token-1"));
}

#[tokio::test]
async fn a_sign_in_asks_for_the_keyrings_password_and_a_refresh_does_not() {
    let (place, keyring) = (Place::new(), Played::locked());
    let vault = place.with(&keyring);

    let refresh = vault.keep(&token("token-1"), None).await;
    let asked = keyring.state.lock().unwrap().asked;
    keyring.set_state(|state| state.unlocks = true);
    let sign_in = vault.keep(&token("token-1"), Some(Duration::from_secs(10))).await;

    assert!(matches!(refresh, Err(VaultFault::Locked(_))), "{refresh:?}");
    assert_eq!((asked, sign_in.unwrap()), (0, SessionStore::Keyring));
    assert_eq!(vault.load().await, in_keyring("token-1"));
}

#[tokio::test]
async fn a_keyring_that_its_owner_does_not_unlock_puts_no_token_into_a_file() {
    let (place, keyring) = (Place::new(), Played::locked());

    let kept = place.with(&keyring).keep(&token("token-1"), Some(Duration::from_secs(10))).await;

    assert!(matches!(kept, Err(VaultFault::Locked(_))), "{kept:?}");
    assert!(!place.file().exists());
}

#[tokio::test]
async fn a_keyring_that_hangs_holds_nobody_up_and_the_token_goes_into_a_file() {
    let (place, keyring) = (Place::new(), Played::default());
    keyring.set_state(|state| state.hanging = true);
    let vault = place.with(&keyring);

    let store = vault.keep(&token("token-1"), None).await.unwrap();

    assert_eq!(store, SessionStore::File);
    assert_eq!(vault.load().await, in_file("token-1"));
}

#[tokio::test]
async fn what_is_written_too_late_is_taken_out_again() {
    let (place, keyring) = (Place::new(), Played::locked());
    let entry = Entry::new(Arc::new(keyring.clone()), ISSUER.into(), Duration::from_millis(50));
    keyring.set_state(|state| (state.locked, state.hanging) = (false, true));

    let late = entry.set("token-1".into(), None).await;
    let meanwhile = entry.get().await;
    keyring.set_state(|state| state.hanging = false);
    let end = async {
        while keyring.state.lock().unwrap().secret.is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), end).await.unwrap();

    assert_eq!((late, meanwhile), (Err(KeyringFault::Silent), Err(KeyringFault::Silent)));
    assert_eq!(place.with(&keyring).load().await, Found::Nothing);
}

#[tokio::test]
async fn a_sign_out_from_a_locked_keyring_stays_one_when_it_is_unlocked() {
    let (place, keyring) = (Place::new(), Played::locked());
    place.with(&keyring).forget().await;

    let while_locked = place.with(&keyring).load().await;
    keyring.set_state(|state| state.locked = false);
    let later = place.with(&keyring).load().await;

    assert_eq!((while_locked, later), (Found::Nothing, Found::Forgotten(token("token-0"))));
    assert_eq!(place.with(&keyring).load().await, Found::Nothing);
    assert_eq!(keyring.state.lock().unwrap().secret, None);
    assert!(!place.file().exists());
}
