//! What is shown of it.

use super::{DiskView, LEAST_DISK, LEAST_RATE, MOST_DISK, MOST_RATE, ShareView};
use crate::state::State;
use crate::time::Gigabytes;

/// None where jobs have no capsule: nothing holds them to a share.
pub(crate) fn share(state: &State) -> Option<ShareView> {
    let chosen = state.owner.share;
    let given = state.work.given.filter(|(id, _)| state.agent.live() == Some(*id));
    state.work.capsule.then(|| ShareView {
        chosen,
        waits: given.is_some_and(|(_, given)| given != chosen),
        disk: disk(state),
        least_rate: LEAST_RATE,
        most_rate: MOST_RATE,
    })
}

fn disk(state: &State) -> DiskView {
    let (free, jobs) = (state.work.free, state.work.disk);
    let size = jobs.map(|disk| disk.size.gigabytes_begun());
    // What jobs take is theirs already.
    let theirs = jobs.map_or(0, |disk| disk.used.gigabytes().0);
    DiskView {
        least: LEAST_DISK,
        most: free.map_or(MOST_DISK, |free| Gigabytes(free.0.saturating_add(theirs)).min(MOST_DISK)),
        free,
        used: jobs.map(|disk| disk.used.gigabytes_begun()),
        size,
        stays_larger: state.owner.share.disk.zip(size).is_some_and(|(chosen, size)| chosen < size),
    }
}
