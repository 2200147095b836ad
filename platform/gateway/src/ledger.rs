//! The arithmetic of earning: what is known of one allocation, how a sighting changes it, what it comes to.
//!
//! Pure: no clock, no store. Sightings may come late, twice and in any order, because the event stream replays and the
//! lists overlap with it; [`Entry::see`] gives the same result for every order.

use serde::{Deserialize, Serialize};

#[path = "ledger/marks.rs"]
mod marks;

pub use self::marks::{Mark, Marks};

/// Nanoseconds in an hour.
const HOUR_NS: i128 = 3_600_000_000_000;

/// How long after the region asked an allocation to stop its client may still report it as live and be paid for it. A
/// job's kill timeout is capped at two seconds on a PC, so an honest one never needs this; it bounds what a client
/// gains that never reports the end.
pub const STOP_GRACE_NS: i64 = 60_000_000_000;

/// Nomad's client status of an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientStatus {
    Pending,
    Running,
    Complete,
    Failed,
    Lost,
    /// The client is disconnected, or the word is none that this gateway knows.
    Unknown,
}

impl ClientStatus {
    /// Reads Nomad's word.
    pub fn from_word(word: &str) -> Self {
        match word {
            "pending" => Self::Pending,
            "running" => Self::Running,
            "complete" => Self::Complete,
            "failed" => Self::Failed,
            "lost" => Self::Lost,
            _ => Self::Unknown,
        }
    }

    /// Nomad's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the allocation has ended for good.
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Complete | Self::Failed | Self::Lost => true,
            Self::Pending | Self::Running | Self::Unknown => false,
        }
    }
}

/// One look at an allocation, as the region's servers told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    pub status: ClientStatus,
    /// The region wants it stopped or evicted.
    pub stop_desired: bool,
    /// A task of it is known to have started.
    pub started: bool,
    /// How long after it got the allocation its client says that it started a task.
    pub lead_ns: Option<i64>,
    pub modify_index: i64,
    /// The servers' clock at this change.
    pub modify_ns: i64,
    /// Told when it happened. Else it was found in a list, and `modify_ns` may be the time of a later change.
    pub told: bool,
}

/// A time in which the node of an allocation did not serve, by the servers' clock; without an end while it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    pub from_ns: i64,
    pub to_ns: Option<i64>,
}

/// What the ledger holds of one allocation. Times are nanoseconds since the Unix epoch by the servers' clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub status: ClientStatus,
    pub modify_index: i64,
    pub created_ns: i64,
    /// What the servers' record said, and when.
    pub marks: Marks,
    /// A task is known to have started.
    pub started: bool,
    pub lead_ns: Option<i64>,
    pub stop_desired_ns: Option<i64>,
    pub ended_ns: Option<i64>,
    /// Its own node contradicts the end, or did not send it: a person has to look. It earns no further.
    pub disputed: bool,
    pub gaps: Vec<Gap>,
    pub rate_micros_per_hour: i64,
}

impl Entry {
    /// An allocation at first sight.
    pub fn new(created_ns: i64, rate_micros_per_hour: i64, first: Sighting) -> Self {
        let mut entry = Self {
            status: first.status,
            modify_index: first.modify_index,
            created_ns,
            marks: Marks::default(),
            started: false,
            lead_ns: None,
            stop_desired_ns: None,
            ended_ns: None,
            disputed: false,
            gaps: Vec::new(),
            rate_micros_per_hour,
        };
        entry.see(first);
        entry
    }

    /// Takes in a sighting. The newest one gives the status; the earliest end ever seen stays the end.
    pub fn see(&mut self, sighting: Sighting) {
        if sighting.modify_index >= self.modify_index {
            self.modify_index = sighting.modify_index;
            self.status = sighting.status;
        }
        self.started |= sighting.started;
        self.lead_ns = match (self.lead_ns, sighting.lead_ns) {
            (Some(known), Some(seen)) => Some(known.min(seen)),
            (known, seen) => known.or(seen),
        };
        if sighting.stop_desired {
            self.stop_desired_ns = earliest(self.stop_desired_ns, sighting.modify_ns);
        }
        if sighting.status.is_terminal() {
            self.ended_ns = earliest(self.ended_ns, sighting.modify_ns);
        } else if !self.marks.has_end() {
            // An end that was only concluded from its absence: the region knows it again.
            self.ended_ns = None;
        }
        self.marks.add(
            sighting.modify_index,
            Mark { at_ns: sighting.modify_ns, status: sighting.status, told: sighting.told },
        );
        self.disputed |= self.marks.contradict_an_end();
    }

