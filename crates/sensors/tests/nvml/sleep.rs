//! Cards that the system has put to sleep, as in laptops: no question may wake them.

use std::fs;

use ionet_core::fault::GpuFault;
use ionet_core::hardware::{CardState, Figures, GpuFigures};
use serde_json::{Value, json};

use crate::stage::{LARGE, LONG, SMALL, Stage, but, install, large, missing, small, states};

const FIRST: &str = "0000:01:00.0";
const SECOND: &str = "0000:02:00.0";

fn busy(card: Value) -> Value {
    but(card, json!({"utilisation_percent": 50}))
}

/// A laptop's card: the system may put it to sleep.
fn laptop(script: Value) -> Stage {
    let stage = Stage::with(script);
    fs::write(stage.device(FIRST).join("power/control"), "auto\n").unwrap();
    stage
}

fn asleep(uuid: &str) -> GpuFigures {
    GpuFigures { uuid: uuid.to_owned(), asleep: true, ..GpuFigures::default() }
}

#[test]
fn a_card_that_sleeps_is_shown_as_it_is_known_and_not_asked() {
    let stage = laptop(json!({"cards": [busy(small())]}));
    let cards = stage.cards();
    let awake = cards.look().unwrap();
    stage.asked();

    for status in ["suspended", "suspending"] {
        stage.power(FIRST, status);
        let seen = cards.look().unwrap();
        assert_eq!(states(&seen.gpus), [(SMALL, CardState::Asleep)]);
        assert_eq!((&seen.gpus[0].name, seen.gpus[0].memory), (&awake.gpus[0].name, awake.gpus[0].memory));
        assert_eq!(seen.driver, awake.driver);
        assert_eq!(cards.figures().unwrap().gpus, [asleep(SMALL)]);
        assert_eq!(stage.asked(), [""; 0], "{status}");
    }
    stage.power(FIRST, "active");
    assert_eq!(cards.look().unwrap().gpus, awake.gpus);
    assert_eq!(cards.figures().unwrap().gpus[0].temperature_c, Some(44));
}

/// Its next job would fail, and nobody had noticed.
#[test]
fn an_update_while_the_card_sleeps_is_noticed_and_does_not_wake_it() {
    let stage = laptop(json!({"driver": "571.24.01", "cards": [small()]}));
    let folder = stage.root.path().join("lib");
    fs::create_dir(&folder).unwrap();
    install(&folder, "571.24.01");
    let cards = stage.cards_of(missing(&folder), LONG);
    cards.look().unwrap();
    stage.power(FIRST, "suspended");
    cards.look().unwrap();
    stage.asked();

    install(&folder, "580.95.05");
    stage.play(json!({"driver": "571.24.01", "init": 18, "cards": [small()]}));

    assert_eq!(cards.look().err(), Some(GpuFault::DriverMismatch));
    assert_eq!(cards.figures().err(), Some(GpuFault::DriverMismatch));
    assert_eq!(stage.asked(), ["init"; 2]);
}

/// What it is can only be learnt from itself, so the first look wakes it; figures never do.
#[test]
fn a_card_that_was_never_seen_is_woken_by_the_first_look_alone() {
    let stage = laptop(json!({"cards": [small()]}));
    stage.power(FIRST, "suspended");
    let cards = stage.cards();
    assert_eq!(cards.figures().map(|figures| figures.gpus), Ok(vec![]));
    assert_eq!(stage.asked(), [""; 0]);

    assert_eq!(states(&cards.look().unwrap().gpus), [(SMALL, CardState::Working)]);

    assert!(!stage.asked().is_empty());
    assert_eq!(states(&cards.look().unwrap().gpus), [(SMALL, CardState::Asleep)], "it is let sleep again");
    assert_eq!(stage.asked(), [""; 0]);
}

