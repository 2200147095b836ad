use ionet_core::fault::{CloudFault, RegistrationFault};
use ionet_core::region::{Node, NodeStatus, WatchAnswer};
use ionet_core::{Phase, ProblemCode, Signal};

use crate::world::{World, is_freeze, is_stop, job};

#[test]
fn a_denied_agent_is_started_anew_with_a_fresh_introduction_and_not_in_a_circle() {
    let mut world = World::not_taken_in(RegistrationFault::Denied);
    assert_eq!(world.starts(), 2);
    assert!(world.state.agent.running().is_some());
    assert_eq!(world.count(is_freeze), 0);

    world.registration(Err(RegistrationFault::Denied));
    assert_eq!(world.starts(), 2);
    assert_eq!(world.phase(), Phase::Blocked { code: ProblemCode::RegistrationDenied });
    world.pass(1_000);
    assert_eq!(world.starts(), 3);
    world.registration(Ok(()));
    world.node(true);

    assert_eq!(world.phase(), Phase::Waiting);
}

#[test]
fn an_agent_with_a_job_is_not_started_anew() {
    let mut world = World::earning();
    world.running_job();
    let node = Some(Node { id: "n".into(), status: NodeStatus::Down, eligible: true });
    world.signal(Signal::Region(WatchAnswer { node, jobs: vec![job()], ..WatchAnswer::default() }));

    world.registration(Err(RegistrationFault::Denied));

    assert_eq!(world.problems(), [ProblemCode::RegistrationDenied]);
    assert_eq!(world.count(is_stop), 0);
}

#[test]
fn what_the_agent_said_of_its_registration_does_not_outweigh_the_regions_word() {
    let mut world = World::not_taken_in(RegistrationFault::ServersUnreachable);
    assert_eq!(world.problems(), [ProblemCode::ServersUnreachable]);

    world.signal(Signal::RegionFault(CloudFault::NoNetwork));
    assert_eq!(world.problems(), [ProblemCode::NoNetwork], "the cause is said, and not its consequence");
    world.node(true);

    assert_eq!((world.phase(), world.problems()), (Phase::Waiting, vec![]));
    world.registration(Ok(()));
    world.registration(Err(RegistrationFault::ServersUnreachable));
    assert_eq!(world.problems(), [], "a heartbeat that fails once is no problem yet");
}

#[test]
fn the_regions_word_on_an_earlier_life_does_not_hide_that_the_agent_is_denied() {
    let mut world = World::earning();

    world.registration(Err(RegistrationFault::Denied));

    assert_eq!(world.count(is_stop), 1);
}
