//! How many connections there may be: in all, and from one address; and the same for those whose handshake is not over,
//! which cost the most and need to show nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::config::Limits;
use crate::limits::Address;
use crate::limits::bucket::Buckets;

/// Open files that are not connections: the database, the region, the issuer.
const OTHER_FILES: usize = 128;

/// Counts the connections that are open now.
#[derive(Debug)]
pub(crate) struct Connections {
    limits: Limits,
    counts: Mutex<Counts>,
}

#[derive(Debug)]
struct Counts {
    all: Count,
    /// Only those that have a connection: no more than there are connections.
    addresses: HashMap<Address, Count>,
    handshakes: Buckets<Address>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    open: usize,
    handshaking: usize,
}

/// A place for one connection; dropping it gives the place back.
#[must_use]
#[derive(Debug)]
pub(crate) struct Place {
    connections: Arc<Connections>,
    pub(crate) address: Address,
    shaken: bool,
}

impl Connections {
    /// `files`: how many this process may have open, if that is known.
    pub(crate) fn new(limits: &Limits, files: Option<usize>) -> Arc<Self> {
        let mut limits = limits.clone();
        let room = files.map_or(usize::MAX, |files| files.saturating_sub(OTHER_FILES).max(1));
        if room < limits.connections {
            tracing::warn!(
                asked = limits.connections,
                room,
                "the limit on open files allows fewer connections"
            );
            limits.connections = room;
        }
        let counts = Counts {
            all: Count::default(),
            addresses: HashMap::new(),
            handshakes: Buckets::new(limits.handshakes, limits.connections),
        };
        Arc::new(Self { limits, counts: Mutex::new(counts) })
    }

    /// A place for a new connection, whose handshake begins; none: it is to be closed at once.
    pub(crate) fn admit(self: &Arc<Self>, address: Address, now: Instant) -> Option<Place> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, here) = (counts.all, counts.addresses.get(&address).copied().unwrap_or_default());
        let limits = &self.limits;
        let room = all.open < limits.connections
            && here.open < limits.connections_per_address
            && all.handshaking < limits.handshaking
            && here.handshaking < limits.handshaking_per_address;
        if !room || counts.handshakes.take(address, 1, now).is_err() {
            return None;
        }
        counts.change(address, |count| {
            count.open += 1;
            count.handshaking += 1;
        });
        Some(Place { connections: Arc::clone(self), address, shaken: false })
    }

    fn change(&self, address: Address, change: impl Fn(&mut Count)) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).change(address, change);
    }
}

impl Counts {
    fn change(&mut self, address: Address, change: impl Fn(&mut Count)) {
        change(&mut self.all);
        let here = self.addresses.entry(address).or_default();
        change(here);
        if here.open == 0 {
            self.addresses.remove(&address);
        }
    }
}

impl Place {
    pub(crate) fn limits(&self) -> &Limits {
        &self.connections.limits
    }

    /// The handshake is over.
    pub(crate) fn shaken(&mut self) {
        self.shaken = true;
        self.connections.change(self.address, |count| count.handshaking -= 1);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let handshaking = usize::from(!self.shaken);
        self.connections.change(self.address, |count| {
            count.open -= 1;
            count.handshaking -= handshaking;
        });
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::config::Quota;

    fn address(last: u8) -> Address {
        IpAddr::from([192, 0, 2, last]).into()
    }

    fn limits() -> Limits {
        Limits {
            connections: 6,
            connections_per_address: 4,
            handshaking: 3,
            handshaking_per_address: 2,
            handshakes: Quota { count: 100, per_s: 100 },
            ..Limits::default()
        }
    }

    fn shaken(connections: &Arc<Connections>, from: Address) -> Option<Place> {
        let mut place = connections.admit(from, Instant::now())?;
        place.shaken();
        Some(place)
    }

    #[test]
    fn an_address_has_its_share_and_the_others_theirs() {
        let connections = Connections::new(&limits(), None);

        let mine: Vec<_> = (0..9).filter_map(|_| shaken(&connections, address(1))).collect();
        let theirs: Vec<_> = (0..9).filter_map(|_| shaken(&connections, address(2))).collect();

        assert_eq!((mine.len(), theirs.len()), (4, 2));
        drop(mine);
        assert!(shaken(&connections, address(3)).is_some());
    }

    #[test]
    fn handshakes_that_do_not_end_leave_room_for_others() {
        let (connections, now) = (Connections::new(&limits(), None), Instant::now());

        let hanging: Vec<_> = (0..9).filter_map(|_| connections.admit(address(1), now)).collect();

        assert_eq!(hanging.len(), 2);
        assert!(shaken(&connections, address(2)).is_some());
        drop(hanging);
        assert!(connections.admit(address(1), now).is_some());
    }

    #[test]
    fn handshakes_are_counted_over_time_too() {
        let limits = Limits { handshakes: Quota { count: 5, per_s: 100 }, ..limits() };
        let connections = Connections::new(&limits, None);

        let in_turn = (0..9).filter(|_| shaken(&connections, address(1)).is_some()).count();

        assert_eq!(in_turn, 5);
        assert!(shaken(&connections, address(2)).is_some());
    }

    #[test]
    fn nothing_is_remembered_of_connections_that_have_ended() {
        let connections = Connections::new(&limits(), None);

        for last in 0..200 {
            drop(shaken(&connections, address(last)));
            drop(connections.admit(address(last), Instant::now()));
        }

        let counts = connections.counts.lock().unwrap();
        assert!(counts.addresses.is_empty());
        assert_eq!((counts.all.open, counts.all.handshaking), (0, 0));
    }

    #[test]
    fn the_systems_limit_on_open_files_counts() {
        let connections = Connections::new(&limits(), Some(OTHER_FILES + 2));

        let open: Vec<_> = (0..9).filter_map(|last| shaken(&connections, address(last))).collect();

        assert_eq!(open.len(), 2);
    }
}
