//! The cards themselves: what each is, what it does, and what keeps it from work.

use ionet_core::fault::GpuFault;
use ionet_core::hardware::{
    CardState, CardTrouble, Driver, GpuFigures, GpuMemory, GpuProcess, Instance, UNNAMED,
};
use ionet_core::time::Bytes;
use ionet_sensors::Cards;
use serde_json::{Value, json};

use crate::stage::{LARGE, SMALL, Stage, alone, but, large, out, small, states};

#[test]
fn one_ordinary_card_is_described_whole() {
    let stage = Stage::with(json!({}));
    let cards = stage.cards();

    let hardware = cards.look().unwrap();

    let driver = Driver { version: "571.24-double".into(), cuda: "12.8".into(), double: true };
    assert_eq!(hardware.driver, driver);
    let [gpu] = &hardware.gpus[..] else { panic!("{:?}", hardware.gpus) };
    assert_eq!(gpu.name, "NVIDIA GeForce RTX 4090");
    assert_eq!(gpu.memory, GpuMemory::Own { total: Bytes(24564 << 20) });
    assert_eq!(gpu.pci, "00000000:01:00.0");
    assert_eq!(gpu.uuid, "GPU-00000000-0000-4000-8000-000000000000");
    assert_eq!((gpu.state, gpu.instances.len(), gpu.repair_pending), (CardState::Working, 0, false));
    assert!(hardware.cpu.threads > 0 && hardware.memory.0 > 0 && hardware.os.family == "linux");

    let figures = cards.figures().unwrap();
    let expected = GpuFigures {
        uuid: gpu.uuid.clone(),
        asleep: false,
        temperature_c: Some(41),
        power_mw: Some(23_500),
        utilisation_percent: Some(0),
        memory_used: Some(Bytes(512 << 20)),
        processes: vec![],
    };
    assert_eq!(figures.gpus, [expected]);
}

#[test]
fn the_library_is_started_once_and_sees_what_changes() {
    let stage = Stage::with(json!({"cards": [{"temperature_c": 41}]}));
    let cards = stage.cards();
    let heat = || cards.figures().unwrap().gpus[0].temperature_c;
    cards.look().unwrap();
    let (first, earlier) = (heat(), cards.figures().unwrap().at);

    stage.play(json!({"cards": [{"temperature_c": 83}]}));

    assert_eq!((first, heat()), (Some(41), Some(83)));
    cards.look().unwrap();
    assert!(cards.figures().unwrap().at >= earlier);
    assert_eq!(stage.asked().iter().filter(|line| *line == "init").count(), 1);
}

#[test]
fn a_question_that_a_card_does_not_answer_stays_empty() {
    let silent = json!({
        "name": null, "pci": null, "memory_mb": null, "temperature_c": null, "power_mw": null,
        "utilisation_percent": null, "processes": null, "compute_mode": null, "virtualisation": null,
    });
    let stage = Stage::with(json!({"cuda": null, "cards": [silent]}));
    let cards = stage.cards();

    let hardware = cards.look().unwrap();

    assert_eq!(hardware.driver.cuda, "");
    let gpu = &hardware.gpus[0];
    assert_eq!((gpu.name.as_str(), gpu.memory, gpu.pci.as_str()), (UNNAMED, GpuMemory::Unknown, ""));
    assert_eq!(gpu.state, CardState::Working);
    let nothing = GpuFigures { uuid: gpu.uuid.clone(), ..GpuFigures::default() };
    assert_eq!(cards.figures().unwrap().gpus, [nothing]);
}

#[test]
fn a_figure_that_no_card_can_have_is_no_answer() {
    let odd = json!({"temperature_c": u32::MAX, "power_mw": u32::MAX, "utilisation_percent": 101});
    let stage = Stage::with(json!({"cards": [odd]}));

    let figures = stage.cards().figures().unwrap();

    let shown = &figures.gpus[0];
    assert_eq!((shown.temperature_c, shown.power_mw, shown.utilisation_percent), (None, None, None));
}

