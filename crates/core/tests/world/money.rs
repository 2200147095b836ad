//! The money goes to whom the window shows.

use ionet_core::effect;
use ionet_core::event::{Device, SignInMethod};
use ionet_core::region::WatchAnswer;
use ionet_core::target::AccountName;
use ionet_core::{Event, Intent, Outcome, Phase, ProblemCode, Signal, Verb};

use crate::world::{UNTIL_RESUMED, World, alice, bob, device, loaded, ready};

/// Alice enrolled this PC and signed out; Bob signs in and wants to earn.
fn bob_at_alices_pc() -> World {
    let mut world = World::earning();
    world.intent(Intent::SignOut);
    world.intent(Intent::SignIn { method: SignInMethod::Browser });
    world.signed_in(bob());
    world.log.clear();
    world.intent(Intent::Resume);
    world
}

fn left(world: &World) -> usize {
    world.count(|effect| *effect == effect::Identity::Leave.into())
}

fn enrolled(world: &World) -> usize {
    world.count(|effect| *effect == effect::Identity::Enrol.into())
}

fn carol() -> AccountName {
    AccountName { subject: "c".into(), shown: "carol@example.test".into() }
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

    assert_eq!((left(&world), enrolled(&world)), (1, 1));
    assert_eq!((world.shown().paid, world.starts()), (Some(bob()), 1));
    assert!(!world.shown().can.contains(&Verb::TakeOver));
}

#[test]
fn a_hand_over_that_stops_half_way_leaves_a_pc_that_anybody_may_enrol_and_leaves_nobody_twice() {
    let mut world = bob_at_alices_pc();
    world.hanging = |effect| *effect == effect::Identity::Enrol.into();
    world.intent(Intent::TakeOver);
    let result = Err(ionet_core::fault::CloudFault::Unavailable(None));
    world.send(Event::Outcome(Outcome::Enrolled(result)));
    assert_eq!((left(&world), world.shown().paid), (1, None));

    world.intent(Intent::SignOut);
    world.intent(Intent::SignIn { method: SignInMethod::Browser });
    world.hanging = |_| false;
    world.signed_in(alice());
    world.intent(Intent::Resume);

    assert_eq!((left(&world), enrolled(&world)), (1, 2));
    assert_eq!((world.shown().paid, world.starts()), (Some(alice()), 1));
}

#[test]
fn a_deed_that_was_not_done_is_not_done_for_whoever_signs_in_next() {
    let mut world = bob_at_alices_pc();
    world.gateway_down = true;
    world.intent(Intent::TakeOver);
    world.intent(Intent::SignOut);
    world.gateway_down = false;
    world.log.clear();

    for name in [alice(), carol()] {
        world.intent(Intent::SignIn { method: SignInMethod::Browser });
        world.signed_in(name);
        world.intent(Intent::Resume);
        world.pass(600_000);
        world.intent(Intent::SignOut);
    }

    assert_eq!((left(&world), world.shown().paid), (0, Some(alice())));
}

#[test]
fn a_pc_that_has_left_its_account_becomes_one_of_whoever_signs_in() {
    let mut world = World::earning();
    world.intent(Intent::SignOut);
    world.signal(Signal::RegionFault(ionet_core::fault::CloudFault::DeviceRetired));
    assert_eq!(world.problems(), [ProblemCode::DeviceRetired]);

    world.intent(Intent::SignIn { method: SignInMethod::Browser });
    world.signed_in(bob());
    world.log.clear();
    world.intent(Intent::Resume);

    assert_eq!((world.shown().paid, world.starts()), (Some(bob()), 1));
    assert_eq!(world.problems(), []);
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
