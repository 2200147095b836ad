//! Followed in folders of this PC.

use super::*;

#[path = "bounds.rs"]
mod bounds;
#[path = "follow.rs"]
mod follow;
#[path = "rewritten.rs"]
mod rewritten;

fn sources(_shelf: &mut Shelf, agent: PathBuf, allocations: PathBuf) -> Sources {
    Sources::Here { agent, allocations }
}
