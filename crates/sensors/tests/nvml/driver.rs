//! The driver: not there, not there yet, replaced, silent.

use std::fs;
use std::time::{Duration, Instant};

use ionet_core::fault::GpuFault;
use ionet_sensors::{Cards, MINIMUM_DRIVER, Presence};
use serde_json::{Value, json};

use crate::stage::{LONG, Stage, double, install, missing};

/// A PC whose bus has one device on it.
fn with_device(vendor: &str, class: &str) -> Stage {
    let stage = Stage::with(json!({}));
    fs::remove_dir_all(stage.device("0000:01:00.0")).unwrap();
    stage.put_on_bus("0000:01:00.0", vendor, class);
    stage
}

fn without_library(stage: &Stage) -> Cards {
    stage.cards_of(missing(stage.root.path()), LONG)
}

#[test]
fn a_library_that_is_not_there_means_no_driver_only_where_there_is_a_card() {
    let days = [
        ("0x10de", "0x030000", Presence::Present, GpuFault::DriverMissing),
        ("0x10de", "0x030200", Presence::Present, GpuFault::DriverMissing),
        // Only its sound function; another maker's card.
        ("0x10de", "0x040300", Presence::Absent, GpuFault::NoGpu),
        ("0x1002", "0x030000", Presence::Absent, GpuFault::NoGpu),
    ];
    for (vendor, class, presence, fault) in days {
        let stage = with_device(vendor, class);
        let cards = without_library(&stage);
        assert_eq!((cards.presence(), cards.look().err()), (presence, Some(fault)), "{vendor} {class}");
        assert!(stage.asked().is_empty());
    }
}

#[test]
fn a_card_behind_wsl_or_on_no_bus_at_all_is_not_called_absent() {
    let stage = with_device("0x1414", "0x030200");
    let cards = without_library(&stage);
    assert_eq!(cards.presence(), Presence::Absent);
    let root = stage.root.path();

    fs::create_dir(root.join("dev")).unwrap();
    fs::write(root.join("dev/dxg"), "").unwrap();
    assert_eq!((cards.presence(), cards.look().err()), (Presence::Unknown, Some(GpuFault::DriverMissing)));

    fs::create_dir_all(root.join("proc/device-tree")).unwrap();
    fs::write(root.join("proc/device-tree/compatible"), "nvidia,p3768\0nvidia,tegra234\0").unwrap();
    assert_eq!(cards.presence(), Presence::Present);

    fs::remove_dir_all(root).unwrap();
    assert_eq!(cards.presence(), Presence::Unknown);
    fs::create_dir(root).unwrap();
}

#[test]
fn a_library_is_found_in_a_place_that_the_loader_does_not_know() {
    let stage = Stage::with(json!({}));
    let search = ionet_sensors::Search {
        libraries: vec!["libnvidia-ml-nobody-has.so.1".into(), double()],
        root: stage.root.path().to_owned(),
        patience: LONG,
    };

    assert!(Cards::new(search).look().is_ok());
}

#[test]
fn a_library_that_cannot_be_loaded_is_a_broken_driver() {
    let stage = Stage::with(json!({}));
    let library = missing(stage.root.path());
    fs::write(&library, "not a library").unwrap();

    let fault = stage.cards_of(library, LONG).look().err();

    assert_eq!(fault, Some(GpuFault::DriverBroken("its management library cannot be loaded".into())));
}

#[test]
fn a_library_without_its_functions_is_a_broken_driver() {
    let stage = Stage::with(json!({}));

    let fault = stage.cards_of("libc.so.6".into(), LONG).look().err();

    assert_eq!(fault, Some(GpuFault::DriverBroken("its management library is incomplete".into())));
}

#[test]
fn a_driver_that_is_not_loaded_is_no_card_only_where_there_is_none() {
    let stage = Stage::with(json!({"init": 9}));
    assert_eq!(stage.fault(), Some(GpuFault::DriverNotLoaded));
    drop(stage);

    let stage = with_device("0x1002", "0x030000");
    stage.play(json!({"init": 9}));
    assert_eq!(stage.fault(), Some(GpuFault::NoGpu));
}

/// The app was there first, or the driver went while it ran: the same handle sees it.
#[test]
fn a_driver_that_comes_later_is_found_by_the_handle_that_missed_it() {
    let stage = Stage::with(json!({"init": 9}));
    let cards = stage.cards();
    for code in [9, 18, 4, 999] {
        stage.play(json!({"init": code}));
        assert!(cards.look().is_err() && cards.figures().is_err(), "{code}");

        stage.play(json!({}));

        assert_eq!(cards.look().unwrap().for_jobs().count(), 1, "{code}");
    }
}

#[test]
fn a_driver_that_was_replaced_asks_for_a_restart_at_the_start_and_in_mid_life() {
    let stage = Stage::with(json!({}));
    let cards = stage.cards();
    cards.look().unwrap();

    stage.play(json!({"init": 18}));

    assert_eq!(cards.look().err(), Some(GpuFault::DriverMismatch));
    assert_eq!(cards.figures().err(), Some(GpuFault::DriverMismatch));
    assert_eq!(stage.fault(), Some(GpuFault::DriverMismatch));
}

