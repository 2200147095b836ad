//! What a job can see of this PC, and what follows where that is more than it may.

use ionet_core::event::Loaded;
use ionet_core::wall::{CapsuleUse, Finding, Refusals, Saw, Sight, Wall};
use ionet_core::{Bytes, Intent, Phase, ProblemCode, Signal, StartId, UnixMs};

use crate::card::eligible;
use crate::world::{START, UNTIL_RESUMED, World, device, is_freeze, is_start, loaded};

const TEN_MINUTES: i64 = 10 * 60_000;

/// An agent runs in a capsule, and the region has its node.
fn in_a_capsule() -> World {
    let mut world = World::new(Loaded { capsule: true, device: Some(device()), ..loaded() });
    world.node(true);
    world
}

/// As it is meant to be.
fn whole() -> Wall {
    let saw = |sight: Sight| (sight, if sight.is_for_jobs() { Saw::Open } else { Saw::Kept });
    Wall { at: START, saw: Sight::ALL.map(saw).into(), cards: ["GPU-1".to_owned()].into() }
}

fn but(sight: Sight, saw: Saw) -> Wall {
    let mut wall = whole();
    wall.saw.insert(sight, saw);
    wall
}

fn tried(world: &mut World, wall: Wall) {
    let id = world.state.agent.live().unwrap();
    world.signal(Signal::Wall { id, wall });
}

fn at_work() -> World {
    let mut world = in_a_capsule();
    tried(&mut world, whole());
    world.running_job();
    world.log.clear();
    world
}

fn found(world: &World, wanted: Sight) -> Finding {
    let wall = world.shown().wall.unwrap();
    wall.sights.iter().find(|seen| seen.sight == wanted).unwrap().finding
}

#[test]
fn no_work_comes_into_a_capsule_before_its_wall_was_tried() {
    let mut world = in_a_capsule();
    assert_ne!(eligible(&world), Some(true));
    assert_eq!((world.shown().wall, world.problems()), (None, vec![]));

    tried(&mut world, whole());

    assert_eq!((eligible(&world), world.phase()), (Some(true), Phase::Waiting));
}

#[test]
fn a_wall_that_is_tried_while_its_agent_still_starts_counts_for_it() {
    let (mut world, id) = World::starting();
    world.signal(Signal::Wall { id, wall: whole() });

    world.signal(Signal::AgentUp { id });

    assert_eq!(found(&world, Sight::Files), Finding::Kept);
}

#[test]
fn the_owner_is_shown_each_line_once_as_it_was_tried_and_what_was_left_out_as_not_known() {
    let mut world = in_a_capsule();
    let mut wall = but(Sight::Internet, Saw::Kept);
    wall.saw.remove(&Sight::Mail);

    tried(&mut world, wall);

    let shown = world.shown().wall.unwrap();
    assert_eq!(shown.sights.iter().map(|seen| seen.sight).collect::<Vec<_>>(), Sight::ALL);
    assert_eq!((shown.at, shown.cards), (START, ["GPU-1".to_owned()].into()));
    assert_eq!(found(&world, Sight::Internet), Finding::CutOff);
    assert_eq!(found(&world, Sight::Mail), Finding::Untried);
    assert_eq!(found(&world, Sight::Disk), Finding::Open, "a job is to have it");
    assert_eq!((eligible(&world), world.problems()), (Some(true), vec![]));
}

#[test]
fn a_wall_that_is_found_open_gives_the_pc_back_and_is_said_with_what_is_open() {
    for sight in Sight::ALL.into_iter().filter(|sight| !sight.is_for_jobs()) {
        let mut world = at_work();

        tried(&mut world, but(sight, Saw::Open));

        assert_eq!(world.giving_back()[..2], ["freeze", "ineligible"], "{sight:?}");
        assert_eq!((eligible(&world), world.shown().may_run), (Some(false), false), "{sight:?}");
        assert_eq!(world.phase(), Phase::Blocked { code: ProblemCode::WallOpen });
        let problem = world.shown().problems.remove(0);
        let named = serde_json::to_value(sight).unwrap().as_str().unwrap().replace('_', "-");
        assert_eq!((&*problem.args["what"], &*problem.args["count"]), (&*named, "0"));
        assert_eq!(found(&world, sight), Finding::Breach, "it stays in sight");
    }
}

