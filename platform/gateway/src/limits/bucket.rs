//! Quotas, and how much of them each caller has used. Pure: the time is an argument.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use crate::config::Quota;

/// How often those who have their whole quota back are looked for, at most, while there is no room.
const BETWEEN_SWEEPS: Duration = Duration::from_secs(1);
/// So few entries are not looked through.
const FEW: usize = 1_000;

/// One quota for each of many callers. All of it may be used at once; what was used comes back evenly.
///
/// What is kept of a caller is one moment: when its quota will be whole again. A caller whose moment has passed needs no
/// entry, so memory follows those who called lately, and never exceeds `most`: beyond that, newcomers share one quota.
#[derive(Debug)]
pub(crate) struct Buckets<K> {
    quota: Quota,
    most: usize,
    whole_again: HashMap<K, Instant>,
    newcomers: Option<Instant>,
    swept: Option<Instant>,
    sweep_at: usize,
}

impl<K: Eq + Hash> Buckets<K> {
    pub(crate) fn new(quota: Quota, most: usize) -> Self {
        let whole_again = HashMap::new();
        Self { quota, most, whole_again, newcomers: None, swept: None, sweep_at: FEW.min(most) }
    }

    /// Uses up so many of the caller's quota, or says after what time there will be as many. More than the whole quota
    /// is never there.
    pub(crate) fn take(&mut self, caller: K, count: u64, now: Instant) -> Result<(), Duration> {
        if !self.whole_again.contains_key(&caller) && !self.has_room(now) {
            let (whole_again, answer) = self.quota.after(self.newcomers, count, now);
            self.newcomers = whole_again;
            return answer;
        }
        let known = self.whole_again.get(&caller).copied();
        let (whole_again, answer) = self.quota.after(known, count, now);
        if let Some(whole_again) = whole_again {
            self.whole_again.insert(caller, whole_again);
        }
        answer
    }

    /// Gives back what was just taken: the request was refused for another reason.
    pub(crate) fn give_back(&mut self, caller: &K, count: u64) {
        let back = self.quota.time_for(count);
        if let Some(whole_again) = self.whole_again.get_mut(caller) {
            *whole_again = whole_again.checked_sub(back).unwrap_or(*whole_again);
        }
    }

    /// Forgets whoever needs no entry, as often as there are twice as many entries as were left the last time.
    fn has_room(&mut self, now: Instant) -> bool {
        let lately = self.swept.is_some_and(|swept| now.saturating_duration_since(swept) < BETWEEN_SWEEPS);
        if self.whole_again.len() >= self.sweep_at && !(lately && self.whole_again.len() >= self.most) {
            self.swept = Some(now);
            self.whole_again.retain(|_, whole_again| *whole_again > now);
            self.sweep_at = (self.whole_again.len() * 2).clamp(FEW.min(self.most), self.most);
        }
        self.whole_again.len() < self.most
    }
}

impl Quota {
    /// When the quota will be whole after this use, and whether there is enough left for it.
    fn after(
        &self,
        whole_again: Option<Instant>,
        count: u64,
        now: Instant,
    ) -> (Option<Instant>, Result<(), Duration>) {
        let window = Duration::from_secs(self.per_s);
        let since = whole_again.map_or(now, |moment| moment.max(now));
        let cost = self.time_for(count);
        let wait = since.saturating_duration_since(now).saturating_add(cost).saturating_sub(window);
        if count > self.count || !wait.is_zero() {
            return (whole_again, Err(wait.max(Duration::from_millis(1))));
        }
        (Some(since + cost), Ok(()))
    }

