//! Whether this is still the PC that the key was made on, without keeping anything that names its parts.

use std::collections::BTreeSet;

use rand::RngCore;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::hardware;

/// What a PC is made of: numbers that its parts carry from the factory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts(BTreeSet<Fact>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Fact {
    kind: Kind,
    value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Board,
    NetworkCard,
    Gpu,
    /// The installed operating system. A copied disk brings it along, so that it is the same says nothing; that it is another one
    /// may say something.
    System,
}

/// Parts that stay for years. Network cards come and go with docks, adapters and made-up addresses.
const STRONG: [Kind; 2] = [Kind::Board, Kind::Gpu];

impl Facts {
    /// As far as this user may read them without waking anything up. More GPUs may be known later.
    pub fn of_this_pc() -> Self {
        Self::of_parts(hardware::boards(), hardware::network_cards(), hardware::gpus())
            .with_system(hardware::system())
    }

    pub fn of_parts(
        boards: impl IntoIterator<Item = String>,
        network_cards: impl IntoIterator<Item = String>,
        gpus: impl IntoIterator<Item = String>,
    ) -> Self {
        let mut facts = Self::default();
        facts.add(Kind::Board, boards);
        facts.add(Kind::NetworkCard, network_cards);
        facts.add(Kind::Gpu, gpus);
        facts
    }

    /// With the operating system's own id.
    pub fn with_system(mut self, id: Option<String>) -> Self {
        self.add(Kind::System, id);
        self
    }

    pub(super) fn add_gpus(&mut self, uuids: impl IntoIterator<Item = String>) {
        self.add(Kind::Gpu, uuids);
    }

    fn add(&mut self, kind: Kind, values: impl IntoIterator<Item = String>) {
        let facts = values.into_iter().map(|value| value.trim().to_lowercase());
        let real = facts.filter(|value| !is_placeholder(value));
        self.0.extend(real.map(|value| Fact { kind, value }));
    }
}

/// More parts than a PC has in its life; the network cards of long ago go first.
const MOST_FACTS: usize = 64;

