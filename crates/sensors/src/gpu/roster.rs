//! Which cards there are: who is asked, who sleeps and who is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use ionet_core::fault::GpuFault;
use ionet_core::hardware::{CardState, CardTrouble, Driver, Figures, Gpu, GpuFigures, GpuMemory, UNNAMED};
use ionet_core::time::UnixMs;

use super::library::{Library, Origin};
use super::{OnBus, Search};
use crate::platform;

/// How long an idle card is left alone that may go to sleep: a question starts the system's own wait anew, and those in
/// use are below this.
const REST: Duration = Duration::from_secs(30);

/// Whom a question goes to.
pub(super) enum Asked {
    Everybody,
    /// The cards at these addresses on the bus. Asking for its handle is what wakes a card.
    At(Vec<String>),
}

impl Asked {
    fn all_but(these: &BTreeSet<Place>, bus: &[OnBus]) -> Self {
        if these.is_empty() {
            return Self::Everybody;
        }
        let is_meant = |card: &&OnBus| place(&card.address).is_none_or(|place| !these.contains(&place));
        Self::At(bus.iter().filter(is_meant).map(|card| card.address.clone()).collect())
    }

    fn is_nobody(&self) -> bool {
        matches!(self, Self::At(addresses) if addresses.is_empty())
    }
}

/// What one round of questions found.
pub(super) struct Seen<Of> {
    pub(super) cards: Vec<Of>,
    /// Why cards are missing that did not say who they are.
    pub(super) missing: Vec<CardTrouble>,
    /// A card said that it is lost or waits for a reset. When that has passed, only a library that is opened anew says so.
    pub(super) fallen: bool,
}

// By hand: a derived one would ask it of the cards too.
impl<Of> Default for Seen<Of> {
    fn default() -> Self {
        Self { cards: Vec::new(), missing: Vec::new(), fallen: false }
    }
}

/// Everything known of the cards between two questions.
pub(super) struct Roster {
    search: Search,
    library: Option<Library>,
    /// What the library was opened with last, held or not.
    origin: Option<Origin>,
    /// Of the library that was opened last.
    driver: Driver,
    /// Every card that was ever seen, by id.
    known: BTreeMap<String, Gpu>,
    /// The last reading, if nothing was going on then.
    idle: Option<Idle>,
}

struct Idle {
    since: Instant,
    asleep: BTreeSet<Place>,
    figures: Figures,
}

impl Roster {
    pub(super) fn new(search: Search) -> Self {
        Self {
            search,
            library: None,
            origin: None,
            driver: Driver::default(),
            known: BTreeMap::new(),
            idle: None,
        }
    }

    pub(super) fn look(&mut self) -> Result<(Vec<Gpu>, Driver), GpuFault> {
        let bus = platform::on_bus(&self.search.root);
        let known: BTreeSet<_> =
            self.known.values().filter(|gpu| may_work(gpu)).filter_map(|gpu| place(&gpu.pci)).collect();
        let asleep = &asleep(&bus) & &known;
        let known = self.known.values().filter(|gpu| may_work(gpu) && !is_at(gpu, &asleep)).count();
        let is_whole =
            move |seen: &Seen<Gpu>| !seen.fallen && seen.missing.is_empty() && seen.cards.len() >= known;
        let seen = self.ask(&bus, &asleep, Library::look, is_whole)?;
        if seen.cards.is_empty() && self.known.is_empty() {
            return Err(self.nobody(&seen.missing));
        }
        self.note(seen, &asleep);
        let mut gpus: Vec<_> = self.known.values().cloned().collect();
        gpus.sort_by(|a, b| (&a.pci, &a.uuid).cmp(&(&b.pci, &b.uuid)));
        Ok((gpus, self.driver.clone()))
    }

    pub(super) fn figures(&mut self) -> Result<Figures, GpuFault> {
        let bus = platform::on_bus(&self.search.root);
        if let Some(figures) = self.resting(&bus) {
            return Ok(figures);
        }
        let asleep = asleep(&bus);
        // A card that is out may stay so for days: the next look sees whether it is back.
        let seen = self.ask(&bus, &asleep, Library::figures, |_| true)?;
        if seen.cards.is_empty() && asleep.is_empty() {
            return Err(self.nobody(&seen.missing));
        }
        let sleepers = self.known.values().filter(|gpu| may_work(gpu) && is_at(gpu, &asleep));
        let sleepers =
            sleepers.map(|gpu| GpuFigures { uuid: gpu.uuid.clone(), asleep: true, ..GpuFigures::default() });
        let figures =
            Figures { at: now(), gpus: seen.cards.into_iter().chain(sleepers).collect(), capsule: None };
        let idle = figures.gpus.iter().all(|gpu| gpu.asleep || gpu.utilisation_percent == Some(0));
        self.idle = idle.then(|| Idle { since: Instant::now(), asleep, figures: figures.clone() });
        Ok(figures)
    }

    /// The last reading, where asking again would keep a card from going to sleep.
    fn resting(&self, bus: &[OnBus]) -> Option<Figures> {
        let Idle { since, asleep: slept, figures } = self.idle.as_ref()?;
        let may_sleep = bus.iter().any(|card| card.may_sleep && !card.asleep);
        (may_sleep && *slept == asleep(bus) && since.elapsed() < REST).then(|| figures.clone())
    }

