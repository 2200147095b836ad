//! The attacks.

mod card;
mod disk;
mod filter;
mod gate;
mod images;
mod knowledge;
mod namespaces;
mod requests;

use crate::attack::{Attack, Deed};
use crate::sides::{By, Layer, TOKEN};

pub(crate) fn all() -> Vec<Attack> {
    let of_the_gate = [gate::all(), requests::all(), images::all(), card::all()];
    let behind = [filter::all(), disk::all(), knowledge::all(), namespaces::all()];
    of_the_gate.into_iter().chain(behind).flatten().collect()
}

/// The words of a deed.
fn words(act: &str) -> Vec<String> {
    act.split(' ').map(str::to_owned).collect()
}

/// Reads, and must not find the owner's word.
fn learns(name: &str, by: By, layer: Layer, script: &str) -> Attack {
    finds(name, by, layer, script, TOKEN)
}

fn finds(name: &str, by: By, layer: Layer, script: &str, secret: &str) -> Attack {
    Attack::new(name, by, layer, Deed::Learn { script: script.to_owned(), secret: secret.to_owned() })
}
