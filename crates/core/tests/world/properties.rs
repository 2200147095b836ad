//! Whatever happens, in whatever order, however late.

use ionet_core::effect;
use ionet_core::problem::Stops;
use ionet_core::target::Target;
use ionet_core::{
    Effect, Event, Intent, Now, Outcome, Phase, Signal, StartId, State, Verb, step, view, wake_at,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};

use crate::any::{Fate, answer, any_script, any_setting, any_word_of, any_world};
use crate::world::{START, UNTIL_RESUMED, World, is_start};

type Checked = Result<(), TestCaseError>;

/// Plays the script; `check` sees every state with the effects that led out of it.
fn play(
    world: &mut World,
    script: Vec<(Event, Fate)>,
    mut check: impl FnMut(&World, &[Effect]) -> Checked,
) -> Checked {
    let mut late: Vec<(usize, Outcome)> = Vec::new();
    for (turn, (event, fate)) in script.into_iter().enumerate() {
        world.now.mono_ms += 700;
        world.now.wall = START.plus(i64::try_from(world.now.mono_ms).unwrap());
        let due: Vec<Outcome> =
            late.extract_if(.., |(at, _)| *at <= turn).map(|(_, outcome)| outcome).collect();
        for event in due.into_iter().map(Event::Outcome).chain([event]) {
            let effects = step(&mut world.state, event, world.now);
            for outcome in effects.iter().filter_map(|effect| answer(world, effect)) {
                match fate {
                    Fate::After(turns) => late.push((turn + turns, outcome)),
                    Fate::Twice(turns) => late.extend([(turn, outcome.clone()), (turn + turns, outcome)]),
                    Fate::Lost => {}
                }
            }
            always(&world.state, world.now)?;
            check(world, &effects)?;
            world.log.extend(effects);
        }
    }
    Ok(())
}

/// What must hold in every state.
fn always(state: &State, now: Now) -> Checked {
    let shown = view(state);
    prop_assert!(wake_at(state, now).is_none_or(|at| at > now.mono_ms), "nobody is woken for what is over");
    prop_assert!(serde_json::to_string(&shown).is_ok());
    if let Some(fault) = &state.faults.wall {
        prop_assert!(shown.problems.iter().any(|problem| problem.stops == Stops::Everything), "{fault}");
    }
    let paused = matches!(shown.target, Target::Paused { .. });
    if shown.may_run && shown.phase != Phase::Quitting {
        prop_assert!(paused || shown.can.contains(&Verb::Pause), "{shown:?}");
        prop_assert!(shown.can.contains(&Verb::Quit), "{shown:?}");
    }
    Ok(())
}

