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
}

impl Facts {
    /// Mainboard and network cards, as far as this user may read them. GPUs are known later.
    pub fn of_this_pc() -> Self {
        Self::of_parts(hardware::boards(), hardware::network_cards(), [])
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

    pub(super) fn add_gpus(&mut self, uuids: impl IntoIterator<Item = String>) {
        self.add(Kind::Gpu, uuids);
    }

    fn add(&mut self, kind: Kind, values: impl IntoIterator<Item = String>) {
        let facts = values.into_iter().map(|value| value.trim().to_lowercase());
        let real = facts.filter(|value| !is_placeholder(value));
        self.0.extend(real.map(|value| Fact { kind, value }));
    }
}

/// Salted hashes of facts.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    /// Parts of the same kinds, and none of them known.
    Other,
    /// The two have no kind of part in common: nothing can be said.
    Unknown,
}

impl Fingerprint {
    pub(super) fn take(facts: &Facts) -> Self {
        let mut salt = [0; 16];
        rand::rng().fill_bytes(&mut salt);
        let salt = hex::encode(salt);
        let facts = facts.0.iter().map(|fact| hashed(&salt, fact)).collect();
        Self { salt, facts }
    }

    pub(super) fn compare(&self, facts: &Facts) -> Likeness {
        if facts.0.iter().any(|fact| self.facts.contains(&hashed(&self.salt, fact))) {
            return Likeness::Same;
        }
        let comparable = facts.0.iter().any(|fact| self.facts.iter().any(|known| known.kind == fact.kind));
        if comparable { Likeness::Other } else { Likeness::Unknown }
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

        assert_eq!(taken.compare(&facts("", "00:11:22:33:44:55", "")), Likeness::Unknown);
        assert_eq!(taken.compare(&Facts::default()), Likeness::Unknown);
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
