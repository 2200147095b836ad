//! The app is to end.

use ionet_core::effect;
use ionet_core::{Effect, Event, Intent, Outcome, Phase, Signal};

use crate::world::{UNTIL_RESUMED, World, adopted, is_freeze, is_stop};

#[test]
fn quitting_while_a_job_runs_asks_first() {
    let mut world = World::earning();
    world.running_job();

    world.intent(Intent::Quit { confirmed: false });
    assert!(world.shown().quit_asked);
    assert_eq!(world.count(is_freeze), 0);
    world.intent(Intent::Quit { confirmed: true });

    assert_eq!(world.phase(), Phase::Quitting);
    assert_eq!(world.log.last(), Some(&Effect::Exit));
}

#[test]
fn a_quit_while_the_pc_is_given_back_asks_nothing_of_a_job_that_is_ended_anyway() {
    let mut world = World::earning();
    world.running_job();
    world.hanging = is_stop;
    world.intent(UNTIL_RESUMED);

    world.intent(Intent::Quit { confirmed: false });

    assert_eq!((world.phase(), world.shown().quit_asked), (Phase::Quitting, false));
}

#[test]
fn the_question_whether_to_quit_is_over_when_its_job_is() {
    let mut world = World::earning();
    world.running_job();
    world.intent(Intent::Quit { confirmed: false });

    world.node(true);

    assert_eq!((world.phase(), world.shown().quit_asked), (Phase::Waiting, false));
}

#[test]
fn a_pause_answers_the_question_whether_to_quit() {
    let mut world = World::earning();
    world.running_job();
    world.hanging = is_stop;
    world.intent(Intent::Quit { confirmed: false });
    assert!(world.shown().quit_asked);

    world.intent(UNTIL_RESUMED);

    assert_eq!((world.phase(), world.shown().quit_asked), (Phase::Pausing, false));
}

#[test]
fn a_quit_during_a_pause_ends_the_program_after_it() {
    let mut world = World::earning();
    world.hanging = |effect| is_stop(effect);
    world.intent(UNTIL_RESUMED);
    let id = world.state.agent.giving_back().unwrap().id;

    world.signal(Signal::Terminate);
    assert_eq!(world.phase(), Phase::Quitting);
    world.send(Event::Outcome(Outcome::AgentStopped { id, result: Ok(()) }));

    assert_eq!(world.log.last(), Some(&Effect::Exit));
}

#[test]
fn a_quit_during_a_sign_out_remembers_that_nobody_is_signed_in() {
    let mut world = World::earning();
    world.hanging = is_stop;
    world.intent(Intent::SignOut);
    let id = world.state.agent.giving_back().unwrap().id;
    world.intent(Intent::Quit { confirmed: true });

    world.hanging = |_| false;
    world.send(Event::Outcome(Outcome::AgentStopped { id, result: Ok(()) }));

    let last_saved = world.log.iter().rev().find_map(|effect| {
        if let Effect::Settings(effect::Settings::Save(saved)) = effect {
            Some(saved.account.clone())
        } else {
            None
        }
    });
    assert_eq!(last_saved, Some(None));
    assert_eq!(world.log.last(), Some(&Effect::Exit));
}

#[test]
fn a_quit_on_a_disk_that_takes_nothing_ends_all_the_same() {
    let mut world = World::earning();
    world.hanging = |effect| matches!(effect, Effect::Settings(effect::Settings::Save(_)));

    world.intent(UNTIL_RESUMED);
    world.intent(Intent::Quit { confirmed: true });
    assert_ne!(world.log.last(), Some(&Effect::Exit));
    world.pass(5_000);

    assert_eq!(world.log.last(), Some(&Effect::Exit));
}

#[test]
fn a_quit_beside_others_who_never_answer_is_over_five_seconds_after_the_click() {
    let mut world = World::earning();
    world.running_job();
    world.hanging = |effect| !is_stop(effect) && !matches!(effect, Effect::Settings(_));

    world.intent(Intent::Quit { confirmed: true });
    for _ in 0..50 {
        world.pass(100);
    }

    assert_eq!(world.log.last(), Some(&Effect::Exit));
}

#[test]
fn a_termination_before_the_settings_are_read_ends_the_program_after_them() {
    let mut world = World::unread();

    world.signal(Signal::Terminate);
    assert_eq!(world.giving_back(), ["freeze earlier"], "what an earlier life left is not known yet");
    world.read(adopted());

    let order = [
        "freeze earlier",
        "freeze",
        "ineligible",
        "thaw",
        "stop allocations",
        "stop agent",
        "flush logs",
        "exit",
    ];
    assert_eq!((world.giving_back(), world.phase()), (order.to_vec(), Phase::Quitting));
}
