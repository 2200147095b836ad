use ionet_core::effect;
use ionet_core::event::{KeptSession, Loaded, SessionStore, SignInMethod, SignedIn};
use ionet_core::fault::{AgentFault, CloudFault, SettingsFault, SignInFault};
use ionet_core::target::{AGREEMENT_VERSION, Agreement, Saved, Target};
use ionet_core::{Effect, Event, Intent, Outcome, Phase, ProblemCode, Signal, StartId, State, Verb, step};

use crate::world::{START, UNTIL_RESUMED, World, adopted, alice, at, device, fresh, is_stop, loaded, saved};

const BY_BROWSER: Intent = Intent::SignIn { method: SignInMethod::Browser };
const AGREE: Intent = Intent::Agree { version: AGREEMENT_VERSION };

#[test]
fn a_new_owner_is_led_from_welcome_to_earning() {
    let mut world = World::new(fresh());
    assert_eq!(world.phase(), Phase::Welcome);

    world.intent(BY_BROWSER);
    assert_eq!(world.phase(), Phase::SigningIn);
    world.signed_in(alice());
    assert_eq!(world.phase(), Phase::Agreement);
    assert!(!world.log.contains(&effect::Identity::Enrol.into()), "nothing is enrolled before consent");
    world.intent(AGREE);
    assert_eq!(world.phase(), Phase::Connecting);
    world.node(true);
    assert_eq!(world.phase(), Phase::Waiting);
    world.running_job();

    assert_eq!(world.phase(), Phase::Earning);
}

#[test]
fn the_agents_health_does_not_make_it_online_only_the_regions_word_does() {
    let mut world = World::enrolled();

    assert!(world.state.agent.running().is_some());
    assert_eq!(world.phase(), Phase::Connecting);
    world.signal(Signal::RegionFault(CloudFault::Slow));

    assert_eq!(world.phase(), Phase::Blocked { code: ProblemCode::GatewaySlow });
}

