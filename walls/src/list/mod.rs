//! The attacks. Those on the gate, on images and on a card's share come from the same kinds of lines.

mod disk;
mod filter;
mod knowledge;
mod namespaces;

use crate::attack::{Attack, Deed};
use crate::sides::{By, Layer, TOKEN};

pub(crate) fn all() -> Vec<Attack> {
    [filter::all(), disk::all(), knowledge::all(), namespaces::all()].into_iter().flatten().collect()
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