#[test]
fn a_process_that_computes_and_draws_is_listed_once() {
    let stage = Stage::with(json!({"cards": [{"processes": [
        {"pid": 30, "memory_mb": 300, "kind": "both"},
        {"pid": 10, "memory_mb": null, "kind": "graphics"},
        {"pid": 20, "memory_mb": 200},
    ]}]}));

    let figures = stage.cards().figures().unwrap();

    let process =
        |pid, memory: Option<u64>| GpuProcess { pid, memory_used: memory.map(|mb| Bytes(mb << 20)) };
    let expected = [process(10, None), process(20, Some(200)), process(30, Some(300))];
    assert_eq!(figures.gpus[0].processes, expected);
}

#[test]
fn hundreds_of_processes_fit_into_the_list() {
    let many: Vec<Value> = (1..=400).map(|pid| json!({"pid": pid, "memory_mb": 1})).collect();
    let stage = Stage::with(json!({"cards": [{"processes": many}]}));

    let figures = stage.cards().figures().unwrap();

    assert_eq!(figures.gpus[0].processes.len(), 400);
}

fn heat(cards: &Cards) -> Vec<(String, Option<u32>)> {
    let figures = cards.figures().unwrap();
    figures.gpus.into_iter().map(|gpu| (gpu.uuid, gpu.temperature_c)).collect()
}

#[test]
fn figures_stand_under_their_cards_id_whatever_the_order_and_whoever_is_missing() {
    let stage = Stage::with(json!({"cards": [small(), large()]}));
    let cards = stage.cards();
    let (cool, hot) = ((SMALL.to_owned(), Some(44)), (LARGE.to_owned(), Some(77)));
    assert_eq!(heat(&cards), [cool.clone(), hot.clone()]);

    stage.play(json!({"cards": [but(small(), json!({"lost": true})), large()]}));
    assert_eq!(heat(&cards), std::slice::from_ref(&hot), "nothing of the lost card is live");

    stage.play(json!({"cards": [large(), small()]}));
    assert_eq!(heat(&cards), [hot, cool]);
}

/// It may stay out for days, and figures are asked for every other second.
#[test]
fn figures_do_not_start_the_library_anew_for_a_card_that_is_out() {
    let stage = Stage::with(json!({"cards": [but(small(), json!({"lost": true})), large()]}));
    let cards = stage.cards();
    cards.look().unwrap();
    stage.asked();

    for _ in 0..5 {
        assert_eq!(heat(&cards), [(LARGE.to_owned(), Some(77))]);
    }

    assert!(!stage.asked().iter().any(|line| line == "init"));
}

#[test]
fn a_card_that_falls_off_stays_named_as_lost_while_the_others_go_on_until_it_is_back() {
    let stage = Stage::with(json!({"cards": [small(), large()]}));
    let cards = stage.cards();
    let whole = cards.look().unwrap();
    assert_eq!(states(&whole.gpus), [(SMALL, CardState::Working), (LARGE, CardState::Working)]);

    let ways = [
        json!([but(small(), json!({"lost": true})), large()]),
        json!([but(small(), json!({"codes": {"memory": 15, "name": 15, "temperature": 15}})), large()]),
        json!([large()]),
    ];
    for way in ways {
        stage.play(json!({"cards": way}));
        let left = cards.look().unwrap();
        assert_eq!(states(&left.gpus), [(SMALL, out(CardTrouble::Lost)), (LARGE, CardState::Working)]);
        let (before, now) = (&whole.gpus[0], &left.gpus[0]);
        assert_eq!((&now.name, now.memory, &now.pci), (&before.name, before.memory, &before.pci));

        stage.play(json!({"cards": [large(), small()]}));
        assert_eq!(cards.look().unwrap().gpus, whole.gpus, "in the same order too");
    }
}

