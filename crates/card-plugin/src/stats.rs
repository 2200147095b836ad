//! What the cards are doing, in the form that the agent passes on.

use std::collections::BTreeMap;

use ionet_core::hardware::{Figures, Gpu, GpuFigures};

use crate::offer::{KIND, VENDOR, mebibytes};
use crate::protocol::{DeviceStats, Figure, Figures as Named, GroupStats, Span, Stats};

/// What a figure does not say of its card.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    name: String,
    /// In mebibytes.
    memory: Option<i64>,
}

impl Known {
    pub(crate) fn of(gpu: &Gpu) -> (String, Self) {
        (gpu.uuid.clone(), Self { name: gpu.name.clone(), memory: mebibytes(gpu) })
    }
}

/// Of the cards that are known. One that sleeps says nothing.
pub(crate) fn of(figures: &Figures, known: &BTreeMap<String, Known>) -> Stats {
    let at = Span {
        seconds: figures.at.0.div_euclid(1_000),
        nanos: i32::try_from(figures.at.0.rem_euclid(1_000) * 1_000_000).unwrap_or_default(),
    };
    let mut groups = BTreeMap::<&str, GroupStats>::new();
    for gpu in figures.gpus.iter().filter(|gpu| !gpu.asleep) {
        let Some(Known { name, memory }) = known.get(&gpu.uuid) else { continue };
        let group = groups.entry(name).or_insert_with(|| GroupStats {
            vendor: VENDOR.to_owned(),
            kind: KIND.to_owned(),
            name: name.clone(),
            devices: BTreeMap::new(),
        });
        group.devices.insert(gpu.uuid.clone(), device(gpu, *memory, at));
    }
    Stats { groups: groups.into_values().collect() }
}

fn device(gpu: &GpuFigures, memory: Option<i64>, at: Span) -> DeviceStats {
    let used = gpu.memory_used.and_then(|used| i64::try_from(used.0 >> 20).ok());
    let figure = |number: Option<i64>, of, unit: &str, about: &str| {
        let figure =
            |number| Figure { number: Some(number), of, unit: unit.to_owned(), about: about.to_owned() };
        number.map(figure)
    };
    let summary = figure(used, memory, "MiB", "memory used");
    let figures = [
        ("Memory used", summary.clone()),
        ("Utilisation", figure(gpu.utilisation_percent.map(i64::from), None, "%", "of the card")),
        ("Temperature", figure(gpu.temperature_c.map(i64::from), None, "C", "of the card")),
        ("Power", figure(gpu.power_mw.map(|power| i64::from(power / 1_000)), None, "W", "drawn by the card")),
    ];
    let by_name = figures.into_iter().filter_map(|(name, figure)| Some((name.to_owned(), figure?))).collect();
    DeviceStats { summary, figures: Some(Named { by_name }), at: Some(at) }
}

#[cfg(test)]
mod tests {
    use ionet_core::time::{Bytes, UnixMs};

    use super::*;

    #[test]
    fn only_what_a_known_card_says_is_told() {
        let known = Known { name: "RTX 4090".to_owned(), memory: Some(24_564) };
        let known = BTreeMap::from([("GPU-1".to_owned(), known.clone()), ("GPU-2".to_owned(), known)]);
        let card = |uuid: &str| GpuFigures {
            uuid: uuid.to_owned(),
            memory_used: Some(Bytes(512 << 20)),
            power_mw: Some(23_500),
            ..GpuFigures::default()
        };
        let asleep = GpuFigures { asleep: true, ..card("GPU-2") };
        let figures =
            Figures { at: UnixMs(1_500), gpus: vec![card("GPU-1"), asleep, card("GPU-3")], capsule: None };

        let told = of(&figures, &known);

        assert_eq!(told.groups.len(), 1);
        let devices = &told.groups[0].devices;
        assert_eq!(devices.keys().collect::<Vec<_>>(), ["GPU-1"]);
        let said = &devices["GPU-1"];
        assert_eq!(said.at, Some(Span { seconds: 1, nanos: 500_000_000 }));
        let summary = said.summary.as_ref().unwrap();
        assert_eq!((summary.number, summary.of), (Some(512), Some(24_564)));
        let by_name = &said.figures.as_ref().unwrap().by_name;
        assert_eq!(by_name.keys().collect::<Vec<_>>(), ["Memory used", "Power"]);
        assert_eq!(by_name["Power"].number, Some(23));
    }
}
