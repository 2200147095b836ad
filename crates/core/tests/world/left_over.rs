//! What is left, and how it is swept away.

use ionet_core::effect;
use ionet_core::event::Loaded;
use ionet_core::fault::{CloudFault, SettingsFault, WorkFault};
use ionet_core::target::{PauseEnd, Saved, Target};
use ionet_core::{Effect, Event, Intent, Outcome, Phase, ProblemCode, Signal};

use crate::world::{UNTIL_RESUMED, World, adopted, is_stop, loaded, saved};

const PAUSED: Phase = Phase::Paused { until: PauseEnd::Resumed };

#[test]
fn files_that_were_left_are_swept_once_more_on_request() {
    let mut world = World::earning();
    world.hanging = is_stop;
    world.intent(UNTIL_RESUMED);
    let id = world.state.agent.giving_back().unwrap().id;
    let result = Err(WorkFault::FilesLeft { left: 2 });
    world.send(Event::Outcome(Outcome::AgentStopped { id, result }));
    assert_eq!((world.problems(), world.shown().may_run), (vec![ProblemCode::FilesLeft], false));
    world.hanging = |_| false;

    world.intent(Intent::Retry);

    assert_eq!((world.problems(), world.phase()), (vec![], PAUSED));
}

#[test]
fn a_pause_survives_a_restart_and_stops_what_an_earlier_life_left_running() {
    let saved = Ok(Saved { target: Target::SAFE, ..saved() });

    let mut world = World::new(Loaded { saved, ..adopted() });
    world.pass(2_000);

    assert_eq!(world.count(is_stop), 1);
    assert_eq!((world.phase(), world.shown().may_run), (PAUSED, false));
}

#[test]
fn a_pause_after_the_agent_crashed_sweeps_the_work_that_it_left() {
    let mut world = World::earning();
    world.no_agent = true;
    world.agent_exits();
    assert!(world.shown().may_run, "its work may be there");
    world.log.clear();

    world.intent(UNTIL_RESUMED);

    assert_eq!(world.giving_back(), ["freeze", "ineligible", "stop agent"]);
    assert!(!world.shown().may_run);
}

#[test]
fn what_an_earlier_life_left_is_swept_again_by_itself() {
    let left_over = Some(WorkFault::EngineDown);
    let saved = Ok(Saved { target: Target::SAFE, ..saved() });
    let mut world = World::new(Loaded { saved, left_over, ..loaded() });
    assert_eq!((world.problems(), world.shown().may_run), (vec![ProblemCode::EngineDown], true));
    assert_eq!(world.count(is_stop), 0, "not in a circle");

    world.pass(1_000);

    assert_eq!(world.count(is_stop), 1);
    assert_eq!((world.problems(), world.shown().may_run), (vec![], false));
}

#[test]
fn what_cannot_be_swept_is_said_to_be_there_and_swept_again_at_growing_intervals_and_on_request() {
    let mut world = World::earning();
    world.left = Some(WorkFault::StillThere { left: 3 });
    world.intent(UNTIL_RESUMED);
    let said = |world: &World| (world.problems(), world.shown().may_run);
    assert_eq!(said(&world), (vec![ProblemCode::WorkStillThere], true));

    for wait in [1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 60_000] {
        let before = world.count(is_stop);
        world.pass(wait - 1);
        assert_eq!(world.count(is_stop), before, "not yet after {wait} ms");
        world.pass(1);
        assert_eq!(world.count(is_stop), before + 1, "after {wait} ms");
    }
    assert_eq!(said(&world), (vec![ProblemCode::WorkStillThere], true));
    world.left = None;
    world.intent(Intent::Retry);

    assert_eq!((said(&world), world.phase()), ((vec![], false), PAUSED));
}

#[test]
fn what_could_not_be_swept_is_not_said_beside_the_agent_that_came_up_after_it() {
    let mut world = World::earning();
    world.left = Some(WorkFault::EngineDown);
    world.intent(UNTIL_RESUMED);
    assert_eq!(world.problems(), [ProblemCode::EngineDown]);

    world.intent(Intent::Resume);

    assert_eq!((world.starts(), world.problems()), (2, vec![]));
}

#[test]
fn an_agent_of_an_earlier_life_is_thawed_once_where_it_is_kept_and_never_where_it_is_not() {
    let thaws =
        |world: &World| world.count(|effect| matches!(effect, Effect::Agent(effect::Agent::Thaw { .. })));
    let mut kept = World::new(adopted());
    kept.pass(60_000);
    let mut paused = World::new(Loaded { saved: Ok(Saved { target: Target::SAFE, ..saved() }), ..adopted() });
    paused.hanging = |effect| matches!(effect, Effect::Region(_));
    paused.pass(2_000);
    let unread = World::new(Loaded { saved: Err(SettingsFault::Damaged), ..adopted() });

    assert_eq!((thaws(&kept), kept.shown().may_run), (1, true));
    assert_eq!(paused.giving_back().first(), Some(&"freeze"));
    assert_eq!(unread.giving_back().first(), Some(&"freeze"));
}

#[test]
fn on_another_pc_nothing_that_was_heard_of_the_device_stands_in_the_way_of_a_new_one() {
    let mut world = World::new(Loaded { enrolment_token: true, ..adopted() });
    world.signal(Signal::RegionFault(CloudFault::DeviceLost));
    world.log.clear();

    world.signal(Signal::AnotherPc);

    assert_eq!(world.count(|effect| *effect == effect::Identity::Enrol.into()), 1);
    assert_eq!(world.problems(), []);
}
