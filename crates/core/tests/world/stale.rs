//! Late, lost, doubled and stale words of several starts.

use ionet_core::effect;
use ionet_core::event::EngineSeen;
use ionet_core::fault::{AgentFault, EngineFault, WorkFault};
use ionet_core::{Effect, Event, Intent, Outcome, Phase, ProblemCode, Signal, StartId};

use crate::world::{UNTIL_RESUMED, World, adopted, is_stop};

fn earlier(world: &World) -> StartId {
    world
        .log
        .iter()
        .find_map(
            |effect| {
                if let Effect::Agent(effect::Agent::Start { id, .. }) = effect { Some(*id) } else { None }
            },
        )
        .unwrap()
}

/// Paused and resumed: there has been an earlier start.
fn in_its_second_life() -> World {
    let mut world = World::earning();
    world.intent(UNTIL_RESUMED);
    world.intent(Intent::Resume);
    world.node(true);
    world
}

#[test]
fn an_exit_of_an_earlier_start_does_not_end_the_agent_of_now() {
    let mut world = in_its_second_life();
    let id = earlier(&world);

    world.signal(Signal::AgentExited { id, fault: AgentFault::Crashed { code: Some(1) } });

    assert_eq!((world.phase(), world.problems()), (Phase::Waiting, vec![]));
}

#[test]
fn a_registration_of_an_earlier_start_says_nothing_about_the_agent_of_now() {
    let mut world = World::earning();
    let id = earlier(&world);
    world.intent(UNTIL_RESUMED);
    world.intent(Intent::Resume);

    world.signal(Signal::Registration { id, result: Err(ionet_core::fault::RegistrationFault::Denied) });

    assert_eq!(world.problems(), []);
}

#[test]
fn what_an_agent_says_before_its_start_is_told_is_not_lost() {
    let (mut world, id) = World::starting();
    world.signal(Signal::Region(ionet_core::region::WatchAnswer::default()));

    let refused = ionet_core::fault::RegistrationFault::CertificateRefused;
    world.signal(Signal::Registration { id, result: Err(refused) });
    world.send(Event::Outcome(Outcome::AgentStarted { id, result: Ok(()) }));

    assert_eq!(world.problems(), [ionet_core::ProblemCode::CertificateRefused]);
}

#[test]
fn what_a_slow_agent_says_before_it_comes_up_late_is_not_lost() {
    let (mut world, id) = World::starting();
    world.signal(Signal::Region(ionet_core::region::WatchAnswer::default()));

    let refused = ionet_core::fault::RegistrationFault::CertificateRefused;
    world.signal(Signal::Registration { id, result: Err(refused) });
    world.signal(Signal::AgentUp { id });

    assert_eq!(world.problems(), [ionet_core::ProblemCode::CertificateRefused]);
}

#[test]
fn an_agent_that_ends_before_its_start_is_told_has_not_started() {
    let (mut world, id) = World::starting();
    let fault = AgentFault::Crashed { code: Some(2) };

    world.signal(Signal::AgentExited { id, fault: fault.clone() });
    world.send(Event::Outcome(Outcome::AgentStarted { id, result: Ok(()) }));

    assert_eq!((world.state.agent.running(), &world.state.faults.agent), (None, &Some(fault)));
}

#[test]
fn a_stop_of_an_earlier_pause_does_not_end_the_one_of_now() {
    let mut world = World::earning();
    let id = earlier(&world);
    world.intent(UNTIL_RESUMED);
    world.intent(Intent::Resume);
    world.hanging = is_stop;
    world.intent(UNTIL_RESUMED);

    world.send(Event::Outcome(Outcome::AgentStopped { id, result: Ok(()) }));

    assert!(world.shown().may_run, "{:?}", world.state.agent);
}

#[test]
fn a_slow_start_that_comes_up_late_is_taken_for_the_agent() {
    let (mut world, id) = World::starting();
    world.send(Event::Outcome(Outcome::AgentStarted { id, result: Err(AgentFault::Slow) }));
    assert_eq!(world.problems(), [ProblemCode::AgentSlow]);

    world.signal(Signal::AgentUp { id });

    assert_eq!(world.state.agent.running().map(|running| running.id), Some(id));
    assert_eq!((world.phase(), world.problems()), (Phase::Waiting, vec![]));
}

#[test]
fn a_start_that_comes_up_after_a_pause_is_swept_away() {
    let mut world = World::earning();
    let id = earlier(&world).next();
    world.intent(UNTIL_RESUMED);
    world.log.clear();

    world.signal(Signal::AgentUp { id });

    assert_eq!(world.count(is_stop), 1);
    assert!(!world.shown().may_run);
}

#[test]
fn a_doubled_answer_of_a_step_moves_it_once() {
    let mut world = World::earning();
    world.hanging = is_stop;
    world.intent(UNTIL_RESUMED);
    let id = world.state.agent.giving_back().unwrap().id;

    for _ in 0..3 {
        world.send(Event::Outcome(Outcome::Frozen { id, result: Err(WorkFault::EngineDown) }));
        world.send(Event::Outcome(Outcome::AllocationsStopped { id, result: Ok(()) }));
    }
    assert_eq!(world.count(is_stop), 1);
    world.send(Event::Outcome(Outcome::AgentStopped { id, result: Ok(()) }));

    assert!(!world.shown().may_run);
}

#[test]
fn what_an_engine_or_a_disk_was_to_an_earlier_start_says_nothing_about_the_agent_of_now() {
    let mut world = in_its_second_life();
    let id = earlier(&world);

    let other_labels = EngineSeen { other_labels: true, ..EngineSeen::default() };
    for result in [Err(EngineFault::Silent), Ok(other_labels)] {
        world.signal(Signal::Engine { id, result });
    }
    world.signal(Signal::JobsDisk { id, result: Err(AgentFault::DiskFull) });
    world.signal(Signal::FilesLeft { id, left: 1 });

    assert_eq!((world.phase(), world.problems()), (Phase::Waiting, vec![]));
    assert_eq!(world.starts(), 2, "no other agent is needed");
}

#[test]
fn what_is_noticed_of_an_adopted_agent_is_about_it() {
    let mut world = World::new(adopted());
    world.node(true);

    world.engine(Err(EngineFault::Silent));
    world.jobs_disk(Err(AgentFault::DiskFull));

    assert_eq!(world.problems(), [ProblemCode::EngineDown, ProblemCode::AgentDiskFull]);
}

#[test]
fn files_that_were_left_are_said_of_the_agent_that_runs_and_never_in_place_of_work_that_is_there() {
    let files_left = |world: &mut World| {
        let id = world.state.agent.live().unwrap();
        world.signal(Signal::FilesLeft { id, left: 1 });
        world.problems()
    };
    let mut world = World::earning();
    assert_eq!(files_left(&mut world), [ProblemCode::FilesLeft]);

    let mut frozen = World::new(adopted());
    let result = Err(WorkFault::StillThere { left: 3 });
    frozen.send(Event::Outcome(Outcome::Thawed { id: StartId(7), result }));

    assert_eq!(files_left(&mut frozen), [ProblemCode::WorkStillThere]);
}

#[test]
fn files_of_an_agent_that_is_gone_do_not_hide_the_work_that_its_sweep_left() {
    let mut world = World::earning();
    let id = earlier(&world);
    world.left = Some(WorkFault::StillThere { left: 3 });
    world.intent(UNTIL_RESUMED);

    world.signal(Signal::FilesLeft { id, left: 1 });

    assert_eq!((world.problems(), world.shown().may_run), (vec![ProblemCode::WorkStillThere], true));
}