#[test]
fn what_a_card_does_not_say_this_time_stays_as_it_is_known() {
    let stage = Stage::with(json!({"cards": [small()]}));
    let cards = stage.cards();
    let first = cards.look().unwrap().gpus;

    stage.play(json!({"cards": [but(small(), json!({"codes": {"name": 999, "memory": 999, "pci": 999}}))]}));

    assert_eq!(cards.look().unwrap().gpus, first);
}

#[test]
fn when_every_card_is_out_they_are_named_and_there_are_no_figures() {
    let stage = Stage::with(json!({"cards": [small(), large()]}));
    let cards = stage.cards();
    cards.look().unwrap();

    let lost = |card| but(card, json!({"lost": true}));
    stage.play(json!({"cards": [lost(small()), lost(large())]}));

    let names = "NVIDIA GeForce RTX 3060, NVIDIA GeForce RTX 4090".to_owned();
    let fault = GpuFault::CardsOut { cards: names, trouble: CardTrouble::Lost };
    assert_eq!(cards.look().err(), Some(fault.clone()));
    assert_eq!(cards.figures().err(), Some(fault.clone()));
    stage.play(json!({"cards": []}));
    assert_eq!(cards.look().err(), Some(fault), "also when the driver no longer counts them");
}

#[test]
fn what_keeps_a_card_from_work_is_told_apart() {
    let days = [
        (json!({"codes": {"memory": 16}}), CardTrouble::NeedsReset),
        (json!({"recovery": 1}), CardTrouble::NeedsReset),
        (json!({"recovery": 2}), CardTrouble::NeedsReset),
        (json!({"recovery": 4}), CardTrouble::NeedsReset),
        (json!({"compute_mode": 2}), CardTrouble::Prohibited),
        (json!({"virtualisation": 3}), CardTrouble::LentOut),
        (json!({"virtualisation": 4}), CardTrouble::LentOut),
        (json!({"repair_failed": true}), CardTrouble::Worn),
        (json!({"instances": []}), CardTrouble::Divided),
        (json!({"handle": 4}), CardTrouble::Forbidden),
        (json!({"handle": 17}), CardTrouble::Forbidden),
        (json!({"handle": 8}), CardTrouble::Unpowered),
        (json!({"handle": 11}), CardTrouble::Silent),
        (json!({"handle": 999}), CardTrouble::Silent),
    ];
    let stage = Stage::with(json!({}));
    for (day, trouble) in days {
        stage.play(json!({"cards": [small(), large()]}));
        let cards = stage.cards();
        cards.look().unwrap();

        stage.play(json!({"cards": [but(small(), day.clone()), large()]}));

        let gpus = cards.look().unwrap().gpus;
        assert_eq!(states(&gpus), [(SMALL, out(trouble)), (LARGE, CardState::Working)], "{day}");
        stage.play(json!({"cards": [but(small(), day.clone())]}));
        let Some(GpuFault::CardsOut { cards, trouble: said }) = stage.fault() else { panic!("{day}") };
        let name = if day["handle"].is_null() { "NVIDIA GeForce RTX 3060" } else { UNNAMED };
        assert_eq!((cards.as_str(), said), (name, trouble), "{day}");
    }
}

#[test]
fn what_does_not_keep_a_card_from_work_does_not() {
    let days = [
        json!({"compute_mode": 3}),
        json!({"virtualisation": 1}),
        json!({"virtualisation": 2}),
        json!({"recovery": 0}),
        json!({"recovery": 3}),
        json!({"repair_pending": false, "repair_failed": false}),
        json!({"codes": {"mig": 999, "fields": 999, "compute_mode": 999, "virtualisation": 999}}),
    ];
    for day in days {
        let stage = Stage::with(json!({"cards": [day]}));
        assert_eq!(stage.cards().look().unwrap().gpus[0].state, CardState::Working, "{day}");
    }
    let stage = Stage::with(json!({"cards": [{"repair_pending": true}]}));
    let gpu = &stage.cards().look().unwrap().gpus[0];
    assert_eq!((gpu.state, gpu.repair_pending), (CardState::Working, true));
}

