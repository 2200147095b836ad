//! Ports of our own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use serde::{Deserialize, Serialize};

/// The agent's three loopback ports. A client listens on `http` alone, but Nomad wants all three to differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    pub http: u16,
    pub rpc: u16,
    pub serf: u16,
}

impl Ports {
    /// Where the agent's own HTTP listens.
    pub fn http_address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.http))
    }
}

/// Three loopback ports that the kernel says are free. Another program can take one before the agent does: that
/// start then fails with `PortInUse`, and the next one asks again.
pub fn free() -> io::Result<Ports> {
    let held = [bind()?, bind()?, bind()?];
    let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
    Ok(Ports { http: port(&held[0])?, rpc: port(&held[1])?, serf: port(&held[2])? })
}

fn bind() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_different_ports_that_can_be_bound_again() {
        let ports = free().unwrap();

        assert!(ports.http != ports.rpc && ports.rpc != ports.serf && ports.http != ports.serf);
        TcpListener::bind(ports.http_address()).unwrap();
    }
}