/// Salted hashes of facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fingerprint {
    salt: String,
    facts: Vec<HashedFact>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct HashedFact {
    kind: Kind,
    hash: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Likeness {
    /// At least one part is still there.
    Same,
    /// None is known of those that would tell.
    Other,
    /// What would tell is not known here, or not yet.
    Undecided,
}

impl Fingerprint {
    pub(super) fn take(facts: &Facts) -> Self {
        let mut salt = [0; 16];
        rand::rng().fill_bytes(&mut salt);
        let salt = hex::encode(salt);
        let facts = facts.0.iter().map(|fact| hashed(&salt, fact)).collect();
        Self { salt, facts }
    }

    /// With these too: parts that are not there now may come back.
    pub(super) fn with(mut self, facts: &Facts) -> Self {
        for fact in facts.0.iter().map(|fact| hashed(&self.salt, fact)) {
            if !self.facts.contains(&fact) {
                self.facts.push(fact);
            }
        }
        while self.facts.len() > MOST_FACTS {
            let oldest_card = self.facts.iter().position(|fact| fact.kind == Kind::NetworkCard);
            self.facts.remove(oldest_card.unwrap_or(0));
        }
        self
    }

    /// Where nothing but network cards differs, nothing is decided: an identity that is set aside for a dock that is not
    /// plugged in costs its owner a device; one that is shared for a while until the GPUs are known costs nobody much. Nor
    /// does a system that was installed anew beside them decide, where a GPU on record has yet to be found or missed.
    pub(super) fn compare(&self, facts: &Facts) -> Likeness {
        let tells = facts.0.iter().filter(|fact| fact.kind != Kind::System);
        if tells.into_iter().any(|fact| self.knows(fact)) {
            return Likeness::Same;
        }
        let anew = self.contradicts(facts, Kind::NetworkCard) && self.contradicts(facts, Kind::System);
        let elsewhere = anew && !self.awaits(facts, Kind::Gpu);
        let other = elsewhere || STRONG.into_iter().any(|kind| self.contradicts(facts, kind));
        if other { Likeness::Other } else { Likeness::Undecided }
    }

    fn knows(&self, fact: &Fact) -> bool {
        self.facts.contains(&hashed(&self.salt, fact))
    }

    /// Parts of this kind then, and none known now.
    fn awaits(&self, facts: &Facts, kind: Kind) -> bool {
        self.facts.iter().any(|known| known.kind == kind) && !facts.0.iter().any(|fact| fact.kind == kind)
    }

    /// Parts of this kind then and now, and none of them the same.
    fn contradicts(&self, facts: &Facts, kind: Kind) -> bool {
        let then = self.facts.iter().any(|known| known.kind == kind);
        let mut now = facts.0.iter().filter(|fact| fact.kind == kind).peekable();
        then && now.peek().is_some() && !now.any(|fact| self.knows(fact))
    }
}

fn hashed(salt: &str, fact: &Fact) -> HashedFact {
    let text = format!("{salt}\n{:?}\n{}", fact.kind, fact.value);
    HashedFact { kind: fact.kind, hash: hex::encode(Sha256::digest(text)) }
}

/// What makers leave in place of a number; many PCs share these.
fn is_placeholder(value: &str) -> bool {
    const SHARED: [&str; 8] = [
        "03000200-0400-0500-0006-000700080009",
        "to be filled by o.e.m.",
        "default string",
        "not specified",
        "not applicable",
        "system serial number",
        "none",
        "n/a",
    ];
    let digits: BTreeSet<char> = value.chars().filter(char::is_ascii_alphanumeric).collect();
    digits.len() < 2 || value.len() < 4 || SHARED.contains(&value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(board: &str, card: &str, gpu: &str) -> Facts {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Facts::of_parts(some(board), some(card), some(gpu))
    }

    #[test]
    fn one_known_part_is_enough_to_be_the_same_pc() {
        let taken = Fingerprint::take(&facts("board-1", "00:11:22:33:44:55", "GPU-1"));

        let same = [
            facts("board-1", "", ""),
            facts("board-2", "00:11:22:33:44:55", ""),
            facts("board-2", "00:00:5e:33:44:01", "gpu-1"),
        ]
        .map(|now| taken.compare(&now));

        assert_eq!(same, [Likeness::Same; 3]);
    }

    #[test]
    fn other_parts_of_the_same_kinds_are_another_pc() {
        let taken = Fingerprint::take(&facts("board-1", "00:11:22:33:44:55", ""));

        let likeness = taken.compare(&facts("board-2", "00:11:22:33:44:66", "GPU-1"));

        assert_eq!(likeness, Likeness::Other);
    }

    #[test]
    fn without_a_kind_in_common_nothing_is_said() {
        let taken = Fingerprint::take(&facts("board-1", "", ""));

        assert_eq!(taken.compare(&facts("", "00:11:22:33:44:55", "")), Likeness::Undecided);
        assert_eq!(taken.compare(&Facts::default()), Likeness::Undecided);
    }

    #[test]
    fn network_cards_alone_never_make_another_pc_but_another_system_beside_them_does() {
        let home = |card: &str, gpu: &str, id: &str| facts("", card, gpu).with_system(Some(id.to_owned()));
        let taken = Fingerprint::take(&home("00:11:22:33:44:55", "", "system-1"));

        let now = [
            ("00:11:22:33:44:66", "system-1"),
            ("00:11:22:33:44:55", "system-2"),
            ("00:11:22:33:44:66", "system-2"),
        ];
        let likenesses = now.map(|(card, id)| taken.compare(&home(card, "GPU-1", id)));

        assert_eq!(likenesses, [Likeness::Undecided, Likeness::Same, Likeness::Other]);
    }

    #[test]
    fn a_copied_system_on_another_card_is_another_pc() {
        let taken =
            Fingerprint::take(&facts("", "00:11:22:33:44:55", "GPU-1").with_system(Some("system-1".into())));

        let copy = facts("", "00:11:22:33:44:66", "GPU-2").with_system(Some("system-1".into()));

        assert_eq!(taken.compare(&copy), Likeness::Other);
    }

    #[test]
    fn a_part_that_was_there_once_still_tells_and_their_number_has_an_end() {
        let docked = facts("", "00:11:22:33:44:55", "GPU-1");
        let mut known = Fingerprint::take(&docked).with(&facts("", "00:11:22:33:44:66", "GPU-1"));

        assert_eq!(known.compare(&facts("", "00:11:22:33:44:55", "")), Likeness::Same);
        for number in 0..200 {
            known = known.with(&facts("", &format!("00:11:22:33:55:{number}"), "GPU-1"));
        }
        assert_eq!(known.facts.len(), MOST_FACTS);
        assert_eq!(known.clone().with(&facts("", "00:11:22:33:55:199", "")), known);
    }

    #[test]
    fn what_many_pcs_share_is_no_fact() {
        let shared = ["Default string", "00:00:00:00:00:00", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "", "0"];

        let facts = Facts::of_parts(shared.map(str::to_owned), [], []);

        assert_eq!(facts, Facts::default());
    }

    #[test]
    fn a_fingerprint_names_no_part_and_differs_every_time() {
        let facts = facts("board-1", "00:11:22:33:44:55", "");

        let texts = [(); 2].map(|()| serde_json::to_string(&Fingerprint::take(&facts)).unwrap());

        assert!(!texts[0].contains("board-1") && !texts[0].contains("44:55"));
        assert_ne!(texts[0], texts[1]);
    }
}