#[test]
fn a_card_that_is_cut_shows_its_instances_and_takes_no_jobs() {
    let slice = json!({"name": "NVIDIA A100 MIG 1g.10gb", "uuid": "MIG-1", "memory_mb": 9728});
    let parent = json!({"name": "NVIDIA A100-SXM4-80GB", "memory_mb": 81920, "instances": [slice]});
    let stage = Stage::with(json!({"cards": [parent, large()]}));
    let cards = stage.cards();

    let hardware = cards.look().unwrap();

    let cut = hardware.gpus.iter().find(|gpu| gpu.uuid != LARGE).unwrap();
    assert_eq!((cut.state, cut.memory), (out(CardTrouble::Divided), GpuMemory::Unknown));
    let memory = GpuMemory::Own { total: Bytes(9728 << 20) };
    let instance = Instance { uuid: "MIG-1".into(), name: "NVIDIA A100 MIG 1g.10gb".into(), memory };
    assert_eq!(cut.instances, [instance]);
    stage.play(json!({"cards": [{"name": "NVIDIA A100-SXM4-80GB", "memory_mb": 81920}, large()]}));
    let whole = cards.look().unwrap();
    assert_eq!(whole.for_jobs().count(), 2, "MIG is off again");
}

#[test]
fn memory_is_the_cards_own_the_systems_or_unknown_and_never_nothing() {
    let a100 = "NVIDIA A100-SXM4-80GB";
    let days = [
        (json!({"name": "NVIDIA GB10", "memory_mb": null}), GpuMemory::Shared),
        (json!({"name": "Orin (nvgpu)", "memory_mb": null}), GpuMemory::Shared),
        (json!({"name": "NVIDIA GH200 480GB", "memory_mb": null}), GpuMemory::Shared),
        (json!({"name": "NVIDIA GH200 480GB", "memory_mb": 1024}), GpuMemory::Own { total: Bytes(1 << 30) }),
        (json!({"name": "NVIDIA GB10", "codes": {"memory": 4}}), GpuMemory::Unknown),
        (json!({"name": a100, "memory_mb": null}), GpuMemory::Unknown),
        (json!({"name": a100, "codes": {"memory": 4}}), GpuMemory::Unknown),
        (json!({"name": a100, "memory_mb": 0, "memory_used_mb": 0}), GpuMemory::Unknown),
        (json!({"name": a100, "memory_mb": 1_u64 << 43}), GpuMemory::Unknown),
    ];
    for (card, memory) in days {
        let stage = Stage::with(json!({"cards": [card]}));
        assert_eq!(stage.cards().look().unwrap().gpus[0].memory, memory, "{card}");
    }
}

#[test]
fn odd_texts_are_shown_plain_or_not_at_all() {
    let names = [
        (json!([0xff, 0xfe, 0x41]), UNNAMED),
        (json!("x".repeat(200)), UNNAMED),
        (json!(""), UNNAMED),
        (json!(" NVIDIA\u{1b}]0;x\u{7} RTX\n4090 "), "NVIDIA ]0;x RTX 4090"),
        (json!("NVIDIA™ „Karte“"), "NVIDIA Karte"),
    ];
    for (name, shown) in names {
        let stage = Stage::with(json!({"cards": [{"name": name, "pci": [0xff]}]}));
        let gpus = stage.cards().look().unwrap().gpus;
        assert_eq!((gpus[0].name.as_str(), gpus[0].pci.as_str()), (shown, ""));
    }
}

