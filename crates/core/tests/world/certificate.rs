use ionet_core::effect;
use ionet_core::event::{Device, Loaded};
use ionet_core::fault::{CloudFault, RegistrationFault};
use ionet_core::{Effect, Phase, ProblemCode, Signal};

use crate::world::{DAY_MS, START, World, device, is_start, loaded, renewed};

fn is_renewal(effect: &Effect) -> bool {
    *effect == effect::Identity::Renew.into()
}

#[test]
fn a_certificate_is_renewed_at_two_thirds_of_its_life_without_the_owner() {
    let mut world = World::earning();

    world.pass(7 * DAY_MS * 2 / 3);

    assert_eq!(world.count(is_renewal), 1);
    assert_eq!(world.state.enrolment.device, Some(renewed()));
}

#[test]
fn a_pc_that_was_off_for_eight_days_renews_before_it_starts_its_agent() {
    let old = Device { expires_at: START.plus(-DAY_MS), renew_at: START.plus(-3 * DAY_MS), ..device() };

    let world = World::new(Loaded { device: Some(old), ..loaded() });

    let position = |wanted: fn(&Effect) -> bool| world.log.iter().position(wanted).unwrap();
    assert!(position(is_renewal) < position(is_start));
}

#[test]
fn a_certificate_that_the_servers_refuse_is_said_and_renewed_at_growing_intervals_until_they_take_it() {
    let mut world = World::not_taken_in(RegistrationFault::CertificateRefused);
    assert_eq!(world.phase(), Phase::Blocked { code: ProblemCode::CertificateRefused });
    assert_eq!(world.count(is_renewal), 1, "a new one is asked for at once, and then not in a circle");

    for _ in 0..60 {
        world.pass(1_000);
    }
    let renewals = world.count(is_renewal);
    assert!((4..=6).contains(&renewals), "{renewals} renewals in a minute");
    world.registration(Ok(()));

    assert_eq!(world.phase(), Phase::Connecting);
}

#[test]
fn a_renewal_that_was_due_by_a_wrong_clock_alone_is_forgotten_with_its_fault() {
    let mut world = World::earning();
    world.gateway_down = true;
    world.pass(9 * DAY_MS);
    assert!(world.problems().contains(&ProblemCode::GatewayDown));

    world.pass(-9 * DAY_MS);

    assert!(world.problems().is_empty());
}

#[test]
fn a_certificate_that_the_gateway_refuses_is_renewed_too() {
    let mut world = World::earning();

    world.signal(Signal::RegionFault(CloudFault::CertificateRefused));
    world.node(true);

    assert_eq!((world.phase(), world.problems()), (Phase::Waiting, vec![]));
    assert_eq!(world.state.enrolment.device, Some(renewed()));
}

#[test]
fn who_asks_too_often_waits_for_as_long_as_the_gateway_says() {
    let mut world = World::earning();
    world.hanging = is_renewal;
    world.pass(7 * DAY_MS * 2 / 3);
    let refused = Err(CloudFault::TooMany { wait_s: 90 });
    world.send(ionet_core::Event::Outcome(ionet_core::Outcome::Renewed(refused)));

    world.pass(89_000);
    assert_eq!(world.count(is_renewal), 1);
    world.pass(1_000);

    assert_eq!(world.count(is_renewal), 2);
}
