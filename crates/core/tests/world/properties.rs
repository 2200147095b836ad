//! Whatever happens, in whatever order, however late.

use ionet_core::effect;
use ionet_core::event::{SessionStore, SignInMethod, SignedIn};
use ionet_core::fault::{AgentFault, CloudFault, GpuFault, RegistrationFault, SignInFault};
use ionet_core::region::WatchAnswer;
use ionet_core::target::{AGREEMENT_VERSION, Target};
use ionet_core::{Effect, Event, Intent, Now, Outcome, Signal, StartId, State, Verb, step, view, wake_at};
use proptest::prelude::*;

use crate::world::{
    START, UNTIL_RESUMED, World, adopted, alice, at, bob, fresh, hardware, is_start, job, ready,
};

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
    ];
    let signed_in = |name| Outcome::SignedIn(Ok(SignedIn { name, store: SessionStore::File }));
    let outcome = prop_oneof![
        Just(Outcome::SignedIn(Err(SignInFault::Abandoned))),
        Just(signed_in(alice())),
        Just(signed_in(bob())),
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

/// What must hold in every state.
fn always(state: &State, now: Now) -> Result<(), TestCaseError> {
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

proptest! {
    /// Nothing runs that was not agreed to, enrolled and wanted, or that is another account's.
    #[test]
    fn nothing_starts_without_consent_identity_and_the_owners_wish(
        events in proptest::collection::vec(any_event(), 0..60)
    ) {
        let mut state = State::default();
        let mut now = at(0);
        step(&mut state, Event::Outcome(Outcome::Loaded(fresh())), now);
        for event in events {
            now.mono_ms += 400;
            let effects = step(&mut state, event, now);
            let starts = effects.iter().filter(|effect| is_start(effect)).count();
            prop_assert!(starts <= 1);
            if starts == 1 {
                prop_assert_eq!(state.owner.target, Target::Earning);
                prop_assert!(state.owner.agreed.is_some() && state.enrolment.device.is_some());
                prop_assert!(!state.is_lost() && !state.is_others());
            }
            always(&state, now)?;
        }
    }

    /// However it got there, whatever comes late, twice or never: once the owner pauses, what gives back is under way at
    /// once, no step but the sweep is waited for longer than its time, and after the sweep nothing is left.
    #[test]
    fn a_pause_always_arrives(
        script in proptest::collection::vec((any_event(), any_fate()), 0..40),
        adopt in any::<bool>(),
    ) {
        let mut world = if adopt { World::new(adopted()) } else { World::enrolled() };
        let mut late: Vec<(usize, Outcome)> = Vec::new();
        for (turn, (event, fate)) in script.into_iter().enumerate() {
            world.now.mono_ms += 700;
            world.now.wall = START.plus(i64::try_from(world.now.mono_ms).unwrap());
            let due: Vec<Outcome> = late.extract_if(.., |(at, _)| *at <= turn).map(|(_, outcome)| outcome).collect();
            let events = due.into_iter().map(Event::Outcome).chain([event]);
            for event in events {
                for effect in step(&mut world.state, event, world.now) {
                    let Some(outcome) = world.answer(&effect) else { continue };
                    match fate {
                        Fate::After(turns) => late.push((turn + turns, outcome)),
                        Fate::Twice(turns) => late.extend([(turn, outcome.clone()), (turn + turns, outcome)]),
                        Fate::Lost => {}
                    }
                }
                always(&world.state, world.now)?;
            }
        }
        world.intent(UNTIL_RESUMED);
        world.pass(3_500);
        // The sweep may have been asked for before, and its answer been lost: only its own outcome ends it.
        if let Some(giving) = world.state.agent.giving_back() {
            let id = giving.id;
            world.send(Event::Outcome(Outcome::AgentStopped { id, result: Ok(()) }));
            world.pass(30_000);
        }
        let quits = world.log.contains(&Effect::Exit) || world.shown().phase == ionet_core::Phase::Quitting;
        prop_assert!(quits || !world.shown().may_run, "{:?}", world.state.agent);
    }

    /// What the owner sees as paid is never somebody else while something starts.
    #[test]
    fn the_money_goes_to_whom_the_window_shows(events in proptest::collection::vec(any_event(), 0..60)) {
        let mut world = World::enrolled();
        for event in events {
            world.now.mono_ms += 300;
            for effect in step(&mut world.state, event, world.now) {
                let starts = matches!(effect, Effect::Agent(effect::Agent::Start { .. }));
                if starts && let (Some(shown), Some(paid)) = (world.state.account_name(), world.state.paid()) {
                    prop_assert_eq!(&shown.subject, &paid.subject);
                }
            }
        }
    }
}