    /// The region no longer knows it, for certain: it ended at the latest when it was last known to be live.
    pub fn vanish(&mut self, last_known_ns: i64) {
        if self.ended_ns.is_none() {
            self.status = ClientStatus::Lost;
            self.ended_ns = Some(last_known_ns.max(self.created_ns));
        }
    }

    /// Since when it has been paid for; none while it never ran.
    pub fn started_ns(&self) -> Option<i64> {
        self.runs().first().map(|(from, _)| *from)
    }

    /// Why it earns no longer: `disputed`, `stopped`, or the status that it ended with. None while it may still earn.
    pub fn end(&self) -> Option<&'static str> {
        let ended = self.ended_ns?;
        let stopped = self.stop_desired_ns.is_some_and(|at| at <= ended);
        Some(match (self.disputed, stopped) {
            (true, _) => "disputed",
            (false, true) => "stopped",
            (false, false) => self.status.word(),
        })
    }

    /// Millionths earned from `from_ns` until `to_ns`. `silent_since_ns`: until when the region has confirmed it, if it
    /// no longer does.
    ///
    /// The difference of two running totals, so that windows which meet add up to the whole, exactly.
    pub fn earned_between(&self, from_ns: i64, to_ns: i64, silent_since_ns: Option<i64>) -> i64 {
        let total_at = |at| self.total_at(at, silent_since_ns);
        total_at(to_ns).saturating_sub(total_at(from_ns)).max(0)
    }

    /// Millionths earned from its beginning until `at_ns`, rounded down.
    pub fn total_at(&self, at_ns: i64, silent_since_ns: Option<i64>) -> i64 {
        let end = silent_since_ns.map_or(at_ns, |silent| at_ns.min(silent));
        let end = self.last_paid_ns().map_or(end, |last| end.min(last));
        let paid = self.runs().into_iter().map(|(from, to)| {
            let to = to.map_or(end, |to| to.min(end));
            to.saturating_sub(from).max(0).saturating_sub(self.gap_ns(from, to))
        });
        amount(paid.fold(0, i64::saturating_add), self.rate_micros_per_hour)
    }

    /// When it was running, by the servers' record; the last time without an end while it runs. The end of the
    /// allocation, gaps and silence are not in these times yet.
    fn runs(&self) -> Vec<(i64, Option<i64>)> {
        let runs = self.marks.runs(self.created_ns, self.lead_ns);
        if runs.is_empty() && self.started && self.ended_ns.is_some() {
            // It began and ended unheard. The servers keep no time of the beginning: the client's own measure of it
            // counts from their time of placement.
            let lead = self.lead_ns.unwrap_or(0).max(0);
            return vec![(
                self.created_ns.saturating_add(lead).max(self.marks.last_idle_ns(self.created_ns)),
                None,
            )];
        }
        runs
    }

    fn last_paid_ns(&self) -> Option<i64> {
        let grace = self.stop_desired_ns.map(|stop| stop.saturating_add(STOP_GRACE_NS));
        match (self.ended_ns, grace) {
            (Some(ended), Some(grace)) => Some(ended.min(grace)),
            (ended, grace) => ended.or(grace),
        }
    }

    /// How much of this time lies in gaps, counting no moment twice.
    fn gap_ns(&self, from_ns: i64, to_ns: i64) -> i64 {
        let mut gaps: Vec<_> =
            self.gaps.iter().map(|gap| (gap.from_ns, gap.to_ns.unwrap_or(i64::MAX))).collect();
        gaps.sort_unstable();
        let mut counted_to = from_ns;
        let mut sum = 0_i64;
        for (from, to) in gaps {
            let (from, to) = (from.max(counted_to), to.min(to_ns));
            if to > from {
                sum = sum.saturating_add(to - from);
                counted_to = to;
            }
        }
        sum
    }
}

/// What a time comes to: millionths, rounded down; nothing for a time that is not positive.
pub fn amount(duration_ns: i64, rate_micros_per_hour: i64) -> i64 {
    let micros = i128::from(duration_ns.max(0)) * i128::from(rate_micros_per_hour.max(0)) / HOUR_NS;
    i64::try_from(micros).unwrap_or(i64::MAX)
}

/// An amount in the form in which it crosses borders: a decimal string with six places.
pub fn decimal(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let abs = micros.unsigned_abs();
    format!("{sign}{}.{:06}", abs / 1_000_000, abs % 1_000_000)
}

fn earliest(known: Option<i64>, seen: i64) -> Option<i64> {
    Some(known.map_or(seen, |known| known.min(seen)))
}

#[cfg(test)]
#[path = "ledger/tests.rs"]
mod tests;
