//! A clock that jumps: after a boot without a battery, a wake-up, a correction by hand.

use proptest::prelude::*;

use super::*;

#[test]
fn a_clock_that_goes_back_for_years_keeps_no_file_open_for_years() {
    let shelf = Shelf::new(small());
    shelf.set_clock(4_000_000_000);
    shelf.write(&["by a wrong clock"]);
    shelf.set_clock(1_763_880_000);
    shelf.pass(Duration::from_secs(60));

    shelf.book.tick();

    assert_eq!(shelf.text("app"), "by a wrong clock\n");
}

#[test]
fn a_clock_that_swings_makes_no_storm_of_files() {
    let shelf = Shelf::new(small());
    for n in 0..50 {
        shelf.set_clock(if n % 2 == 0 { 0 } else { 4_000_000_000 });
        shelf.write(&["x"]);
        shelf.book.tick();
    }

    assert_eq!(shelf.waiting().len(), 0, "a minute has not passed yet");
}

#[test]
fn what_a_wrong_clock_named_is_still_shipped_in_the_order_of_writing_and_after_a_restart() {
    let shelf = Shelf::new(small());
    for (line, clock) in [("one", 1_763_880_000), ("two", 4_000_000_000), ("three", 1_763_880_100)] {
        shelf.set_clock(clock);
        shelf.write(&[line]);
        shelf.book.close();
    }

    let shelf = shelf.restart(small());
    shelf.set_clock(1_000);
    shelf.write(&["four"]);
    shelf.book.close();

    assert_eq!(shelf.text("app"), "one\ntwo\nthree\nfour\n");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_clock_does_no_line_is_lost_or_doubled(
        steps in proptest::collection::vec((0..u64::MAX / 2, 0..100_u64, any::<bool>()), 1..20),
    ) {
        let mut shelf = Shelf::new(small());
        let mut written = String::new();
        for (n, (clock, seconds, restart)) in steps.into_iter().enumerate() {
            shelf.set_clock(clock % 400_000_000_000);
            shelf.write(&[&n.to_string()]);
            written += &format!("{n}\n");
            shelf.pass(Duration::from_secs(seconds));
            shelf.book.tick();
            if restart {
                shelf = shelf.restart(small());
            }
        }
        shelf.book.close();
        prop_assert_eq!(shelf.text("app"), written);
    }
}
