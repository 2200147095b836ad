use ionet_core::effect;
use ionet_core::event::WantedTold;
use ionet_core::fault::{AgentFault, CloudFault, EngineFault, GpuFault};
use ionet_core::giving_back::Step;
use ionet_core::region::WatchAnswer;
use ionet_core::target::{PauseEnd, Target};
use ionet_core::{
    Effect, Event, Intent, Outcome, Phase, ProblemCode, Signal, StartId, UnixMs, Verb, wake_at,
};

use crate::world::{UNTIL_RESUMED, World, adopted, is_freeze, job, ready};

const PAUSED: Phase = Phase::Paused { until: PauseEnd::Resumed };

fn hangs_in_the_region(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::Region(effect::Region::SetWanted { .. } | effect::Region::StopAllocations { .. })
    )
}

#[test]
fn a_pause_freezes_first_and_thaws_before_it_stops() {
    let mut world = World::earning();

    world.intent(UNTIL_RESUMED);

    assert_eq!(world.giving_back(), ["freeze", "ineligible", "thaw", "stop allocations", "stop agent"]);
    assert_eq!((world.phase(), world.shown().may_run), (PAUSED, false));
}

#[test]
fn with_gateway_and_region_gone_a_pause_still_stops_everything_and_thaws_nothing_for_them() {
    let mut world = World::earning();
    world.gateway_down = true;
    world.signal(Signal::RegionFault(CloudFault::NoNetwork));

    world.intent(UNTIL_RESUMED);

    assert_eq!(world.giving_back(), ["freeze", "ineligible", "stop agent"]);
    assert_eq!((world.phase(), world.shown().may_run), (PAUSED, false));
}

#[test]
fn a_gateway_that_never_answers_is_waited_for_two_seconds_and_nothing_is_thawed() {
    let mut world = World::earning();
    world.running_job();
    world.hanging = hangs_in_the_region;

    world.intent(UNTIL_RESUMED);
    assert_eq!(world.giving_back(), ["freeze", "ineligible"], "frozen at once");
    world.pass(1_999);
    assert_eq!(world.shown().giving_back, Some(Step::MakingIneligible));
    world.pass(1);

    assert_eq!(world.giving_back(), ["freeze", "ineligible", "stop agent"]);
    assert!(!world.shown().may_run);
}

#[test]
fn a_region_that_does_not_take_the_gateways_word_gets_no_thawed_work_to_wait_for() {
    let mut world = World::earning();
    world.hanging = |effect| matches!(effect, Effect::Region(effect::Region::SetWanted { .. }));
    world.intent(UNTIL_RESUMED);
    let seq = world.log.iter().rev().find_map(|effect| {
        if let Effect::Region(effect::Region::SetWanted { seq, .. }) = effect { Some(*seq) } else { None }
    });

    let result = Ok(WantedTold::Kept { applied: false });
    world.send(Event::Outcome(Outcome::WantedSet { seq: seq.unwrap(), result }));
    world.pass(2_000);

    assert_eq!(world.giving_back(), ["freeze", "ineligible", "stop agent"]);
}

#[test]
fn allocations_that_do_not_end_in_time_are_ended_all_the_same() {
    let mut world = World::earning();
    world.hanging = |effect| matches!(effect, Effect::Region(effect::Region::StopAllocations { .. }));

    world.intent(UNTIL_RESUMED);
    world.pass(2_999);
    assert_eq!(world.shown().giving_back, Some(Step::StoppingAllocations));
    world.pass(1);

    assert!(!world.shown().may_run);
}

#[test]
fn allocations_that_the_region_will_not_stop_are_ended_on_this_pc() {
    let mut world = World::earning();
    world.running_job();
    world.hanging = |effect| matches!(effect, Effect::Region(effect::Region::StopAllocations { .. }));
    world.intent(UNTIL_RESUMED);
    assert_eq!(world.shown().giving_back, Some(Step::StoppingAllocations));
    let id = world.state.agent.giving_back().unwrap().id;

    let result = Err(CloudFault::RegionUnreachable);
    world.send(Event::Outcome(Outcome::AllocationsStopped { id, result }));

    assert_eq!(world.giving_back().last(), Some(&"stop agent"));
    assert_eq!((world.phase(), world.shown().may_run), (PAUSED, false));
}