#[test]
fn after_a_while_or_when_the_owner_says_so_an_open_wall_is_tried_again_and_nothing_is_offered_until_it_holds()
{
    for wait in [true, false] {
        let mut world = at_work();
        tried(&mut world, but(Sight::HomeNetwork, Saw::Open));
        world.node(false);
        world.pass(TEN_MINUTES / 2);
        assert_eq!(world.starts(), 0, "not in a circle");

        if wait {
            world.pass(TEN_MINUTES)
        } else {
            world.intent(Intent::Retry)
        }
        assert_eq!((world.starts(), eligible(&world)), (1, Some(false)));
        assert_eq!(world.phase(), Phase::Blocked { code: ProblemCode::WallOpen });
        world.node(true);
        tried(&mut world, whole());

        assert_eq!((eligible(&world), world.phase()), (Some(true), Phase::Waiting));
    }
}

#[test]
fn a_start_whose_wall_is_open_is_called_off_before_its_agent_is_up() {
    let (mut world, id) = World::starting();
    world.log.clear();

    world.signal(Signal::Wall { id, wall: but(Sight::Files, Saw::Open) });

    assert_eq!((world.count(is_freeze), world.shown().may_run), (1, false));
    assert_eq!(world.problems(), [ProblemCode::WallOpen]);
}

#[test]
fn a_wall_that_nobody_tells_of_is_an_open_one_for_all_anybody_knows() {
    let mut world = in_a_capsule();
    world.pass(29_000);
    assert_eq!(world.problems(), []);

    world.pass(1_000);

    assert_eq!((world.problems(), world.shown().may_run), (vec![ProblemCode::WallUntried], false));
    assert_ne!(eligible(&world), Some(true));
    world.pass(TEN_MINUTES * 2);
    assert_eq!(world.count(is_start), 2);
    world.node(true);
    tried(&mut world, whole());
    assert_eq!((world.problems(), eligible(&world)), (vec![], Some(true)));
}

#[test]
fn a_wall_is_its_own_agents_and_goes_with_it() {
    let mut world = at_work();
    let id = world.state.agent.live().unwrap();
    world.intent(UNTIL_RESUMED);
    assert_eq!(world.shown().wall, None);
    world.intent(Intent::Resume);

    world.signal(Signal::Wall { id, wall: but(Sight::Names, Saw::Open) });

    assert_eq!((world.shown().wall, world.problems()), (None, vec![]));
}

fn used(sent: u64) -> CapsuleUse {
    CapsuleUse { at: START, sent: Bytes(sent), memory: Bytes(1 << 30), ..CapsuleUse::default() }
}

#[test]
fn what_jobs_take_is_in_no_snapshot_and_goes_with_their_agent() {
    let mut world = at_work();
    let id = world.state.agent.live().unwrap();
    let before = world.shown();

    world.signal(Signal::Capsule { id, used: used(7) });
    world.signal(Signal::Capsule { id: StartId(0), used: used(9) });

    assert_eq!((world.shown(), world.state.used()), (before, Some(&used(7))));
    world.agent_exits();
    assert_eq!(world.state.used(), None);
}

fn refused(world: &mut World, count: u32, what: &str) {
    let id = world.state.agent.live().unwrap();
    let at = START.plus(i64::from(count));
    world.signal(Signal::JobRefused { id, refusals: Refusals { count, what: what.to_owned(), at } });
}

#[test]
fn refusals_are_counted_once_over_every_start_and_the_newest_is_named_with_its_time() {
    let mut world = at_work();
    assert_eq!(world.shown().refused, None);
    refused(&mut world, 1, "NetworkMode");
    refused(&mut world, 3, "Devices");
    refused(&mut world, 3, "Devices");
    let shown = |world: &World| world.shown().refused.map(|it| (it.count, it.what, it.at));
    assert_eq!(shown(&world), Some((3, "Devices".to_owned(), UnixMs(START.0 + 3))));

    world.intent(UNTIL_RESUMED);
    assert_eq!(shown(&world).map(|it| it.0), Some(3), "what was refused once stays told");
    world.intent(Intent::Resume);
    refused(&mut world, 2, "Binds");

    assert_eq!(shown(&world), Some((5, "Binds".to_owned(), UnixMs(START.0 + 2))));
    assert_eq!(world.problems(), [], "a job's fault is none of this PC's");
}
