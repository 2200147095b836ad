//! The money goes to whom the window shows.

use ionet_core::effect;
use ionet_core::event::{Device, SessionStore, SignInMethod, SignedIn};
use ionet_core::region::WatchAnswer;
use ionet_core::{Event, Intent, Outcome, Phase, ProblemCode, Signal, Verb};

use crate::world::{UNTIL_RESUMED, World, alice, bob, device, loaded, ready};

/// Alice enrolled this PC and signed out; Bob signs in and wants to earn.
fn bob_at_alices_pc() -> World {
    let mut world = World::earning();
    world.intent(Intent::SignOut);
    world.intent(Intent::SignIn { method: SignInMethod::Browser });
    let signed_in = SignedIn { name: bob(), store: SessionStore::Keyring };
    world.send(Event::Outcome(Outcome::SignedIn(Ok(signed_in))));
    world.log.clear();
    world.intent(Intent::Resume);
    world
}

#[test]
fn nothing_runs_for_another_account_than_the_one_that_is_shown() {
    let mut world = bob_at_alices_pc();
    world.pass(60_000);

    assert_eq!((world.starts(), world.shown().may_run), (0, false));
    assert_eq!(world.phase(), Phase::Blocked { code: ProblemCode::OtherAccount });
    assert_eq!(world.shown().paid, Some(alice()));
    assert_eq!(world.shown().problems[0].args["paid"], "alice@example.test");
    assert!(world.shown().can.contains(&Verb::TakeOver));
}

#[test]
fn a_pc_is_taken_over_by_a_deed_of_its_own() {
    let mut world = bob_at_alices_pc();

    world.intent(Intent::TakeOver);

    assert_eq!(world.count(|effect| *effect == effect::Identity::TakeOver.into()), 1);
    assert_eq!((world.shown().paid, world.starts()), (Some(bob()), 1));
    assert!(!world.shown().can.contains(&Verb::TakeOver));
}

#[test]
fn what_runs_when_the_gateway_names_another_owner_is_given_back_first() {
    let mut world = World::earning();
    world.running_job();

    let node = Some(ready(true));
    world.signal(Signal::Region(WatchAnswer { node, owner: Some(bob()), ..WatchAnswer::default() }));

    assert!(!world.shown().may_run);
    assert_eq!(world.phase(), Phase::Blocked { code: ProblemCode::OtherAccount });
}

#[test]
fn a_pc_without_a_session_earns_for_its_owner_and_says_who_that_is() {
    let mut world = World::earning();
    world.intent(Intent::SignOut);

    world.intent(Intent::Resume);

    assert_eq!((world.shown().paid, world.shown().may_run), (Some(alice()), true));
}

#[test]
fn a_device_of_before_learns_its_owner_from_the_gateway() {
    let device = Some(Device { owner: None, ..device() });
    let mut world = World::new(ionet_core::event::Loaded { device, ..loaded() });
    assert_eq!(world.shown().paid, None);

    world.signal(Signal::Region(WatchAnswer { owner: Some(alice()), ..WatchAnswer::default() }));

    assert_eq!(world.shown().paid, Some(alice()));
    world.intent(UNTIL_RESUMED);
    assert!(!world.shown().may_run);
}