    /// How long so many take to come back.
    fn time_for(&self, count: u64) -> Duration {
        let nanos =
            u128::from(self.per_s) * 1_000_000_000 * u128::from(count) / u128::from(self.count.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEN_A_MINUTE: Quota = Quota { count: 10, per_s: 60 };

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn all_may_come_at_once_and_comes_back_evenly() {
        let (mut buckets, start) = (Buckets::new(TEN_A_MINUTE, 100), Instant::now());

        assert!((0..10).all(|_| buckets.take("a", 1, start).is_ok()));
        assert_eq!(buckets.take("a", 1, start), Err(seconds(6)));
        assert_eq!(buckets.take("a", 1, start + seconds(4)), Err(seconds(2)));
        assert_eq!(buckets.take("a", 1, start + seconds(6)), Ok(()));
        assert_eq!(buckets.take("a", 1, start + seconds(6)), Err(seconds(6)));
        assert!((0..10).all(|_| buckets.take("a", 1, start + seconds(200)).is_ok()));
    }

    #[test]
    fn whoever_waits_as_told_is_let_in() {
        let (mut buckets, start) = (Buckets::new(Quota { count: 7, per_s: 60 }, 100), Instant::now());
        while buckets.take("a", 3, start).is_ok() {}

        let wait = buckets.take("a", 3, start).unwrap_err();

        assert_eq!(buckets.take("a", 3, start + wait), Ok(()));
    }

    #[test]
    fn one_callers_flood_is_nobody_elses() {
        let (mut buckets, start) = (Buckets::new(TEN_A_MINUTE, 100), Instant::now());
        while buckets.take("a", 1, start).is_ok() {}

        assert_eq!(buckets.take("b", 1, start), Ok(()));
    }

    #[test]
    fn what_is_refused_costs_nothing() {
        let (mut buckets, start) = (Buckets::new(TEN_A_MINUTE, 100), Instant::now());
        assert_eq!(buckets.take("a", 8, start), Ok(()));

        assert!(buckets.take("a", 5, start).is_err());

        assert_eq!(buckets.take("a", 2, start), Ok(()));
    }

    #[test]
    fn more_than_the_whole_is_refused_also_to_a_newcomer() {
        let (mut buckets, start) = (Buckets::new(TEN_A_MINUTE, 100), Instant::now());

        assert!(buckets.take("a", 11, start).is_err());
        assert!(buckets.take("a", u64::MAX, start).is_err());
        assert_eq!(buckets.take("a", 10, start), Ok(()));
    }

    #[test]
    fn ever_new_callers_cannot_grow_it_beyond_its_bound_and_share_one_quota_there() {
        let (mut buckets, start) = (Buckets::new(TEN_A_MINUTE, 100), Instant::now());

        let let_in = (0..5_000).filter(|caller| buckets.take(*caller, 1, start).is_ok()).count();

        assert_eq!(buckets.whole_again.len(), 100);
        assert_eq!(let_in, 110);
        assert_eq!(buckets.take(7, 1, start), Ok(()), "who is known keeps a quota of its own");
    }

    #[test]
    fn those_who_have_their_whole_quota_back_make_room() {
        let (mut buckets, start) = (Buckets::new(TEN_A_MINUTE, 100), Instant::now());
        for caller in 0..5_000 {
            let _ = buckets.take(caller, 1, start);
        }

        let later = start + seconds(7);

        assert!((5_000..5_100).all(|caller| buckets.take(caller, 1, later).is_ok()));
        assert_eq!(buckets.whole_again.len(), 100);
    }

    #[test]
    fn memory_follows_those_who_called_lately() {
        let (mut buckets, start) = (Buckets::new(TEN_A_MINUTE, 1_000_000), Instant::now());

        for caller in 0..50_000_u64 {
            let _ = buckets.take(caller, 1, start + Duration::from_millis(caller * 10));
        }

        // One comes back within six seconds, in which six hundred others come.
        assert!(buckets.whole_again.len() < 4 * 600, "{}", buckets.whole_again.len());
    }

    proptest! {
        #[test]
        fn nobody_gets_more_than_the_quota_and_what_came_back(
            count in 1..50_u64, per_s in 1..1_000_u64, steps in prop::collection::vec((0..2_000_u64, 1..5_u64), 1..200),
        ) {
            let quota = Quota { count, per_s };
            let (mut buckets, start) = (Buckets::new(quota, 10), Instant::now());
            let (mut now, mut taken) = (start, 0);

            for (wait_ms, many) in steps {
                now += Duration::from_millis(wait_ms);
                if buckets.take((), many, now).is_ok() {
                    taken += many;
                }
            }

            let back = (now - start).as_nanos() * u128::from(count) / (u128::from(per_s) * 1_000_000_000);
            prop_assert!(u128::from(taken) <= u128::from(count) + back + 1);
        }
    }
}
