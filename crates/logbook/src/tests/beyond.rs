//! Followed beyond a door: the same, and what happens when whoever answers comes and goes.

use super::*;

mod away;
#[path = "bounds.rs"]
#[expect(clippy::duplicate_mod, reason = "what holds for folders of this PC holds beyond a door")]
mod bounds;
#[path = "follow.rs"]
#[expect(clippy::duplicate_mod, reason = "what holds for folders of this PC holds beyond a door")]
mod follow;
#[path = "rewritten.rs"]
#[expect(clippy::duplicate_mod, reason = "what holds for folders of this PC holds beyond a door")]
mod rewritten;
mod served;

pub(super) use served::Served;

/// Whoever answers lives as long as the shelf, over all of its lives.
fn sources(shelf: &mut Shelf, agent: PathBuf, allocations: PathBuf) -> Sources {
    let folder = shelf.folder.path().to_owned();
    let served = shelf.served.get_or_insert_with(|| Served::start(&folder, agent, allocations));
    Sources::Beyond(served.door())
}
