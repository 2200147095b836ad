//! What arrives at each place of the played network, whoever says what about it: one pair of eyes a place, on all that comes in.

use std::collections::HashSet;
use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::net::{AddressFamily, SocketFlags, SocketType, eth, socket_with};

use crate::packets::arrived;
use crate::world::{PLACES, Place, World};

/// A packet that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    pub(crate) place: Place,
    pub(crate) to: IpAddr,
    /// The number that IP gives it.
    pub(crate) protocol: u8,
    /// A port, or what an echo carries in its place.
    pub(crate) port: u16,
}

#[derive(Clone, Default)]
pub(crate) struct Eyes {
    seen: Arc<Mutex<HashSet<Seen>>>,
}

impl Eyes {
    pub(crate) fn open(world: &World) -> Result<Self> {
        let eyes = Self::default();
        for place in PLACES {
            let all = Some(eth::ALL);
            let socket = world.within(place, || {
                socket_with(AddressFamily::PACKET, SocketType::DGRAM, SocketFlags::CLOEXEC, all)
            })??;
            let seen = Arc::clone(&eyes.seen);
            std::thread::spawn(move || watch(&socket, place, &seen));
        }
        Ok(eyes)
    }

    pub(crate) fn forget(&self) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn saw(&self, what: &Seen) -> bool {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).contains(what)
    }

    /// The ports from that one on which something came to.
    pub(crate) fn ports(&self, place: Place, protocol: u8, from: u16) -> HashSet<u16> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let there = |seen: &&Seen| seen.place == place && seen.protocol == protocol && seen.port >= from;
        seen.iter().filter(there).map(|seen| seen.port).collect()
    }

    /// Whether that comes in before the time is over.
    pub(crate) fn will_see(&self, what: &Seen, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        while !self.saw(what) {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }
}

/// For as long as this program runs.
fn watch(socket: &OwnedFd, place: Place, seen: &Mutex<HashSet<Seen>>) {
    let mut packet = [0_u8; 256];
    loop {
        // SAFETY: an address of zeros is one of no family, and the call fills in what it knows.
        let mut from: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        let mut length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        // SAFETY: buffer and address are ours, and their sizes are given.
        let read = unsafe {
            let (buffer, room) = (packet.as_mut_ptr().cast(), packet.len());
            libc::recvfrom(socket.as_raw_fd(), buffer, room, 0, (&raw mut from).cast(), &raw mut length)
        };
        let Ok(read) = usize::try_from(read) else { continue };
        // What it sends itself, or overhears, has not arrived.
        let comes_in =
            [libc::PACKET_HOST, libc::PACKET_BROADCAST, libc::PACKET_MULTICAST].contains(&from.sll_pkttype);
        if comes_in && let Some((to, protocol, port)) = packet.get(..read).and_then(arrived) {
            let what = Seen { place, to, protocol, port };
            seen.lock().unwrap_or_else(PoisonError::into_inner).insert(what);
        }
    }
}
