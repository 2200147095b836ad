use ionet_core::effect;
use ionet_core::event::Loaded;
use ionet_core::fault::{AgentFault, CloudFault, GpuFault};
use ionet_core::hardware::{CardState, CardTrouble, Gpu, Hardware};
use ionet_core::{Effect, Event, Intent, Outcome, Phase, ProblemCode, Signal};

use crate::world::{UNTIL_RESUMED, World, adopted, device, hardware, is_start, is_stop, loaded};

fn is_look(effect: &Effect) -> bool {
    *effect == effect::Work::Look.into()
}

fn found(result: Result<Hardware, GpuFault>) -> Event {
    Event::Outcome(Outcome::Looked(result))
}

fn two_cards() -> Hardware {
    let mut hardware = hardware();
    let second = Gpu { uuid: "GPU-2".into(), ..hardware.gpus[0].clone() };
    hardware.gpus.push(second);
    hardware
}

/// Its agent was started with both.
fn with_two_cards() -> World {
    let mut world = World::earning();
    world.hanging = is_look;
    world.send(found(Ok(two_cards())));
    world.log.clear();
    world
}

/// What was last asked for.
pub(crate) fn eligible(world: &World) -> Option<bool> {
    world.log.iter().rev().find_map(|effect| {
        if let Effect::Region(effect::Region::SetWanted { wanted, .. }) = effect {
            Some(wanted.eligible)
        } else {
            None
        }
    })
}

/// How many cards the agent of now was started with.
fn offered(world: &World) -> &str {
    &world.state.agent.running().unwrap().tags.as_ref().unwrap()["ionet.gpu_count"]
}

fn without_a_card() -> World {
    let mut world = World::new(loaded());
    world.intent(UNTIL_RESUMED);
    world.hanging = is_look;
    world.state.work.hardware = None;
    world.intent(Intent::Resume);
    world.log.clear();
    world.send(found(Err(GpuFault::DriverMissing)));
    world
}

#[test]
fn without_a_card_nothing_starts_and_the_reason_is_said() {
    let world = without_a_card();

    assert!(!world.shown().may_run);
    assert_eq!(world.phase(), Phase::Blocked { code: ProblemCode::DriverMissing });
}

#[test]
fn a_card_that_comes_later_than_the_app_is_found_without_the_owner() {
    let mut world = without_a_card();

    world.hanging = |_| false;
    world.pass(1_000);

    assert_eq!((world.starts(), world.problems()), (1, vec![]));
}

#[test]
fn while_no_card_works_it_is_looked_for_again_by_itself_at_least_every_minute() {
    let mut world = without_a_card();

    for _ in 0..10 {
        let looks = world.count(is_look);
        world.pass(60_000);
        assert_eq!(world.count(is_look), looks + 1);
        world.send(found(Err(GpuFault::NoGpu)));
    }
    world.hanging = |_| false;
    world.pass(60_000);

    assert_eq!((world.starts(), world.problems()), (1, vec![]));
}

#[test]
fn cards_are_looked_at_every_minute_while_it_matters_and_not_while_paused() {
    let mut world = World::earning();
    world.log.clear();
    for _ in 0..10 {
        world.pass(60_000);
    }
    assert_eq!(world.count(is_look), 10);

    world.intent(UNTIL_RESUMED);
    world.log.clear();
    for _ in 0..10 {
        world.pass(60_000);
    }

    assert_eq!(world.count(is_look), 0);
}

#[test]
fn a_driver_that_changes_under_the_app_takes_no_new_work_and_the_running_job_goes_on() {
    let mut world = World::earning();
    world.running_job();
    world.hanging = is_look;

    world.send(found(Err(GpuFault::DriverBroken("another version".into()))));
    assert_eq!(eligible(&world), Some(false));
    assert_eq!(world.phase(), Phase::Earning);
    world.send(found(Ok(hardware())));

    assert_eq!(eligible(&world), Some(true));
}

#[test]
fn a_card_that_fell_off_changes_the_offer_once_no_job_runs() {
    let mut world = with_two_cards();
    world.running_job();
    let starts = world.starts();
    let mut one_off = two_cards();
    one_off.gpus[1].state = CardState::Out { trouble: CardTrouble::Lost };

    world.send(found(Ok(one_off)));
    assert_eq!((eligible(&world), world.starts()), (Some(false), starts));
    assert_eq!((world.phase(), world.problems()), (Phase::Earning, vec![ProblemCode::CardLost]));
    assert_eq!(offered(&world), "2", "the job goes on as it began");
    world.node(true);

    assert_eq!((eligible(&world), world.starts()), (Some(true), starts + 1));
    assert_eq!(offered(&world), "1");
}

