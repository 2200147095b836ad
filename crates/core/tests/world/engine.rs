//! What the container engine does to jobs, and what it is.

use ionet_core::event::{EngineSeen, Loaded};
use ionet_core::fault::EngineFault;
use ionet_core::{Intent, Phase, ProblemCode, Signal, StartId};

use crate::card::eligible;
use crate::world::{UNTIL_RESUMED, World, device, is_stop, loaded};

const TEN_MINUTES: i64 = 10 * 60_000;

fn online() -> World {
    let mut world = World::new(Loaded { device: Some(device()), ..loaded() });
    world.node(true);
    world
}

fn out_of_reach() -> Result<(), EngineFault> {
    Err(EngineFault::FoldersOutOfReach("/home/u/agent".to_owned()))
}

fn containers(world: &mut World, result: Result<(), EngineFault>) {
    let id = world.state.agent.live().unwrap();
    world.signal(Signal::Containers { id, result });
}

fn refused() -> World {
    let mut world = online();
    containers(&mut world, out_of_reach());
    assert_eq!(eligible(&world), Some(false));
    assert_eq!(world.phase(), Phase::Blocked { code: ProblemCode::EngineFoldersOutOfReach });
    world
}

#[test]
fn an_engine_that_refuses_jobs_for_what_is_this_pcs_takes_no_new_work_and_is_said() {
    for (fault, code) in [
        (EngineFault::FoldersOutOfReach("/x".to_owned()), ProblemCode::EngineFoldersOutOfReach),
        (EngineFault::ProgramGone("runc".to_owned()), ProblemCode::EngineProgramGone),
        (EngineFault::CardUnreachable("nvml error".to_owned()), ProblemCode::EngineCardUnreachable),
        (EngineFault::NoCard, ProblemCode::EngineNoCard),
    ] {
        let mut world = online();

        containers(&mut world, Err(fault));
        assert_eq!((eligible(&world), world.phase()), (Some(false), Phase::Blocked { code }));
        containers(&mut world, Ok(()));

        assert_eq!((eligible(&world), world.phase()), (Some(true), Phase::Waiting));
    }
}

/// Nobody may be there to say so, and without new work no start can.
#[test]
fn after_a_while_or_when_the_owner_says_so_a_next_job_tries_the_engine_again() {
    let mut world = refused();
    world.pass(TEN_MINUTES / 2);
    assert_eq!(eligible(&world), Some(false));
    world.pass(TEN_MINUTES);
    assert_eq!((eligible(&world), world.phase()), (Some(true), Phase::Waiting));
    containers(&mut world, out_of_reach());
    assert_eq!(eligible(&world), Some(false), "each refusal counts");

    world.intent(Intent::Retry);
    assert_eq!((eligible(&world), world.phase()), (Some(true), Phase::Waiting));
}

#[test]
fn an_engine_that_has_come_back_and_an_agent_that_starts_anew_are_tried_at_once() {
    let mut world = refused();
    world.engine(Err(EngineFault::Absent));
    world.engine(Ok(EngineSeen::default()));
    assert_eq!(eligible(&world), Some(true));

    let mut world = refused();
    world.intent(UNTIL_RESUMED);
    world.intent(Intent::Resume);
    world.node(true);
    assert_eq!((eligible(&world), world.problems()), (Some(true), vec![]));
}

#[test]
fn what_an_engine_did_to_an_earlier_agents_job_stops_nothing() {
    let mut world = online();

    world.signal(Signal::Containers { id: StartId(0), result: out_of_reach() });

    assert_eq!((eligible(&world), world.problems()), (Some(true), vec![]));
}

fn labels_change(world: &mut World) {
    world.engine(Ok(EngineSeen { other_labels: true, ..EngineSeen::default() }));
}

#[test]
fn an_agent_whose_engine_labels_files_otherwise_by_now_is_started_anew_as_soon_as_no_job_runs() {
    let mut world = online();
    world.running_job();
    let before = world.state.agent.live();

    labels_change(&mut world);
    assert_eq!((eligible(&world), world.state.agent.live()), (Some(false), before), "the job goes on");
    world.node(false);

    assert_ne!(world.state.agent.live(), before);
    assert_eq!(world.count(is_stop), 1);
    assert_eq!(eligible(&world), Some(true), "one start is enough");
}

#[test]
fn an_agent_whose_jobs_cannot_begin_for_that_is_started_anew_at_once() {
    let mut world = online();
    world.running_job();
    let before = world.state.agent.live();
    containers(&mut world, out_of_reach());
    assert_eq!(world.state.agent.live(), before, "another agent would find the same");

    labels_change(&mut world);

    assert_ne!(world.state.agent.live(), before);
}

#[test]
fn an_engine_that_labels_files_as_before_again_needs_no_other_agent() {
    let mut world = online();
    world.running_job();
    let before = world.state.agent.live();

    labels_change(&mut world);
    world.engine(Ok(EngineSeen::default()));
    world.node(true);

    assert_eq!((eligible(&world), world.state.agent.live()), (Some(true), before));
}

#[test]
fn cards_that_a_reload_of_the_system_would_take_from_jobs_are_said_and_stop_nothing() {
    let mut world = online();

    world.engine(Ok(EngineSeen { loses_cards: true, ..EngineSeen::default() }));
    assert_eq!(world.problems(), [ProblemCode::EngineLosesCards]);
    assert_eq!((eligible(&world), world.phase()), (Some(true), Phase::Waiting));
    world.engine(Ok(EngineSeen::default()));

    assert_eq!(world.problems(), []);
}