#[test]
fn an_engine_that_hangs_in_freezing_and_thawing_holds_up_nothing() {
    let mut world = World::earning();
    world.hanging =
        |effect| matches!(effect, Effect::Agent(effect::Agent::Freeze { .. } | effect::Agent::Thaw { .. }));

    world.intent(UNTIL_RESUMED);
    world.pass(500);
    assert_eq!(world.shown().giving_back, Some(Step::Thawing));
    world.pass(2_000);

    assert!(!world.shown().may_run);
}

#[test]
fn a_pause_before_the_settings_are_read_freezes_at_once_what_an_earlier_life_left() {
    let mut world = World::unread();

    world.intent(UNTIL_RESUMED);
    assert_eq!(world.giving_back(), ["freeze earlier"]);
    world.read(adopted());

    assert_eq!((world.phase(), world.shown().may_run), (PAUSED, false));
}

#[test]
fn a_pause_that_is_taken_back_before_the_settings_are_read_leaves_nothing_frozen() {
    let mut world = World::unread();

    world.intent(UNTIL_RESUMED);
    world.intent(Intent::Resume);
    world.read(adopted());

    assert_eq!(world.giving_back(), ["freeze earlier", "thaw"]);
}

#[test]
fn a_pause_while_the_agent_starts_freezes_at_once_and_waits_for_no_start() {
    let (mut world, _) = World::starting();
    assert_eq!(world.phase(), Phase::Starting);
    world.log.clear();

    world.intent(UNTIL_RESUMED);

    assert_eq!(world.count(is_freeze), 1);
    assert_eq!((world.phase(), world.shown().may_run), (PAUSED, false));
}

#[test]
fn after_a_start_that_was_called_off_the_next_resume_starts_again() {
    let (mut world, id) = World::starting();
    world.intent(UNTIL_RESUMED);
    world.send(Event::Outcome(Outcome::AgentStarted { id, result: Err(AgentFault::CalledOff) }));
    world.hanging = |_| false;
    let before = world.starts();

    world.intent(Intent::Resume);

    assert_eq!(world.starts(), before + 1);
    assert!(world.state.agent.running().is_some());
}

type Wrong = fn(&mut World);

#[test]
fn the_owner_can_pause_whatever_else_is_wrong() {
    let wrong: [(&str, Wrong); 6] = [
        ("the gateway is silent", |world| world.signal(Signal::RegionFault(CloudFault::Slow))),
        ("the region is silent", |world| {
            let silent_since = Some(UnixMs(1));
            world.signal(Signal::Region(WatchAnswer {
                silent_since,
                jobs: vec![job()],
                ..WatchAnswer::default()
            }));
        }),
        ("the card is gone", |world| world.send(Event::Outcome(Outcome::Looked(Err(GpuFault::NoGpu))))),
        ("a second sign-in was left", |world| {
            world.intent(Intent::SignOut);
            world.intent(Intent::Resume);
            world.intent(Intent::SignIn { method: ionet_core::event::SignInMethod::Browser });
        }),
        ("the clock is wrong", |world| {
            world.signal(Signal::RegionFault(CloudFault::ClockWrong { skew_ms: 9_000_000 }));
        }),
        ("an answer makes no sense", |world| world.signal(Signal::RegionFault(CloudFault::Garbled))),
    ];
    for (what, go_wrong) in wrong {
        let mut world = World::earning();
        world.running_job();

        go_wrong(&mut world);

        let can = world.shown().can;
        assert!(can.contains(&Verb::Pause) && can.contains(&Verb::Quit), "{what}: {can:?}");
        world.intent(UNTIL_RESUMED);
        world.pass(5_000);
        assert!(!world.shown().may_run, "{what}");
    }
}

#[test]
fn a_running_job_is_shown_as_earning_with_what_is_wrong_beside_it() {
    let mut world = World::earning();
    world.running_job();

    world.send(Event::Outcome(Outcome::Looked(Err(GpuFault::DriverBroken("it changed".into())))));

    assert_eq!((world.phase(), world.problems()), (Phase::Earning, vec![ProblemCode::DriverBroken]));
}