/// Nothing starts that was not agreed to, enrolled and wanted, or for another account than the one that is shown.
fn no_start_but_a_wanted_one(world: &World, effects: &[Effect]) -> Checked {
    let state = &world.state;
    let starts = effects.iter().filter(|effect| is_start(effect)).count();
    prop_assert!(starts <= 1);
    if starts == 1 {
        prop_assert_eq!(state.owner.target, Target::Earning);
        prop_assert!(state.owner.agreed.is_some() && state.enrolment.device.is_some());
        prop_assert!(!state.is_lost() && !state.is_others());
        if let (Some(shown), Some(paid)) = (state.account_name(), state.paid()) {
            prop_assert_eq!(&shown.subject, &paid.subject);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn nothing_starts_without_consent_identity_and_the_owners_wish(
        before in any_world(), script in any_script()
    ) {
        let mut world = before();
        world.log.clear();
        play(&mut world, script, no_start_but_a_wanted_one)?;
    }

    /// However it got there, whatever comes late, twice or never: once the owner pauses, what gives back is under way at
    /// once, no step but the sweep is waited for longer than its time, and after the sweep nothing is left.
    #[test]
    fn a_pause_always_arrives(before in any_world(), script in any_script()) {
        let mut world = before();
        play(&mut world, script, |_, _| Ok(()))?;
        world.intent(UNTIL_RESUMED);
        world.pass(3_500);
        swept_at_last(&mut world);
        given_back(&world)?;
    }

    /// The same for a quit: the program ends.
    #[test]
    fn a_quit_always_arrives(before in any_world(), script in any_script()) {
        let mut world = before();
        play(&mut world, script, |_, _| Ok(()))?;
        world.intent(Intent::Quit { confirmed: true });
        world.pass(3_500);
        swept_at_last(&mut world);
        prop_assert_eq!(world.phase(), Phase::Quitting);
        given_back(&world)?;
    }

    /// What is said of the agent by its start's number is about no other one.
    #[test]
    fn a_word_about_another_start_is_as_good_as_none(
        before in any_world(), script in any_script(), word in (0..12_u64).prop_map(StartId).prop_flat_map(|id| any_word_of(id).prop_map(move |word| (id, word)))
    ) {
        let (id, word) = word;
        let mut world = before();
        play(&mut world, script, |_, _| Ok(()))?;
        prop_assume!(world.state.agent.live() != Some(id));
        let mut silent = world.state.clone();
        let said = step(&mut world.state, Event::Signal(word), world.now);
        let unsaid = step(&mut silent, Event::Signal(Signal::Tick), world.now);
        prop_assert_eq!((&world.state, said), (&silent, unsaid));
    }

    /// It is saved, and it is one that may be.
    #[test]
    fn a_choice_of_what_jobs_get_starts_and_ends_nothing(
        before in any_world(), script in any_script(), setting in any_setting()
    ) {
        let mut world = before();
        play(&mut world, script, |_, _| Ok(()))?;
        let (shown, mut silent) = (world.shown().share, world.state.clone());
        let chosen = step(&mut world.state, Event::Intent(Intent::Set { setting }), world.now);
        let unchosen = step(&mut silent, Event::Signal(Signal::Tick), world.now);
        let is_no_save = |effect: &&Effect| !matches!(effect, Effect::Settings(effect::Settings::Save(_)));
        let [chosen, unchosen] =
            [&chosen, &unchosen].map(|effects| effects.iter().filter(is_no_save).collect::<Vec<_>>());
        prop_assert_eq!(chosen, unchosen);
        if world.state.owner.share != silent.owner.share {
            prop_assert!(shown.is_some_and(|shown| shown.check(setting).is_ok()));
        }
    }
}

proptest! {
    // Most scripts end where nothing may start: those are left out, and enough others remain.
    #![proptest_config(Config { max_global_rejects: 20_000, ..Config::with_cases(128) })]

    /// A start whose word is late, lost or doubled bars none that is wanted later.
    #[test]
    fn after_a_pause_a_resume_starts_again(before in any_world(), script in any_script()) {
        let mut world = before();
        play(&mut world, script, |_, _| Ok(()))?;
        world.intent(UNTIL_RESUMED);
        world.pass(3_500);
        swept_at_last(&mut world);
        let state = &world.state;
        let free = state.enrolment.device.is_some() && state.owner.agreed.is_some() && !state.is_others();
        let going = world.shown().phase == Phase::Quitting || !world.shown().can.contains(&Verb::Resume);
        prop_assume!(free && !going && !retired(&world));
        // Its look may have been lost: cards that are known stay known.
        prop_assume!(state.work.hardware.is_some() && state.faults.gpu.is_none());
        let before = world.starts();
        world.intent(Intent::Resume);
        prop_assert!(world.starts() > before, "{:?}", world.state);
    }
}

/// Nothing is left. A program that ends sweeps once, and says what that has left.
fn given_back(world: &World) -> Checked {
    let shown = world.shown();
    if shown.phase == Phase::Quitting {
        prop_assert!(world.log.contains(&Effect::Exit), "{:?}", world.state.agent);
        prop_assert!(!shown.may_run || world.state.faults.work.is_some());
    } else {
        prop_assert!(!shown.may_run, "{:?}", world.state.agent);
    }
    Ok(())
}

/// The sweep may have been asked for before, and its answer been lost: only its own outcome ends it. As a save's does.
fn swept_at_last(world: &mut World) {
    // What an earlier sweep has left is swept again after a while. What may come after it: the session's end, what is to be
    // remembered, the logs.
    for _ in 0..5 {
        if let Some(giving) = world.state.agent.giving_back() {
            let id = giving.id;
            world.send(Event::Outcome(Outcome::AgentStopped { id, result: Ok(()) }));
        }
        world.pass(60_000);
    }
}

fn retired(world: &World) -> bool {
    let by_watch = ionet_core::state::GatewayWord::Unreachable {
        last: None,
        since: START,
        fault: ionet_core::fault::CloudFault::DeviceRetired,
    };
    std::mem::discriminant(&world.state.gateway) == std::mem::discriminant(&by_watch)
        || world.state.is_lost()
        || world.state.faults.enrolment.is_some()
}

/// A property about starts says nothing where nothing ever starts.
#[test]
fn the_scripts_of_these_properties_reach_starts_hand_overs_and_quits() {
    let mut runner = TestRunner::deterministic();
    let mut reached = [0_usize; 3];
    for _ in 0..Config::default().cases {
        let (before, script) = (any_world(), any_script()).new_tree(&mut runner).unwrap().current();
        let mut world = before();
        world.log.clear();
        play(&mut world, script, |_, _| Ok(())).unwrap();
        reached[0] += world.starts();
        reached[1] += world.count(|effect| *effect == effect::Identity::Leave.into());
        reached[2] += world.count(|effect| *effect == Effect::Exit);
    }
    assert!(reached.iter().all(|count| *count > 5), "{reached:?}");
}
