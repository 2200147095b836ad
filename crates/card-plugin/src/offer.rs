//! What is offered of the cards that there are.

use std::collections::{BTreeMap, BTreeSet};

use ionet_core::hardware::{CardState, CardTrouble, Driver, Gpu, GpuMemory};

use crate::protocol::{Attribute, Device, Fingerprint, Group, Locality, Value};

pub(crate) const VENDOR: &str = "nvidia";
pub(crate) const KIND: &str = "gpu";

/// The ids of the cards that may be given to jobs at all. The others are never spoken of.
pub(crate) type Lent = BTreeSet<String>;

/// The cards that are lent, those of one name together.
pub(crate) fn offer(gpus: &[Gpu], driver: &Driver, lent: &Lent) -> Fingerprint {
    let mut models = BTreeMap::<&str, Vec<&Gpu>>::new();
    for gpu in gpus.iter().filter(|gpu| lent.contains(&gpu.uuid)) {
        models.entry(&gpu.name).or_default().push(gpu);
    }
    let groups = models.into_iter().map(|(name, gpus)| Group {
        vendor: VENDOR.to_owned(),
        kind: KIND.to_owned(),
        name: name.to_owned(),
        devices: gpus.iter().map(|gpu| device(gpu)).collect(),
        attributes: attributes(&gpus, driver),
    });
    Fingerprint { groups: groups.collect() }
}

/// The same cards, none of which can be given while this is so.
pub(crate) fn none_of(mut last: Fingerprint, why: &str) -> Fingerprint {
    for device in last.groups.iter_mut().flat_map(|group| &mut group.devices) {
        device.healthy = false;
        why.clone_into(&mut device.health);
    }
    last
}

/// Why no job can be given to it; none where one can.
pub(crate) fn trouble(gpu: &Gpu) -> Option<&'static str> {
    let CardState::Out { trouble } = gpu.state else { return None };
    Some(match trouble {
        CardTrouble::Lost => "it was there and does not answer any longer",
        CardTrouble::NeedsReset => "it waits for a reset",
        CardTrouble::Unpowered => "its power cables are not plugged in",
        CardTrouble::Worn => "some of its memory has failed",
        CardTrouble::Divided => "it is cut into instances",
        CardTrouble::Prohibited => "its compute mode lets no program compute on it",
        CardTrouble::LentOut => "it is handed out to virtual machines",
        CardTrouble::Forbidden => "this user may not talk to it",
        CardTrouble::Silent => "it answers no question",
    })
}

fn device(gpu: &Gpu) -> Device {
    let trouble = trouble(gpu);
    Device {
        id: gpu.uuid.clone(),
        healthy: trouble.is_none(),
        health: trouble.unwrap_or_default().to_owned(),
        locality: Some(&gpu.pci).filter(|pci| !pci.is_empty()).map(|pci| Locality { pci: pci.clone() }),
    }
}

/// What every card of the group has that can be given: cards of one name come with more memory and with less.
fn attributes(gpus: &[&Gpu], driver: &Driver) -> BTreeMap<String, Attribute> {
    let able = gpus.iter().filter(|gpu| trouble(gpu).is_none());
    let memory = able.map(|gpu| mebibytes(gpu)).min().flatten();
    let memory = memory.map(|memory| Attribute { value: Some(Value::Int(memory)), unit: "MiB".to_owned() });
    let text = |text: &String| {
        let value = Some(Value::Text(text.clone())).filter(|_| !text.is_empty())?;
        Some(Attribute { value: Some(value), unit: String::new() })
    };
    [("memory", memory), ("driver_version", text(&driver.version)), ("cuda", text(&driver.cuda))]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

/// None where it has none of its own, or does not say.
pub(crate) fn mebibytes(gpu: &Gpu) -> Option<i64> {
    match gpu.memory {
        GpuMemory::Own { total } => i64::try_from(total.0 >> 20).ok(),
        GpuMemory::Shared | GpuMemory::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use ionet_core::time::Bytes;

    use super::*;

    fn gpu(uuid: &str, name: &str, gigabytes: u64) -> Gpu {
        Gpu {
            uuid: uuid.to_owned(),
            name: name.to_owned(),
            memory: GpuMemory::Own { total: Bytes(gigabytes << 30) },
            pci: "00000000:01:00.0".to_owned(),
            state: CardState::Working,
            instances: Vec::new(),
            repair_pending: false,
        }
    }

    fn lent(ids: &[&str]) -> Lent {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    fn driver() -> Driver {
        Driver { version: "571.24".to_owned(), cuda: String::new(), double: false }
    }

    #[test]
    fn cards_of_one_name_are_one_group_and_promise_what_the_least_of_them_has() {
        let gpus = [gpu("GPU-1", "RTX 3080", 12), gpu("GPU-2", "RTX 4090", 24), gpu("GPU-3", "RTX 3080", 10)];

        let offered = offer(&gpus, &driver(), &lent(&["GPU-1", "GPU-2", "GPU-3"]));

        let ids = |group: &Group| group.devices.iter().map(|device| device.id.clone()).collect::<Vec<_>>();
        assert_eq!(
            offered.groups.iter().map(ids).collect::<Vec<_>>(),
            [vec!["GPU-1", "GPU-3"], vec!["GPU-2"]]
        );
        let memory = &offered.groups[0].attributes["memory"];
        assert_eq!((memory.value.clone(), memory.unit.as_str()), (Some(Value::Int(10 << 10)), "MiB"));
        assert!(!offered.groups[0].attributes.contains_key("cuda"), "what is not known has no attribute");
    }

    #[test]
    fn a_group_of_which_one_card_does_not_say_its_memory_promises_none() {
        let silent = Gpu { memory: GpuMemory::Unknown, ..gpu("GPU-2", "RTX 3080", 0) };

        let offered = offer(&[gpu("GPU-1", "RTX 3080", 10), silent], &driver(), &lent(&["GPU-1", "GPU-2"]));

        assert!(!offered.groups[0].attributes.contains_key("memory"));
    }

    #[test]
    fn a_card_that_is_not_lent_is_never_spoken_of() {
        let gpus = [gpu("GPU-1", "RTX 3080", 10), gpu("GPU-2", "RTX 4090", 24)];

        let offered = offer(&gpus, &driver(), &lent(&["GPU-2", "GPU-9"]));

        assert_eq!(offered.groups.len(), 1);
        assert_eq!(offered.groups[0].devices[0].id, "GPU-2");
        assert!(offer(&gpus, &driver(), &lent(&[])).groups.is_empty());
    }

    #[test]
    fn a_card_that_is_out_stays_in_its_group_and_cannot_be_given() {
        let state = CardState::Out { trouble: CardTrouble::Divided };
        let out = Gpu { state, memory: GpuMemory::Unknown, ..gpu("GPU-1", "H100", 80) };
        let asleep = Gpu { state: CardState::Asleep, ..gpu("GPU-2", "H100", 80) };

        let offered = offer(&[out, asleep], &driver(), &lent(&["GPU-1", "GPU-2"]));

        let [out, asleep] = &offered.groups[0].devices[..] else { panic!("{offered:?}") };
        assert_eq!((out.healthy, out.health.as_str()), (false, "it is cut into instances"));
        assert!(asleep.healthy, "it wakes for a job");
        assert_eq!(offered.groups[0].attributes["memory"].value, Some(Value::Int(80 << 10)));
        assert!(none_of(offered, "gone").groups[0].devices.iter().all(|device| !device.healthy));
    }
}
