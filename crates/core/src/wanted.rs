//! What this PC wants of its node, kept equal with what the gateway has.
//!
//! A wanted state, not a row of calls: each carries a sequence number, the gateway keeps the highest, and so a call that is
//! overtaken or lost changes nothing in the end.

use crate::effect::Wanted;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Reconciled {
    /// The highest number used or heard of.
    seq: u64,
    spoken: bool,
    /// What the gateway has for certain.
    told: Option<Told>,
    /// What it was asked last, while it has not answered.
    asked: Option<(u64, Wanted)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    wanted: Wanted,
    /// The region's servers have it too.
    applied: bool,
}

impl Reconciled {
    /// The next call, if one is due.
    pub(crate) fn call(&mut self, wanted: Wanted) -> Option<(u64, Wanted)> {
        let under_way = self.asked.as_ref().map(|(_, asked)| asked);
        // What is on its way may arrive after all: only the same again need not be said.
        let current = under_way.or(self.told.as_ref().map(|told| &told.wanted));
        if current == Some(&wanted) {
            return None;
        }
        self.seq = self.seq.saturating_add(1);
        self.spoken = true;
        self.asked = Some((self.seq, wanted.clone()));
        Some((self.seq, wanted))
    }

    /// An answer to the call with this number: whether the region's servers have it too, or none where it was refused.
    pub(crate) fn answered(&mut self, seq: u64, applied: Option<bool>) {
        // One that was overtaken says nothing.
        if self.asked.as_ref().is_some_and(|(asked, _)| *asked == seq)
            && let Some((_, wanted)) = self.asked.take()
        {
            self.told = applied.map(|applied| Told { wanted, applied });
        }
    }

    /// Whether anything was said in this life.
    pub(crate) fn has_spoken(&self) -> bool {
        self.spoken
    }

    /// The gateway knows a number: what comes next is above it.
    pub(crate) fn heard(&mut self, seq: u64) {
        if seq > self.seq {
            self.seq = seq;
            // Somebody else's word counts there now, an earlier life's or a copy's.
            self.told = None;
        }
    }

    /// The region's own word on the node is what was told.
    pub(crate) fn seen_applied(&mut self, eligible: bool) {
        if let Some(told) = &mut self.told {
            told.applied |= told.wanted.eligible == eligible;
        }
    }

    /// What was told does not hold: it is to be said again.
    pub(crate) fn doubt(&mut self) {
        self.told = None;
    }

    /// The gateway has this, and nothing else is on its way.
    pub(crate) fn is_told(&self, wanted: &Wanted) -> bool {
        self.asked.is_none() && self.told.as_ref().is_some_and(|told| told.wanted == *wanted)
    }

    /// The region's servers have this, and nothing else is on its way.
    pub(crate) fn is_applied(&self, wanted: &Wanted) -> bool {
        self.is_told(wanted) && self.told.as_ref().is_some_and(|told| told.applied)
    }
}