#[test]
fn of_two_cards_only_the_one_that_is_awake_is_asked() {
    let stage = laptop(json!({"cards": [busy(small()), busy(large())]}));
    stage.put_on_bus(SECOND, "0x10de", "0x030000");
    let cards = stage.cards();
    cards.look().unwrap();
    stage.asked();

    stage.power(FIRST, "suspended");

    let seen = cards.look().unwrap();
    assert_eq!(states(&seen.gpus), [(SMALL, CardState::Asleep), (LARGE, CardState::Working)]);
    let figures = cards.figures().unwrap();
    let shown: Vec<_> = figures.gpus.iter().map(|gpu| (gpu.uuid.as_str(), gpu.asleep)).collect();
    assert_eq!(shown, [(LARGE, false), (SMALL, true)]);
    let asked = stage.asked();
    assert!(
        asked.iter().any(|line| line == "card 1") && !asked.iter().any(|line| line == "card 0"),
        "{asked:?}"
    );
}

/// A virtual machine's card is on the bus, and no driver of this PC's knows it.
#[test]
fn a_sleeping_card_that_the_driver_does_not_have_wakes_nobody() {
    let stage = laptop(json!({"cards": [busy(small())]}));
    stage.put_on_bus(SECOND, "0x10de", "0x030000");
    let cards = stage.cards();
    cards.look().unwrap();
    stage.asked();

    stage.power(FIRST, "suspended");
    stage.power(SECOND, "suspended");

    assert_eq!(states(&cards.look().unwrap().gpus), [(SMALL, CardState::Asleep)]);
    assert_eq!(cards.figures().unwrap().gpus, [asleep(SMALL)]);
    assert!(!stage.asked().iter().any(|line| line.starts_with("card")));
}

#[test]
fn a_card_that_may_sleep_is_held_open_by_nobody_and_another_is() {
    let stage = laptop(json!({"cards": [busy(small())]}));
    let cards = stage.cards();
    cards.look().unwrap();
    assert_eq!(stage.asked().last().map(String::as_str), Some("shutdown"));
    cards.figures().unwrap();
    assert_eq!(stage.asked().last().map(String::as_str), Some("shutdown"));

    fs::write(stage.device(FIRST).join("power/control"), "on\n").unwrap();
    cards.figures().unwrap();
    assert!(!stage.asked().iter().any(|line| line == "shutdown"));
}

/// As on desktops, where the system is willing.
#[test]
fn a_card_that_its_driver_never_lets_sleep_is_held_open() {
    let stage = laptop(json!({"cards": [small()]}));
    let about = stage.root.path().join("proc/driver/nvidia/gpus").join(FIRST);
    fs::create_dir_all(&about).unwrap();
    let days = [
        ("Enabled (fine-grained)", true),
        ("?", true),
        ("Disabled by default", false),
        ("Not supported", false),
    ];
    for (status, closes) in days {
        let text = format!("Runtime D3 status:          {status}\nVideo Memory:               Off\n");
        fs::write(about.join("power"), text).unwrap();
        let cards = stage.cards();
        cards.look().unwrap();
        assert_eq!(stage.asked().last().map(String::as_str) == Some("shutdown"), closes, "{status}");
        drop(cards);
        stage.asked();
    }
}

#[test]
fn an_idle_card_that_may_sleep_is_left_alone_and_its_reading_keeps_its_time() {
    let stage = laptop(json!({"cards": [small()]}));
    let cards = stage.cards();
    cards.look().unwrap();
    let first = cards.figures().unwrap();
    stage.asked();

    stage.play(json!({"cards": [but(small(), json!({"temperature_c": 99}))]}));

    assert_eq!(cards.figures(), Ok(first.clone()), "with the time at which it was read");
    assert_eq!(stage.asked(), [""; 0]);
    stage.power(FIRST, "suspended");
    let Figures { at, gpus, .. } = cards.figures().unwrap();
    assert!(at >= first.at && gpus == [asleep(SMALL)], "{gpus:?}");
}

#[test]
fn a_card_that_works_is_read_each_time_although_it_may_sleep() {
    let stage = laptop(json!({"cards": [busy(small())]}));
    let cards = stage.cards();
    assert_eq!(cards.figures().unwrap().gpus[0].temperature_c, Some(44));

    stage.play(json!({"cards": [but(busy(small()), json!({"temperature_c": 66}))]}));

    assert_eq!(cards.figures().unwrap().gpus[0].temperature_c, Some(66));
}
