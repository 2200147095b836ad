use super::*;

fn card(uuid: &str, name: &str, gigabytes: u64) -> Gpu {
    Gpu {
        uuid: uuid.to_owned(),
        name: name.to_owned(),
        memory: GpuMemory::Own { total: Bytes(gigabytes << 30) },
        pci: String::new(),
        state: CardState::Working,
        instances: Vec::new(),
        repair_pending: false,
    }
}

fn out(gpu: Gpu, trouble: CardTrouble) -> Gpu {
    Gpu { state: CardState::Out { trouble }, ..gpu }
}

fn pc(gpus: Vec<Gpu>) -> Hardware {
    Hardware {
        gpus,
        driver: Driver { version: "571.24".into(), cuda: "12.8".into(), double: false },
        cpu: Cpu::default(),
        memory: Bytes(128 << 30),
        disks: Vec::new(),
        os: Os::default(),
    }
}

/// Model, count and memory, as the tags of this PC promise them.
fn promised(gpus: Vec<Gpu>) -> [Option<String>; 3] {
    let mut tags = tags(&pc(gpus));
    ["ionet.gpu", "ionet.gpu_count", "ionet.gpu_memory_gb"].map(|tag| tags.remove(tag))
}

fn promise(model: &str, count: &str, memory: &str) -> [Option<String>; 3] {
    [model, count, memory].map(|tag| Some(tag.to_owned()))
}

const SMALL: &str = "NVIDIA GeForce RTX 3060";
const LARGE: &str = "NVIDIA GeForce RTX 4090";

#[test]
fn cards_that_are_alike_are_counted_together() {
    let alike = vec![card("a", LARGE, 24), card("b", LARGE, 24)];

    assert_eq!(promised(alike), promise("nvidia-geforce-rtx-4090", "2", "24"));
}

#[test]
fn of_different_cards_the_tags_promise_only_those_that_are_alike() {
    let (small, large) = (card("a", SMALL, 12), card("b", LARGE, 24));
    let one_of_each = promise("nvidia-geforce-rtx-4090", "1", "24");
    assert_eq!(promised(vec![small.clone(), large.clone()]), one_of_each);
    assert_eq!(promised(vec![large.clone(), small.clone()]), one_of_each, "in whichever order");

    let more_small = vec![large, small.clone(), card("c", SMALL, 12), card("d", SMALL, 12)];
    assert_eq!(promised(more_small), promise("nvidia-geforce-rtx-3060", "3", "12"));

    let one_name_two_sizes = vec![small, card("e", SMALL, 8)];
    assert_eq!(promised(one_name_two_sizes), promise("nvidia-geforce-rtx-3060", "1", "12"));
}

#[test]
fn a_card_that_is_out_is_promised_to_nobody_and_one_that_sleeps_is() {
    let lost = out(card("b", LARGE, 24), CardTrouble::Lost);
    let small = promise("nvidia-geforce-rtx-3060", "1", "12");
    assert_eq!(promised(vec![card("a", SMALL, 12), lost.clone()]), small);

    let asleep = Gpu { state: CardState::Asleep, ..card("a", SMALL, 12) };
    assert_eq!(promised(vec![asleep]), small);

    assert_eq!(promised(vec![lost.clone()]), [None, Some("0".into()), None]);
    let tags = tags(&pc(vec![lost]));
    assert!(!tags.contains_key("ionet.driver") && !tags.contains_key("ionet.cuda"), "{tags:?}");
}

#[test]
fn a_card_in_the_systems_memory_is_promised_with_that_and_an_unknown_one_with_none() {
    let gb10 = Gpu { memory: GpuMemory::Shared, ..card("a", "NVIDIA GB10", 0) };
    assert_eq!(promised(vec![gb10.clone()]), promise("nvidia-gb10", "1", "128"));
    let nothing_known = Hardware { memory: Bytes(0), ..pc(vec![gb10]) };
    assert!(!tags(&nothing_known).contains_key("ionet.gpu_memory_gb"));

    let unknown = Gpu { memory: GpuMemory::Unknown, ..card("a", "NVIDIA A100-SXM4-80GB", 0) };
    assert_eq!(promised(vec![unknown]), [Some("nvidia-a100-sxm4-80gb".into()), Some("1".into()), None]);
}

#[test]
fn what_is_not_known_has_no_tag() {
    let nameless = Gpu { memory: GpuMemory::Unknown, ..card("a", UNNAMED, 0) };
    let odd = Gpu { memory: GpuMemory::Unknown, ..card("a", "™ — 「」", 0) };
    for gpu in [nameless, odd] {
        assert_eq!(promised(vec![gpu]), [None, Some("1".into()), None]);
    }

    let bare = Hardware { driver: Driver::default(), memory: Bytes(0), ..pc(vec![card("a", LARGE, 24)]) };
    let tags = tags(&bare);
    let keys: Vec<_> = tags.keys().map(String::as_str).collect();
    assert_eq!(keys, ["ionet.gpu", "ionet.gpu_count", "ionet.gpu_memory_gb"]);
}

#[test]
fn cards_are_named_together_that_are_out_for_one_reason() {
    let pc = pc(vec![
        out(card("a", SMALL, 12), CardTrouble::Lost),
        card("b", LARGE, 24),
        out(card("c", LARGE, 24), CardTrouble::Divided),
        out(card("d", LARGE, 24), CardTrouble::Lost),
    ]);

    let expected =
        BTreeMap::from([(CardTrouble::Lost, vec![SMALL, LARGE]), (CardTrouble::Divided, vec![LARGE])]);

    assert_eq!(pc.troubles(), expected);
    assert_eq!(pc.for_jobs().map(|gpu| gpu.uuid.as_str()).collect::<Vec<_>>(), ["b"]);
}