#[test]
fn an_update_is_noticed_although_the_library_in_memory_goes_on_answering() {
    let stage = Stage::with(json!({"driver": "571.24.01"}));
    let folder = stage.root.path().join("lib");
    fs::create_dir(&folder).unwrap();
    install(&folder, "571.24.01");
    let cards = stage.cards_of(missing(&folder), LONG);
    cards.look().unwrap();

    // The new library says so itself; or it is the old one once more, and only its name tells.
    stage.play(json!({"driver": "571.24.01", "init": 18, "opened_before": "answer"}));
    assert!(cards.look().is_ok(), "nothing has changed on the disk");
    install(&folder, "580.95.05");
    assert_eq!(cards.look().err(), Some(GpuFault::DriverMismatch));
    stage.play(json!({"driver": "571.24.01"}));
    assert_eq!(cards.look().err(), Some(GpuFault::DriverMismatch));

    // After the restart.
    stage.play(json!({"driver": "580.95.05"}));
    assert_eq!(cards.look().unwrap().driver.version, "580.95.05");
}

#[test]
fn a_library_that_has_lost_touch_is_opened_anew() {
    let stage = Stage::with(json!({}));
    let cards = stage.cards();
    for code in [1, 9, 15, 16, 18, 999] {
        cards.look().unwrap();
        stage.asked();
        // The script differs from the last one, so what was opened under that is stale.
        stage.play(json!({"stale": code}));

        assert!(cards.look().is_ok(), "{code}");
        stage.play(json!({"stale": code, "cuda": "12.9"}));
        assert!(cards.figures().is_ok(), "{code}");

        assert_eq!(stage.asked().iter().filter(|line| *line == "init").count(), 2, "{code}");
    }
}

#[test]
fn a_card_that_is_plugged_in_later_is_counted() {
    let stage = Stage::with(json!({"cards": [{}]}));
    let cards = stage.cards();
    cards.look().unwrap();
    stage.asked();

    stage.put_on_bus("0000:02:00.0", "0x10de", "0x030000");
    stage.play(json!({"cards": [{}, {}]}));

    assert_eq!(cards.look().unwrap().for_jobs().count(), 2);
    assert_eq!(stage.asked().iter().filter(|line| *line == "init").count(), 1, "NVML counts at its start");
}

#[test]
fn any_other_code_at_start_is_a_broken_driver_and_no_crash() {
    for code in (1..=30).chain([999, u32::MAX]) {
        let stage = Stage::with(json!({"init": code}));

        let fault = stage.fault();

        let right = match code {
            6 | 28 => fault == Some(GpuFault::NoGpu),
            9 => fault == Some(GpuFault::DriverNotLoaded),
            18 => fault == Some(GpuFault::DriverMismatch),
            _ => matches!(fault, Some(GpuFault::DriverBroken(_))),
        };
        assert!(right, "code {code} gave {fault:?}");
    }
}

#[test]
fn an_old_driver_is_named_with_what_is_needed() {
    let stage = Stage::with(json!({"driver": "470.256.02"}));

    let needed = MINIMUM_DRIVER.to_string();
    assert_eq!(stage.fault(), Some(GpuFault::DriverTooOld { found: "470.256.02".into(), needed }));
}

#[test]
fn a_driver_without_cards_is_no_gpu() {
    let stage = Stage::with(json!({"cards": []}));

    assert_eq!(stage.fault(), Some(GpuFault::NoGpu));
    assert_eq!(stage.cards().figures().err(), Some(GpuFault::NoGpu));
}

#[test]
fn a_driver_whose_version_cannot_be_read_works_all_the_same() {
    let stage = Stage::with(json!({"driver": [0xff, 0xfe]}));

    assert_eq!(stage.cards().look().unwrap().driver.version, "");
}

fn threads_named(name: &str) -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let named = |task: &fs::DirEntry| {
        fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim() == name)
    };
    tasks.filter(named).count()
}

#[test]
fn a_driver_that_hangs_holds_one_thread_and_is_heard_again_when_it_answers() {
    let stage = Stage::with(json!({}));
    let before = threads_named("cards");
    let cards = stage.cards_of(double(), Duration::from_millis(100));
    let hangs: &[fn(&Stage)] = &[
        |stage| stage.play(json!({"hang": true})),
        |stage| stage.play(json!({"hang": true, "cuda": "12.9"})),
    ];
    for hang in hangs {
        hang(&stage);
        for _ in 0..20 {
            assert_eq!(cards.look().err(), Some(GpuFault::DriverSilent));
            assert_eq!(cards.figures().err(), Some(GpuFault::DriverSilent));
        }
        assert_eq!(threads_named("cards"), before + 1);

        stage.play(json!({}));

        let deadline = Instant::now() + LONG;
        while cards.look().is_err() {
            assert!(Instant::now() < deadline, "it is not heard again");
            std::thread::yield_now();
        }
        assert!(cards.figures().is_ok());
    }
}

#[test]
fn a_handle_can_be_let_go_while_the_driver_hangs() {
    let stage = Stage::with(json!({"hang": true}));
    let cards = stage.cards_of(double(), Duration::from_millis(100));
    assert_eq!(cards.look().err(), Some(GpuFault::DriverSilent));

    drop(cards);

    stage.play(Value::Object(Default::default()));
    assert!(stage.cards().look().is_ok());
}