#[test]
fn the_agent_starts_with_tags_by_hardware_and_os() {
    let world = World::earning();

    let tags = world.log.iter().find_map(|effect| {
        if let Effect::Agent(effect::Agent::Start { tags, .. }) = effect { Some(tags.clone()) } else { None }
    });

    insta::assert_json_snapshot!(tags.unwrap(), @r#"
    {
      "ionet.arch": "x86_64",
      "ionet.cpu_threads": "16",
      "ionet.cuda": "12.8",
      "ionet.driver": "571.24",
      "ionet.gpu": "nvidia-geforce-rtx-4090",
      "ionet.gpu_count": "1",
      "ionet.gpu_memory_gb": "24",
      "ionet.memory_gb": "64",
      "ionet.os": "linux"
    }
    "#);
}

#[test]
fn an_app_killed_while_earning_goes_on_with_the_agent_its_guard_kept() {
    let mut world = World::new(adopted());

    world.running_job();

    assert_eq!((world.starts(), world.phase()), (0, Phase::Earning));
}

#[test]
fn damaged_settings_read_back_as_paused_until_the_owner_resumes() {
    let mut world =
        World::new(Loaded { saved: Err(SettingsFault::Damaged), device: Some(device()), ..loaded() });
    assert!(!world.shown().may_run);
    assert_eq!(world.problems().first(), Some(&ProblemCode::SettingsDamaged));

    world.intent(AGREE);
    assert_eq!(world.problems().first(), Some(&ProblemCode::SettingsDamaged), "to agree is not to choose");
    world.intent(Intent::Resume);

    assert!(world.state.agent.running().is_some());
    assert!(!world.problems().contains(&ProblemCode::SettingsDamaged));
}

#[test]
fn settings_that_cannot_be_read_now_keep_the_pc_paused_and_are_not_written_over() {
    let is_save = |effect: &Effect| matches!(effect, Effect::Settings(effect::Settings::Save(_)));
    let mut world = World::new(Loaded { saved: Err(SettingsFault::Unreadable), ..adopted() });

    world.pass(600_000);
    assert_eq!((world.count(is_stop), world.shown().may_run), (1, false));
    assert_eq!((world.problems().first(), world.count(is_save)), (Some(&ProblemCode::SettingsUnreadable), 0));
    world.intent(AGREE);
    world.intent(Intent::Resume);

    assert!(world.state.agent.running().is_some() && world.count(is_save) > 0);
    assert_eq!(world.problems(), []);
}

#[test]
fn an_enrolment_that_fails_is_asked_for_at_growing_intervals_until_it_comes() {
    let is_enrolment = |effect: &Effect| *effect == effect::Identity::Enrol.into();
    for fault in [CloudFault::NoNetwork, CloudFault::Unavailable(Some(503)), CloudFault::Garbled] {
        let mut world = World::unread();
        world.hanging = is_enrolment;
        world.read(loaded());

        for (tries, wait) in (1..).zip([1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 60_000]) {
            world.send(Event::Outcome(Outcome::Enrolled(Err(fault.clone()))));
            assert!(matches!(world.phase(), Phase::Blocked { .. }), "{fault}");
            world.pass(wait - 1);
            assert_eq!(world.count(is_enrolment), tries, "{fault}: not yet after {wait} ms");
            world.pass(1);
            assert_eq!(world.count(is_enrolment), tries + 1, "{fault}: after {wait} ms");
        }
        world.send(Event::Outcome(Outcome::Enrolled(Ok(device()))));

        assert_eq!((world.phase(), world.problems()), (Phase::Connecting, vec![]), "{fault}");
    }
}

#[test]
fn what_is_asked_before_the_settings_are_read_is_not_overwritten_by_them() {
    let mut state = State::default();

    step(&mut state, Event::Intent(UNTIL_RESUMED), at(0));
    step(&mut state, Event::Outcome(Outcome::Loaded(loaded())), at(0));

    assert_eq!(state.owner.target, Target::SAFE);
}

#[test]
fn a_sign_in_that_finds_no_browser_goes_on_by_code() {
    let mut world = World::new(fresh());
    world.intent(BY_BROWSER);

    world.sign_in_ended(Err(SignInFault::NoBrowser));

    assert_eq!(world.signs_in_by(), Some(SignInMethod::DeviceCode));
    assert_eq!((world.phase(), world.problems()), (Phase::SigningIn, vec![]));
}

#[test]
fn a_browser_that_is_silent_for_a_while_brings_the_offer_of_a_code() {
    let mut world = World::new(fresh());
    world.intent(BY_BROWSER);
    let offered = |world: &World| serde_json::to_value(world.shown().account).unwrap()["offer_code"].clone();
    assert_eq!(offered(&world), false);

    let id = world.sign_in();
    world.signal(Signal::BrowserIsSilent { id });
    assert_eq!(offered(&world), true);
    world.intent(Intent::SignIn { method: SignInMethod::DeviceCode });
    world.send(Event::Outcome(Outcome::SignedIn { id, result: Err(SignInFault::KeyringLocked) }));
    world.signal(Signal::BrowserIsSilent { id });

    assert_eq!(world.phase(), Phase::SigningIn, "the browser's end is not the code's");
    assert_eq!(offered(&world), false);
    assert_eq!(world.signs_in_by(), Some(SignInMethod::DeviceCode));
    world.intent(Intent::CancelSignIn);
    world.sign_in_ended(Err(SignInFault::Cancelled));
    assert_eq!(world.phase(), Phase::Welcome);
}

#[test]
fn a_browser_that_comes_back_after_a_code_was_asked_for_signs_in_all_the_same() {
    let mut world = World::new(fresh());
    world.intent(BY_BROWSER);
    let id = world.sign_in();
    world.signal(Signal::BrowserIsSilent { id });
    world.intent(Intent::SignIn { method: SignInMethod::DeviceCode });
    let of_the_code = world.sign_in();

    let signed_in = SignedIn { name: alice(), store: SessionStore::Keyring };
    world.send(Event::Outcome(Outcome::SignedIn { id, result: Ok(signed_in) }));
    assert_eq!(world.log.iter().filter(|one| **one == effect::Account::CancelSignIn.into()).count(), 1);
    let result = Err(SignInFault::Cancelled);
    world.send(Event::Outcome(Outcome::SignedIn { id: of_the_code, result }));

    assert_eq!((world.phase(), world.state.account_name()), (Phase::Agreement, Some(&alice())));
}

#[test]
fn what_is_noticed_before_the_settings_are_read_is_not_lost() {
    let fault = AgentFault::Crashed { code: Some(1) };
    let mut state = State::default();
    step(&mut state, Event::Signal(Signal::Session(KeptSession::Found(SessionStore::Keyring))), at(0));
    step(&mut state, Event::Signal(Signal::AgentExited { id: StartId(7), fault: fault.clone() }), at(0));

    let found = Loaded { session: KeptSession::Locked, ..adopted() };
    step(&mut state, Event::Outcome(Outcome::Loaded(found)), at(0));

    assert!(matches!(state.owner.account, ionet_core::state::Account::SignedIn { .. }), "{state:?}");
    assert_eq!((state.agent.running(), state.faults.agent), (None, Some(fault)));
}

#[test]
fn what_is_not_offered_is_not_done() {
    let mut world = World::new(Loaded { saved: Ok(Saved { target: Target::SAFE, ..saved() }), ..loaded() });
    let before = (world.state.clone(), world.log.len());
    assert!(!world.shown().can.contains(&Verb::CancelSignIn));

    world.intent(Intent::CancelSignIn);
    world.intent(Intent::TakeOver);
    world.intent(BY_BROWSER);

    assert_eq!((world.state, world.log.len()), before);
}

#[test]
fn a_new_text_of_the_agreement_ends_what_runs_by_the_old_one() {
    let agreed = Some(Agreement { version: AGREEMENT_VERSION - 1, at: START });
    let old = Saved { agreed, ..saved() };

    let mut world = World::new(Loaded { saved: Ok(old), ..adopted() });
    world.running_job();
    world.pass(600_000);

    assert_eq!((world.count(is_stop), world.starts(), world.shown().may_run), (1, 0, false));
    assert_eq!(world.phase(), Phase::Agreement);
    world.intent(AGREE);
    assert_eq!(world.starts(), 1, "what was wanted goes on once it is agreed to");
}