    /// One round of questions to all but these. A library that does not answer, or not as it should, may only have lost
    /// touch: it is opened anew and asked once more.
    fn ask<Of>(
        &mut self,
        bus: &[OnBus],
        but: &BTreeSet<Place>,
        question: fn(&Library, &Asked) -> Result<Seen<Of>, GpuFault>,
        is_whole: impl Fn(&Seen<Of>) -> bool,
    ) -> Result<Seen<Of>, GpuFault> {
        let asked = Asked::all_but(but, bus);
        let current = self.origin.as_ref().map(|origin| origin.is_current(bus));
        if current != Some(false) && asked.is_nobody() {
            return Ok(Seen::default());
        }
        let mut held = self.library.take().filter(|_| current == Some(true));
        let seen = held.as_ref().map(|library| question(library, &asked));
        let seen = match seen {
            Some(Ok(seen)) if is_whole(&seen) => Ok(seen),
            Some(_) | None => {
                // The old one goes first: two at once would share their state.
                drop(held.take());
                let (library, origin) = Library::load(&self.search, bus)?;
                self.origin = Some(origin);
                self.driver = library.driver().clone();
                let seen = question(&library, &asked);
                held = seen.is_ok().then_some(library);
                seen
            }
        };
        // A library that is held open keeps a card from going to sleep.
        self.library = held.filter(|_| !bus.iter().any(|card| card.may_sleep));
        seen
    }

    /// Brings what is known up to date; who was not asked sleeps, and who was and is not there is out.
    fn note(&mut self, seen: Seen<Gpu>, asleep: &BTreeSet<Place>) {
        let mut absent: BTreeSet<_> = self.known.keys().cloned().collect();
        for mut gpu in seen.cards {
            absent.remove(&gpu.uuid);
            if let Some(known) = self.known.get(&gpu.uuid) {
                fill_in(&mut gpu, known);
            }
            self.known.insert(gpu.uuid.clone(), gpu);
        }
        let absent = self.known.values_mut().filter(|gpu| absent.contains(&gpu.uuid));
        let (sleepers, out): (Vec<_>, Vec<_>) = absent.partition(|gpu| may_work(gpu) && is_at(gpu, asleep));
        let trouble = trouble_of(&seen.missing, out.len());
        sleepers.into_iter().for_each(|gpu| gpu.state = CardState::Asleep);
        out.into_iter().for_each(|gpu| gpu.state = CardState::Out { trouble });
    }

    /// Why there is nobody at all.
    fn nobody(&self, missing: &[CardTrouble]) -> GpuFault {
        let names: Vec<_> = self.known.values().map(|gpu| gpu.name.as_str()).collect();
        match (missing.first(), names.is_empty()) {
            (None, true) => GpuFault::NoGpu,
            (Some(trouble), true) => GpuFault::CardsOut { cards: UNNAMED.to_owned(), trouble: *trouble },
            (trouble, false) => GpuFault::CardsOut {
                cards: names.join(", "),
                trouble: trouble.copied().unwrap_or(CardTrouble::Lost),
            },
        }
    }
}

/// What troubles so many cards that are out, where troubles came without a name: known only where it is the same for all.
fn trouble_of(missing: &[CardTrouble], out: usize) -> CardTrouble {
    match missing {
        [first, rest @ ..] if missing.len() == out && rest.iter().all(|other| other == first) => *first,
        _ => CardTrouble::Lost,
    }
}

/// What a card says at one time and not at another has not changed: its tags and the offer made of them stay as they are.
fn fill_in(gpu: &mut Gpu, known: &Gpu) {
    if gpu.name == UNNAMED {
        gpu.name.clone_from(&known.name);
    }
    if gpu.memory == GpuMemory::Unknown {
        gpu.memory = known.memory;
    }
    if gpu.pci.is_empty() {
        gpu.pci.clone_from(&known.pci);
    }
}

/// Domain, bus and device. The bus and NVML write the same address differently.
type Place = [u32; 3];

fn place(address: &str) -> Option<Place> {
    let number = |text: &str| u32::from_str_radix(text, 16).ok();
    match address.split([':', '.']).collect::<Vec<_>>()[..] {
        [domain, bus, device, _function] => Some([number(domain)?, number(bus)?, number(device)?]),
        [..] => None,
    }
}

fn asleep(bus: &[OnBus]) -> BTreeSet<Place> {
    bus.iter().filter(|card| card.asleep).filter_map(|card| place(&card.address)).collect()
}

fn is_at(gpu: &Gpu, places: &BTreeSet<Place>) -> bool {
    place(&gpu.pci).is_some_and(|place| places.contains(&place))
}

fn may_work(gpu: &Gpu) -> bool {
    !matches!(gpu.state, CardState::Out { .. })
}

fn now() -> UnixMs {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_without_a_name_is_given_to_no_card_that_may_have_another() {
        let (reset, unpowered) = (CardTrouble::NeedsReset, CardTrouble::Unpowered);
        for (missing, out, trouble) in [
            (vec![reset], 1, reset),
            (vec![reset, reset], 2, reset),
            (vec![reset], 2, CardTrouble::Lost),
            (vec![reset, unpowered], 2, CardTrouble::Lost),
            (vec![], 1, CardTrouble::Lost),
        ] {
            assert_eq!(trouble_of(&missing, out), trouble, "{missing:?} of {out}");
        }
    }

    #[test]
    fn the_bus_and_nvml_mean_the_same_card() {
        assert_eq!(place("0000:01:00.0"), place("00000000:01:00.0"));
        assert_eq!(place("000f:01:00.0"), place("0000000F:01:00.0"));
        assert_ne!(place("0000:01:00.0"), place("0000:02:00.0"));
        assert_eq!(place(""), None);
    }
}
