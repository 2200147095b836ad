//! Free ports on loopback, and random keys.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context as _, Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// `N` different ports that nobody listens on just now, chosen by the kernel.
///
/// # Errors
/// The kernel has none to give.
pub(crate) fn free<const N: usize>() -> Result<[u16; N]> {
    // All are held until the last is known, so that no two are the same.
    let held: Vec<TcpListener> = (0..N)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port"))
        .collect::<Result<_>>()?;
    let ports =
        held.iter().map(|listener| Ok(listener.local_addr()?.port())).collect::<Result<Vec<u16>>>()?;
    ports.try_into().map_err(|_| anyhow!("a port is missing"))
}

/// 32 random bytes, as Nomad wants its gossip key.
pub(crate) fn random_base64_32() -> String {
    STANDARD.encode(rand::random::<[u8; 32]>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_are_different_and_free() {
        let mut ports = free::<5>().unwrap().to_vec();
        let listeners: Vec<_> =
            ports.iter().map(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap()).collect();

        ports.sort_unstable();
        ports.dedup();

        assert_eq!(ports.len(), listeners.len());
    }
}
