use ionet_core::event::{DeviceCode, KeptSession, Loaded, SessionStore, SignInMethod};
use ionet_core::fault::{CloudFault, SignInFault};
use ionet_core::{Event, Intent, Outcome, Phase, ProblemCode, Signal, Verb};

use crate::world::{START, World, alice, device, fresh, loaded};

#[test]
fn a_session_that_ended_can_be_begun_again() {
    let mut world = World::new(loaded());
    world.send(Event::Outcome(Outcome::Enrolled(Err(CloudFault::NotSignedIn))));
    assert_eq!(world.problems(), [ProblemCode::SessionEnded]);

    world.intent(Intent::SignIn { method: SignInMethod::Browser });

    assert_eq!(world.signs_in_by(), Some(SignInMethod::Browser));
}

#[test]
fn behind_a_locked_keyring_the_owner_stays_known_and_is_signed_in_when_it_is_unlocked() {
    let mut world = World::new(Loaded { session: KeptSession::Locked, device: Some(device()), ..loaded() });
    assert_eq!(world.problems(), [ProblemCode::KeyringLocked]);
    assert_eq!(world.state.saved().account, Some(alice()), "the next save forgets nobody");
    assert_eq!(world.starts(), 1, "an enrolled PC earns without a session");

    world.signal(Signal::Session(KeptSession::Found(SessionStore::Keyring)));

    assert!(world.problems().is_empty());
    assert!(world.shown().can.contains(&Verb::SignOut));
}

#[test]
fn a_session_that_the_provider_does_not_take_any_more_ends_wherever_it_is_met_and_the_pc_earns_on() {
    let mut world = World::earning();

    world.signal(Signal::Session(KeptSession::None));

    assert_eq!((world.state.saved().account, world.problems()), (None, vec![ProblemCode::SessionEnded]));
    assert!(world.shown().can.contains(&Verb::SignIn) && world.shown().may_run);
}

#[test]
fn a_late_word_on_an_earlier_session_does_not_break_off_the_next_sign_in() {
    let mut world = World::new(fresh());
    world.intent(Intent::SignIn { method: SignInMethod::Browser });

    world.send(Event::Outcome(Outcome::Enrolled(Err(CloudFault::NotSignedIn))));
    world.signed_in(alice());

    assert_eq!(world.state.account_name(), Some(&alice()));
}

#[test]
fn an_unlocked_keyring_without_a_session_means_signed_out() {
    let mut world = World::new(Loaded { session: KeptSession::Locked, ..loaded() });

    world.signal(Signal::Session(KeptSession::None));

    assert_eq!(world.state.saved().account, None);
}

#[test]
fn a_sign_in_that_nobody_ends_is_said_and_can_be_begun_again() {
    let days = [
        (SignInMethod::Browser, SignInFault::Abandoned, ProblemCode::SignInAbandoned),
        (SignInMethod::DeviceCode, SignInFault::CodeExpired, ProblemCode::CodeExpired),
    ];
    for (method, fault, code) in days {
        let mut world = World::new(fresh());
        world.intent(Intent::SignIn { method });
        let verification_uri = "https://example.test/".to_owned();
        let given = DeviceCode { user_code: "ABCD".into(), verification_uri, expires_at: START };
        world.signal(Signal::DeviceCode { id: world.sign_in(), code: given });

        world.sign_in_ended(Err(fault));

        assert_eq!((world.phase(), world.problems()), (Phase::Blocked { code }, vec![code]));
        assert!(!serde_json::to_string(&world.shown()).unwrap().contains("ABCD"));
        world.intent(Intent::SignIn { method });
        assert_eq!((world.phase(), world.problems()), (Phase::SigningIn, vec![]));
    }
}
