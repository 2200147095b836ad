//! Packets, read and made by hand: what an attacker sends who has the rights to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) const ICMP: u8 = 1;
pub(crate) const IPIP: u8 = 4;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMP_SIX: u8 = 58;

/// To whom a packet is, of what kind, and its port or an echo's number.
pub(crate) fn arrived(packet: &[u8]) -> Option<(IpAddr, u8, u16)> {
    let (to, protocol, rest) = match packet.first()? >> 4 {
        4 => {
            let to: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
            let head = usize::from(packet[0] & 15) * 4;
            (IpAddr::from(Ipv4Addr::from(to)), packet[9], packet.get(head..)?)
        }
        6 => {
            let to: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
            (IpAddr::from(Ipv6Addr::from(to)), packet[6], packet.get(40..)?)
        }
        _ => return None,
    };
    let two = |at: usize| Some(u16::from_be_bytes(rest.get(at..at + 2)?.try_into().ok()?));
    let port = match protocol {
        TCP | UDP => two(2)?,
        ICMP | ICMP_SIX => two(6)?,
        _ => 0,
    };
    Some((to, protocol, port))
}

/// An IPv4 packet.
pub(crate) fn packet(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, body: &[u8]) -> Vec<u8> {
    let length = (20 + body.len()) as u16;
    let mut head = vec![0x45, 0, 0, 0, 0x77, 0, 0, 0, 64, protocol, 0, 0];
    head[2..4].copy_from_slice(&length.to_be_bytes());
    head.extend(from.octets());
    head.extend(to.octets());
    let sum = checksum(&head);
    head[10..12].copy_from_slice(&sum.to_be_bytes());
    head.extend(body);
    head
}

/// Its checksum is left out, as UDP allows.
pub(crate) fn datagram(port: u16, body: &[u8]) -> Vec<u8> {
    let length = (8 + body.len()) as u16;
    let fields = [4321, port, length, 0].map(u16::to_be_bytes).concat();
    [fields, body.to_vec()].concat()
}

/// An echo request, or an error about a packet, which then follows.
pub(crate) fn message(kind: u8, code: u8, number: u16, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0, 0x77, 0x77];
    message.extend(number.to_be_bytes());
    message.extend(body);
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

fn checksum(bytes: &[u8]) -> u16 {
    let pairs =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)));
    let mut sum: u32 = pairs.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_read_again() {
        let (from, to) = (Ipv4Addr::new(192, 0, 0, 2), Ipv4Addr::new(192, 168, 7, 2));
        let udp = packet(from, to, UDP, &datagram(20_001, b"x"));
        let echo = packet(from, to, ICMP, &message(8, 0, 7, b""));
        let inner = packet(from, to, IPIP, &udp);

        assert_eq!(arrived(&udp), Some((to.into(), UDP, 20_001)));
        assert_eq!(arrived(&echo), Some((to.into(), ICMP, 7)));
        assert_eq!(arrived(&inner), Some((to.into(), IPIP, 0)));
        assert_eq!(arrived(&udp[..21]), None);
        assert_eq!(checksum(&udp[..20]), 0);
    }
}
