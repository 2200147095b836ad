//! Whoever answers is not there yet, goes in the middle, or never says a word.

use std::os::unix::net::UnixListener;
use std::time::Instant;

use proptest::prelude::*;

use super::follow::*;
use super::*;

#[test]
fn while_nobody_answers_nothing_fails_and_it_goes_on_where_it_was_left_off() {
    let (mut shelf, agent, job) = following(small());
    add(&agent.join("client.log"), agent_lines(0..3));
    add(&job.join("t.stdout.0"), "one\n");
    shelf.book.tick();
    let before = fs::read(shelf.logs().join("follow.json")).unwrap();

    shelf.served.as_mut().unwrap().end();
    add(&agent.join("client.log"), agent_lines(3..5));
    add(&job.join("t.stdout.1"), "two\n");
    for _ in 0..3 {
        assert_eq!(shelf.book.turn(&Stop::default()), Went::Nothing);
        assert_eq!(shelf.report().fault, None);
    }
    assert_eq!(fs::read(shelf.logs().join("follow.json")).unwrap(), before);

    shelf.served.as_mut().unwrap().begin();
    shelf.book.tick();
    shelf.book.close();
    assert_eq!(shelf.text("agent"), agent_lines(0..5));
    assert_eq!(shelf.text(&format!("jobs/{ALLOCATION}/t.stdout")), "one\ntwo\n");
}

#[test]
fn what_an_earlier_life_took_over_gets_old_and_is_shipped_though_nobody_answers_any_more() {
    let (mut shelf, agent, job) = following(small());
    add(&agent.join("client.log"), agent_lines(0..3));
    add(&job.join("t.stdout.0"), "one\n");
    shelf.book.tick();
    shelf.served.as_mut().unwrap().end();

    let mut shelf = restart(shelf, small());
    shelf.book.tick();
    shelf.pass(Duration::from_secs(61));
    shelf.book.tick();

    assert_eq!(shelf.text("agent"), agent_lines(0..3));
    assert_eq!(shelf.text(&format!("jobs/{ALLOCATION}/t.stdout")), "one\n");
    shelf.served.as_mut().unwrap().begin();
    add(&job.join("t.stdout.0"), "two\n");
    shelf.book.tick();
    shelf.book.close();
    assert_eq!(shelf.text(&format!("jobs/{ALLOCATION}/t.stdout")), "one\ntwo\n");
}

#[test]
fn whoever_takes_a_question_and_is_silent_holds_no_turn_up() {
    let mut shelf = Shelf::new(small());
    let socket = shelf.folder.path().join("silent.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    shelf.book.follow(Sources::Beyond(Door::at(&socket)));
    let begun = Instant::now();

    assert_eq!(shelf.book.turn(&Stop::default()), Went::Nothing);

    // No longer than a pause waits for logs.
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    assert_eq!(shelf.report().fault, None);
    shelf.served = None;
    drop(listener);
}

#[derive(Debug, Clone)]
enum Happens {
    Line,
    Rotation,
    Turn,
    Restart,
    Cut(usize),
    Ends,
    Begins,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => Just(Happens::Line),
        1 => Just(Happens::Rotation),
        4 => Just(Happens::Turn),
        1 => Just(Happens::Restart),
        3 => (0..3000_usize).prop_map(Happens::Cut),
        1 => Just(Happens::Ends),
        1 => Just(Happens::Begins),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn wherever_the_line_is_cut_each_line_of_agent_and_job_comes_once_and_in_order(
        story in proptest::collection::vec(happens(), 1..50),
    ) {
        let (mut shelf, agent, job) = following(small());
        let (mut lines, mut rotated) = (0, 0);
        for happening in story {
            match happening {
                Happens::Line => {
                    add(&agent.join("client.log"), agent_lines(lines..lines + 1));
                    add(&job.join(format!("t.stdout.{rotated}")), agent_lines(lines..lines + 1));
                    lines += 1;
                }
                Happens::Rotation if agent.join("client.log").exists() => {
                    rotated += 1;
                    fs::rename(agent.join("client.log"), agent.join(format!("client-{rotated}.log"))).unwrap();
                }
                Happens::Rotation => {}
                Happens::Turn => drop(shelf.book.tick()),
                Happens::Restart => shelf = restart(shelf, small()),
                Happens::Cut(bytes) => shelf.served.as_ref().unwrap().cut_after(bytes),
                Happens::Ends => shelf.served.as_mut().unwrap().end(),
                Happens::Begins => shelf.served.as_mut().unwrap().begin(),
            }
            prop_assert_eq!(shelf.report().fault, None);
        }
        shelf.served.as_mut().unwrap().begin();
        shelf.served.as_ref().unwrap().mend();
        shelf.book.tick();
        shelf.book.close();
        prop_assert_eq!(shelf.text("agent"), agent_lines(0..lines));
        prop_assert_eq!(shelf.text(&format!("jobs/{ALLOCATION}/t.stdout")), agent_lines(0..lines));
    }
}
