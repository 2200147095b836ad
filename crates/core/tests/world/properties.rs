//! Whatever happens, in whatever order, however late.

use ionet_core::effect;
use ionet_core::event::{KeptSession, SessionStore, SignInId, SignInMethod, SignedIn};
use ionet_core::fault::{AgentFault, CloudFault, GpuFault, RegistrationFault, SignInFault};
use ionet_core::region::WatchAnswer;
use ionet_core::target::{AGREEMENT_VERSION, Target};
use ionet_core::{Effect, Event, Intent, Now, Outcome, Signal, StartId, State, Verb, step, view, wake_at};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};

use crate::world::{
    START, UNTIL_RESUMED, World, adopted, alice, bob, device, fresh, hardware, is_start, job, ready,
};

#[expect(clippy::too_many_lines, reason = "one strategy, a line an event")]
fn any_event() -> impl Strategy<Value = Event> {
    let id = || (0..6_u64).prop_map(StartId);
    let intent = prop_oneof![
        Just(UNTIL_RESUMED),
        Just(Intent::Resume),
        Just(Intent::SignIn { method: SignInMethod::Browser }),
        Just(Intent::CancelSignIn),
        Just(Intent::SignOut),
        Just(Intent::TakeOver),
        Just(Intent::Agree { version: AGREEMENT_VERSION }),
        Just(Intent::Retry),
        Just(Intent::Detect),
        any::<bool>().prop_map(|confirmed| Intent::Quit { confirmed }),
    ];
    let answer =
        (any::<[bool; 5]>(), 0..9_u64).prop_map(|([node, eligible, lost, busy, others], wanted_seq)| {
            Signal::Region(WatchAnswer {
                node: node.then(|| ready(eligible)),
                jobs: if busy { vec![job()] } else { Vec::new() },
                lost: lost && eligible && !busy,
                owner: Some(if others { bob() } else { alice() }),
                wanted_seq,
                ..WatchAnswer::default()
            })
        });
    let registration = prop_oneof![
        Just(Ok(())),
        Just(Err(RegistrationFault::Denied)),
        Just(Err(RegistrationFault::CertificateRefused)),
    ];
    let signal = prop_oneof![
        Just(Signal::Tick),
        Just(Signal::Terminate),
        id().prop_map(|id| Signal::AgentUp { id }),
        id().prop_map(|id| Signal::AgentExited { id, fault: AgentFault::Crashed { code: Some(1) } }),
        (id(), registration).prop_map(|(id, result)| Signal::Registration { id, result }),
        answer,
        Just(Signal::RegionFault(CloudFault::NoNetwork)),
        Just(Signal::RegionFault(CloudFault::DeviceRetired)),
        Just(Signal::Session(KeptSession::None)),
    ];
    let sign_in_ended = prop_oneof![
        Just(Err(SignInFault::Abandoned)),
        Just(Err(SignInFault::Cancelled)),
        Just(Ok(SignedIn { name: alice(), store: SessionStore::File })),
        Just(Ok(SignedIn { name: bob(), store: SessionStore::File })),
    ];
    let outcome = prop_oneof![
        (0..6_u64, sign_in_ended).prop_map(|(id, result)| Outcome::SignedIn { id: SignInId(id), result }),
        Just(Outcome::Enrolled(Ok(device()))),
        Just(Outcome::Enrolled(Err(CloudFault::NotSignedIn))),
        Just(Outcome::Left(Ok(()))),
        Just(Outcome::Looked(Err(GpuFault::NoGpu))),
        Just(Outcome::Looked(Ok(hardware()))),
        id().prop_map(|id| Outcome::AgentStarted { id, result: Ok(()) }),
        id().prop_map(|id| Outcome::Frozen { id, result: Ok(()) }),
        id().prop_map(|id| Outcome::AgentStopped { id, result: Ok(()) }),
    ];
    prop_oneof![
        3 => intent.prop_map(Event::Intent),
        3 => signal.prop_map(Event::Signal),
        2 => outcome.prop_map(Event::Outcome),
    ]
}

/// What becomes of an effect: its answer comes after so many further events, comes twice, or never comes.
#[derive(Debug, Clone, Copy)]
enum Fate {
    After(usize),
    Twice(usize),
    Lost,
}

fn any_fate() -> impl Strategy<Value = Fate> {
    prop_oneof![4 => (0..12_usize).prop_map(Fate::After), 1 => (0..12_usize).prop_map(Fate::Twice), 1 => Just(Fate::Lost)]
}

fn any_script() -> impl Strategy<Value = Vec<(Event, Fate)>> {
    proptest::collection::vec((any_event(), any_fate()), 0..60)
}

/// A PC as it is before the script: enrolled, with an agent of an earlier life, or new.
fn any_world() -> impl Strategy<Value = fn() -> World> {
    prop_oneof![
        Just(World::enrolled as fn() -> World),
        Just((|| World::new(adopted())) as fn() -> World),
        Just((|| World::new(fresh())) as fn() -> World),
    ]
}

/// Who signs in is alice at every other time.
fn answer(world: &World, effect: &Effect) -> Option<Outcome> {
    if let Effect::Account(effect::Account::SignIn { id, .. }) = effect {
        let name = if id.0.is_multiple_of(2) { bob() } else { alice() };
        return Some(Outcome::SignedIn { id: *id, result: Ok(SignedIn { name, store: SessionStore::File }) });
    }
    world.answer(effect)
}

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
    let paused = matches!(shown.target, Target::Paused { .. });
    let ending = shown.giving_back.is_some();
    if shown.may_run && !paused && !ending {
        prop_assert!(shown.can.contains(&Verb::Pause), "{shown:?}");
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
        prop_assert!(!world.shown().may_run, "{:?}", world.state.agent);
        if world.shown().phase == ionet_core::Phase::Quitting {
            prop_assert!(world.log.contains(&Effect::Exit), "{:?}", world.state.agent);
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
        let going = world.shown().phase == ionet_core::Phase::Quitting || !world.shown().can.contains(&Verb::Resume);
        prop_assume!(free && !going && !retired(&world));
        // Its look may have been lost: cards that are known stay known.
        prop_assume!(state.work.hardware.is_some() && state.faults.gpu.is_none());
        let before = world.starts();
        world.intent(Intent::Resume);
        prop_assert!(world.starts() > before, "{:?}", world.state);
    }
}

/// The sweep may have been asked for before, and its answer been lost: only its own outcome ends it. As a save's does.
fn swept_at_last(world: &mut World) {
    if let Some(giving) = world.state.agent.giving_back() {
        let id = giving.id;
        world.send(Event::Outcome(Outcome::AgentStopped { id, result: Ok(()) }));
        // What may still come after it: the session's end, what is to be remembered, the logs.
        for _ in 0..3 {
            world.pass(60_000);
        }
    }
}

fn retired(world: &World) -> bool {
    let by_watch =
        ionet_core::state::Region::Unreachable { last: None, since: START, fault: CloudFault::DeviceRetired };
    std::mem::discriminant(&world.state.region) == std::mem::discriminant(&by_watch)
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