#[test]
fn a_resumed_pc_comes_back_online_and_is_made_eligible_again() {
    let mut world = World::earning();
    world.intent(UNTIL_RESUMED);
    world.log.clear();

    world.intent(Intent::Resume);

    let eligible = |effect: &Effect| matches!(effect, Effect::Region(effect::Region::SetWanted { wanted, .. }) if wanted.eligible);
    assert_eq!(world.count(eligible), 1);
    world.node(false);
    world.pass(1_000);
    assert_eq!(world.count(eligible), 2, "the gateway was told, and the node is not: it is told again");
}

#[test]
fn each_word_of_what_is_wanted_has_a_higher_number_than_all_before_it() {
    let mut world = World::earning();
    let node = Some(ready(true));
    world.signal(Signal::Region(WatchAnswer { node, wanted_seq: 90, ..WatchAnswer::default() }));

    world.intent(UNTIL_RESUMED);
    world.intent(Intent::Resume);

    let numbers: Vec<u64> = world
        .log
        .iter()
        .filter_map(|effect| {
            if let Effect::Region(effect::Region::SetWanted { seq, .. }) = effect { Some(*seq) } else { None }
        })
        .collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    assert!(numbers[numbers.len() - 2] > 90, "{numbers:?}");
}

#[test]
fn a_pause_with_an_end_ends_by_itself() {
    let mut world = World::earning();
    world.intent(Intent::Pause { until: PauseEnd::At { at: world.now.wall.plus(3_600_000) } });
    let wake = wake_at(&world.state, world.now);

    world.pass(3_600_000);

    assert_eq!(wake, Some(3_600_000));
    assert_eq!(world.state.owner.target, Target::Earning);
    assert!(world.state.agent.running().is_some());
}

#[test]
fn a_lost_pc_stops_and_stays_stopped_and_its_session_is_forgotten() {
    let mut world = World::earning();

    world.signal(Signal::RegionFault(CloudFault::DeviceLost));
    world.pass(600_000);

    assert!(!world.shown().may_run);
    assert_eq!(world.phase(), Phase::Blocked { code: ProblemCode::DeviceLost });
    assert!(world.log.contains(&effect::Account::Forget.into()));
    assert_eq!(world.state.account_name(), None);
}

#[test]
fn signing_out_stops_the_work_first_and_pauses() {
    let mut world = World::earning();

    world.intent(Intent::SignOut);

    let order = ["freeze", "ineligible", "thaw", "stop allocations", "stop agent", "sign out"];
    assert_eq!(world.giving_back(), order);
    assert_eq!((world.state.account_name(), world.state.owner.target), (None, Target::SAFE));
}

#[test]
fn a_crash_loop_backs_off_although_each_start_comes_through() {
    let mut world = World::earning();
    let before = world.starts();

    for _ in 0..120 {
        world.pass(1_000);
        if world.state.agent.running().is_some() {
            world.agent_exits();
        }
    }

    let starts = world.starts() - before;
    assert!((4..=8).contains(&starts), "{starts} starts in two minutes");
}

#[test]
fn an_agent_that_ran_for_long_is_started_again_at_once_after_a_crash() {
    let mut world = World::earning();
    world.agent_exits();
    world.pass(1_000);
    let before = world.starts();

    world.pass(3_600_000);
    world.agent_exits();
    world.pass(1_000);

    assert_eq!(world.starts() - before, 1);
}

#[test]
fn a_start_of_an_adopted_agents_successor_has_a_higher_number() {
    let mut world = World::new(adopted());
    world.agent_exits();

    world.pass(1_000);

    assert!(world.state.agent.live() > Some(StartId(7)), "{:?}", world.state.agent);
}

#[test]
fn what_the_region_took_before_the_click_does_not_thaw_work_beside_a_gateway_that_is_silent_now() {
    let mut world = World::earning();
    world.running_job();
    world.engine(Err(EngineFault::Silent));
    world.hanging = |effect| matches!(effect, Effect::Region(_));
    world.log.clear();

    world.intent(UNTIL_RESUMED);
    world.pass(2_000);

    assert_eq!(world.giving_back(), ["freeze", "ineligible", "stop agent"]);
}
