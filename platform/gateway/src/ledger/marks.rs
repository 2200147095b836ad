//! What the servers' record said of one allocation, in the order of its changes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ClientStatus;

/// An allocation that goes back and forth more often than this loses its shortest pauses, which are then paid.
const MOST: usize = 64;

/// The record at one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The servers' clock.
    pub at_ns: i64,
    pub status: ClientStatus,
    /// Told when it happened, not found in a list afterwards.
    pub told: bool,
}

/// Marks by the index of their change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Marks(BTreeMap<i64, Mark>);

impl Marks {
    /// One index has one content; only whether it was told can be learnt later.
    pub(super) fn add(&mut self, index: i64, mark: Mark) {
        let known = self.0.entry(index).or_insert(mark);
        known.told |= mark.told;
        if self.0.len() > MOST {
            self.forget_one();
        }
    }

    /// When it was running, in order; the last time without an end while nothing else was recorded since.
    ///
    /// A beginning that was only found in a list may be older than the list's time. The first one is then dated by what
    /// the client says of its own delay, within what the servers recorded before and after.
    pub(super) fn runs(&self, created_ns: i64, lead_ns: Option<i64>) -> Vec<(i64, Option<i64>)> {
        let mut runs: Vec<(i64, Option<i64>)> = Vec::new();
        let mut running = false;
        let mut idle_ns = created_ns;
        for mark in self.0.values() {
            match (running, mark.status == ClientStatus::Running) {
                (false, true) => {
                    let own_word = lead_ns.filter(|_| runs.is_empty() && !mark.told);
                    let from = own_word.map_or(mark.at_ns, |lead| {
                        created_ns.saturating_add(lead).max(idle_ns).min(mark.at_ns)
                    });
                    // Never before the pause: clocks of servers that take over from each other may differ.
                    runs.push((from.max(idle_ns), None));
                }
                (true, false) => {
                    if let Some((_, to)) = runs.last_mut() {
                        *to = Some(mark.at_ns);
                    }
                    idle_ns = idle_ns.max(mark.at_ns);
                }
                (false, false) => idle_ns = idle_ns.max(mark.at_ns),
                (true, true) => {}
            }
            running = mark.status == ClientStatus::Running;
        }
        runs
    }

    /// When it was last recorded as not running and not ended.
    pub(super) fn last_idle_ns(&self, created_ns: i64) -> i64 {
        let idle = self.0.values().filter(|mark| !mark.status.is_terminal()).map(|mark| mark.at_ns);
        idle.fold(created_ns, i64::max)
    }

    /// The servers recorded an end.
    pub(super) fn has_end(&self) -> bool {
        self.first_end().is_some()
    }

    /// The index at which they did first, as far as it is known.
    pub(crate) fn first_end(&self) -> Option<i64> {
        self.0.iter().find(|(_, mark)| mark.status.is_terminal()).map(|(index, _)| *index)
    }

    /// A client said that it had ended, and afterwards that it runs. No client does that of its own: the end came from
    /// somebody else, or the running does.
    pub(super) fn contradict_an_end(&self) -> bool {
        let said = |mark: &Mark| matches!(mark.status, ClientStatus::Complete | ClientStatus::Failed);
        let live = |mark: &Mark| matches!(mark.status, ClientStatus::Running | ClientStatus::Pending);
        self.0.values().skip_while(|mark| !said(mark)).any(live)
    }

    /// Forgets what tells least: a mark between two of its kind, else the shortest pause between two runs.
    fn forget_one(&mut self) {
        let marks: Vec<(i64, Mark)> = self.0.iter().map(|(index, mark)| (*index, *mark)).collect();
        let threes = || marks.windows(3).map(|three| (three, three.iter().map(|(_, mark)| Kind::of(mark))));
        let repeated =
            threes().find(|(_, kinds)| kinds.clone().all(|kind| Some(kind) == kinds.clone().next()));
        let pauses = threes().filter(|(_, kinds)| kinds.clone().eq([Kind::Run, Kind::Pause, Kind::Run]));
        let shortest = pauses.min_by_key(|(three, _)| three[2].1.at_ns.saturating_sub(three[1].1.at_ns));
        if let Some((three, _)) = repeated.or(shortest).or_else(|| threes().next_back()) {
            self.0.remove(&three[1].0);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Run,
    Pause,
    End,
}

impl Kind {
    fn of(mark: &Mark) -> Self {
        match mark.status {
            ClientStatus::Running => Self::Run,
            ClientStatus::Pending | ClientStatus::Unknown => Self::Pause,
            ClientStatus::Complete | ClientStatus::Failed | ClientStatus::Lost => Self::End,
        }
    }
}