#[test]
fn a_card_without_a_sound_id_is_left_out_and_does_not_hide_the_others() {
    for uuid in [json!(null), json!([0xff]), json!("x".repeat(200)), json!("GPU\u{1b}[31m"), json!("GPU 1")] {
        let nobody = json!({"uuid": uuid});
        let stage = Stage::with(json!({"cards": [nobody, large()]}));
        let cards = stage.cards();

        let gpus = cards.look().unwrap().gpus;

        assert_eq!(states(&gpus), [(LARGE, CardState::Working)], "{uuid}");
        assert_eq!(heat(&cards), [(LARGE.to_owned(), Some(77))]);
        stage.play(json!({"cards": [nobody]}));
        let fault = GpuFault::CardsOut { cards: UNNAMED.into(), trouble: CardTrouble::Silent };
        assert_eq!(stage.fault(), Some(fault), "{uuid}");
    }
}

#[test]
fn of_two_cards_with_one_id_only_the_first_counts() {
    let twin = but(large(), json!({"uuid": SMALL}));
    let stage = Stage::with(json!({"cards": [small(), twin]}));
    let cards = stage.cards();

    let gpus = cards.look().unwrap().gpus;

    assert_eq!((gpus.len(), gpus[0].name.as_str()), (1, "NVIDIA GeForce RTX 3060"));
    assert_eq!(heat(&cards), [(SMALL.to_owned(), Some(44))]);
}

#[test]
fn sixteen_cards_are_sixteen_and_a_count_in_disorder_ends() {
    let many: Vec<Value> = (0..16).map(|_| json!({})).collect();
    let stage = Stage::with(json!({"cards": many}));
    assert_eq!(stage.cards().look().unwrap().for_jobs().count(), 16);

    stage.play(json!({"cards": many, "count": u32::MAX}));
    assert_eq!(stage.cards().look().unwrap().for_jobs().count(), 16);
}

/// The same expectations, whatever answers. Nothing here depends on which card it is.
fn expect_sound_answers(cards: &Cards) {
    let hardware = cards.look().unwrap();
    assert!(!hardware.gpus.is_empty());
    for gpu in &hardware.gpus {
        assert!(gpu.uuid.starts_with("GPU-") && gpu.uuid.len() == 40, "{}", gpu.uuid);
        assert!(!gpu.name.is_empty(), "{gpu:?}");
        assert!(hardware.memory_of(gpu).is_none_or(|memory| memory.0 > 1 << 30), "{gpu:?}");
        assert!(gpu.pci.len() >= 12 && gpu.pci.ends_with('0'), "{}", gpu.pci);
    }
    let (major, minor) = hardware.driver.cuda.split_once('.').unwrap();
    assert!(major.parse::<u32>().unwrap() >= 12 && minor.parse::<u32>().is_ok(), "{:?}", hardware.driver);
    let figures = cards.figures().unwrap();
    assert_eq!(figures.gpus.len(), hardware.gpus.len());
    for now in &figures.gpus {
        let gpu = hardware.gpus.iter().find(|gpu| gpu.uuid == now.uuid).unwrap();
        assert!(now.memory_used <= hardware.memory_of(gpu), "{now:?}");
        assert!(now.temperature_c.is_none_or(|celsius| (1..150).contains(&celsius)), "{now:?}");
        assert!(now.utilisation_percent.is_none_or(|percent| percent <= 100), "{now:?}");
    }
}

#[test]
fn the_double_answers_as_a_driver_does() {
    let stage = Stage::with(json!({"cards": [{}, {}]}));

    expect_sound_answers(&stage.cards());
}

#[test]
fn a_real_driver_answers_as_the_double_does() {
    let _alone = alone();
    let cards = Cards::default();
    match cards.look() {
        Ok(hardware) if !hardware.driver.double => {
            expect_sound_answers(&cards);
            let is_real =
                ["/proc/driver/nvidia", "/dev/dxg"].iter().any(|file| std::path::Path::new(file).exists());
            assert!(is_real);
        }
        Ok(_) | Err(_) if std::env::var_os("IONET_REAL_NVML").is_none() => {
            println!("skipped: needs an NVIDIA driver");
        }
        Ok(_) => panic!("IONET_REAL_NVML is set, but the double answered"),
        Err(fault) => panic!("IONET_REAL_NVML is set, but {fault}"),
    }
}