#[test]
fn a_card_that_comes_back_before_the_job_has_ended_changes_nothing() {
    let mut world = with_two_cards();
    world.running_job();
    let starts = world.starts();
    world.send(found(Ok(hardware())));

    world.send(found(Ok(two_cards())));
    world.node(true);

    assert_eq!((eligible(&world), world.starts()), (Some(true), starts));
}

#[test]
fn while_the_region_is_silent_nobody_knows_of_a_job_and_no_agent_is_stopped_for_its_cards() {
    let mut world = with_two_cards();
    world.node(true);
    world.signal(Signal::RegionFault(CloudFault::NoNetwork));

    world.send(found(Ok(hardware())));
    assert_eq!(world.count(is_stop), 0);
    world.node(true);

    assert_eq!(world.count(is_stop), 1);
}

#[test]
fn an_agent_of_an_earlier_life_is_compared_with_the_first_cards_that_are_seen() {
    let mut world = World::new(adopted());
    world.node(true);
    world.hanging = is_look;
    assert_eq!(world.count(is_stop), 0);

    world.send(found(Ok(two_cards())));

    assert_eq!(world.count(is_stop), 1);
}

#[test]
fn after_a_sleep_the_cards_are_looked_at_at_once() {
    let mut world = World::earning();
    world.pass(1_000);
    world.log.clear();

    world.now.wall = world.now.wall.plus(3_600_000);
    world.signal(Signal::Tick);

    assert_eq!(world.count(is_look), 1);
}

#[test]
fn a_missing_agent_is_said_and_tried_again_later_and_on_request() {
    let mut world = World::new(Loaded { device: None, ..loaded() });
    world.intent(UNTIL_RESUMED);
    world.no_agent = true;
    world.intent(Intent::Resume);
    assert_eq!(world.phase(), Phase::Blocked { code: ProblemCode::AgentMissing });

    world.no_agent = false;
    world.intent(Intent::Retry);

    assert!(world.state.agent.running().is_some());
    assert!(world.count(is_start) >= 2);
}

#[test]
fn an_engine_that_ends_takes_no_new_work_and_is_said() {
    let mut world = World::new(Loaded { device: Some(device()), ..loaded() });
    world.node(true);

    world.engine(Err(ionet_core::fault::EngineFault::Silent));
    assert_eq!(eligible(&world), Some(false));
    assert_eq!(world.phase(), Phase::Blocked { code: ProblemCode::EngineDown });
    world.engine(Ok(ionet_core::event::EngineSeen::default()));

    assert_eq!((eligible(&world), world.phase()), (Some(true), Phase::Waiting));
}

#[test]
fn a_disk_that_takes_no_jobs_files_any_more_takes_no_new_work_and_is_said() {
    for (fault, code) in [
        (AgentFault::DiskFull, ProblemCode::AgentDiskFull),
        (AgentFault::FolderUnwritable("read-only".to_owned()), ProblemCode::AgentFolderUnwritable),
    ] {
        let mut world = World::new(Loaded { device: Some(device()), ..loaded() });
        world.node(true);

        world.jobs_disk(Err(fault));
        assert_eq!((eligible(&world), world.phase()), (Some(false), Phase::Blocked { code }));
        world.jobs_disk(Ok(()));

        assert_eq!((eligible(&world), world.phase()), (Some(true), Phase::Waiting));
    }
}

#[test]
fn an_agent_fault_that_is_the_gateways_is_said_as_the_gateways() {
    let mut world = World::enrolled();
    let id = world.state.agent.live().unwrap();

    world.signal(Signal::AgentExited { id, fault: AgentFault::NoIntroduction(CloudFault::NoNetwork) });

    assert_eq!(world.problems(), [ProblemCode::NoNetwork]);
}

#[test]
fn a_wrong_clock_is_told_with_direction_and_size() {
    let mut world = World::enrolled();

    world.signal(Signal::RegionFault(CloudFault::ClockWrong { skew_ms: 93_600_000 }));

    insta::assert_json_snapshot!(world.shown().problems, @r#"
    [
      {
        "code": "clock-wrong",
        "args": {
          "direction": "ahead",
          "hours": "26",
          "minutes": "0"
        },
        "action": {
          "do": "retry"
        },
        "stops": "new_work"
      }
    ]
    "#);
}
