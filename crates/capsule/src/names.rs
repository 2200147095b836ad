//! Which names are the internet's. What the owner's network is called, and who is in it, is nobody's business inside: of that nothing is
//! known, whoever their resolver is.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::filter::is_closed;

/// Zones that are no part of the internet's (RFC 6761, 6762, 8375, 9462, and what routers and companies are set up with).
const OWNERS: [&str; 17] = [
    "corp",
    "domain",
    "fritz.box",
    "gateway",
    "home",
    "home.arpa",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "onion",
    "private",
    "resolver.arpa",
    "router",
];
const HEAD: usize = 12;
const A: u16 = 1;
const AAAA: u16 = 28;

/// Whether a query is for one name, of the internet's.
pub fn may_be_asked(query: &[u8]) -> bool {
    let one = query.get(4..6) == Some(&[0, 1]);
    one && question(query).is_some_and(|(labels, _)| is_the_internets(&labels))
}

/// Whether an answer leads to addresses of the internet alone.
pub fn may_be_told(answer: &[u8]) -> bool {
    records(answer).is_some_and(|records| records.iter().all(|(kind, data)| leads_outside(*kind, data)))
}

/// The answer that there is no such name. None where there was no question.
pub fn unknown(query: &[u8]) -> Option<Vec<u8>> {
    let (_, end) = question(query)?;
    let mut said = query.get(..end)?.to_vec();
    let wanted = said[2] & 0x79;
    said[2..HEAD].copy_from_slice(&[0x80 | wanted, 0x83, 0, 1, 0, 0, 0, 0, 0, 0]);
    Some(said)
}

fn is_the_internets(labels: &[String]) -> bool {
    let name = labels.join(".");
    let within =
        |zone: &str| name.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if within("in-addr.arpa") {
        let mut octets = [0; 4];
        let known = labels.iter().rev().skip(2);
        octets.iter_mut().zip(known).for_each(|(octet, label)| *octet = label.parse().unwrap_or(0));
        return !is_closed(Ipv4Addr::from(octets));
    }
    if within("ip6.arpa") {
        return labels.iter().rev().nth(2).is_some_and(|first| first == "2" || first == "3");
    }
    labels.len() > 1 && !OWNERS.iter().any(|zone| within(zone))
}

fn leads_outside(kind: u16, data: &[u8]) -> bool {
    match kind {
        A => <[u8; 4]>::try_from(data).is_ok_and(|address| !is_closed(Ipv4Addr::from(address))),
        AAAA => <[u8; 16]>::try_from(data).is_ok_and(|address| is_global(Ipv6Addr::from(address))),
        _ => true,
    }
}

/// Of the block that the internet is numbered from; 6to4 spells addresses of version 4.
fn is_global(address: Ipv6Addr) -> bool {
    let [first, second, third, ..] = address.segments();
    let [a, b, c, d] = [second >> 8, second & 255, third >> 8, third & 255].map(|part| part as u8);
    first & 0xe000 == 0x2000 && !(first == 0x2002 && is_closed(Ipv4Addr::new(a, b, c, d)))
}

/// The name that is asked for, and where the question ends.
fn question(message: &[u8]) -> Option<(Vec<String>, usize)> {
    let (mut labels, mut at) = (Vec::new(), HEAD);
    loop {
        let length = usize::from(*message.get(at)?);
        match length {
            0 => break,
            // A question has nothing before it to point to.
            64.. => return None,
            _ => {
                labels.push(String::from_utf8_lossy(message.get(at + 1..=at + length)?).to_ascii_lowercase())
            }
        }
        at += length + 1;
    }
    (at + 5 <= message.len()).then_some((labels, at + 5))
}

/// All that follow the question, with their kinds.
fn records(message: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let two = |at: usize| Some(usize::from(u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?)));
    let (_, mut at) = question(message)?;
    let count = two(6)? + two(8)? + two(10)?;
    let mut records = Vec::new();
    for _ in 0..count {
        at = after_name(message, at)?;
        let length = two(at + 8)?;
        records.push((two(at)? as u16, message.get(at + 10..at + 10 + length)?));
        at += 10 + length;
    }
    Some(records)
}

fn after_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match usize::from(*message.get(at)?) {
            0 => return Some(at + 1),
            length @ 1..64 => at += length + 1,
            // The rest stands somewhere else.
            _ => return Some(at + 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str) -> Vec<u8> {
        let mut query = vec![7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.').filter(|label| !label.is_empty()) {
            query.push(label.len() as u8);
            query.extend(label.bytes());
        }
        query.extend([0, 0, 1, 0, 1]);
        query
    }

    fn answer(kind: u16, data: &[u8]) -> Vec<u8> {
        let mut answer = query("web.example.com");
        answer[7] = 1;
        answer.extend([0xc0, 12, 0, kind as u8, 0, 1, 0, 0, 0, 9, 0, data.len() as u8]);
        answer.extend(data);
        answer
    }

    #[test]
    fn names_of_the_owners_network_are_not_asked_for() {
        for name in [
            "nas",
            "",
            "nas.local",
            "NAS.Local",
            "x.home.arpa",
            "home.arpa",
            "pc.fritz.box",
            "printer.lan",
            "2.7.168.192.in-addr.arpa",
            "168.192.in-addr.arpa",
            "10.in-addr.arpa",
            "1.64.100.in-addr.arpa",
            "1.0.0.0.d.f.ip6.arpa",
            "8.e.f.ip6.arpa",
            "_dns.resolver.arpa",
            "localhost",
        ] {
            assert!(!may_be_asked(&query(name)), "{name}");
        }
        for name in [
            "example.com",
            "lan.example.com",
            "notlocal.example",
            "8.8.8.8.in-addr.arpa",
            "1.0.0.2.ip6.arpa",
            "atlan.tic",
        ] {
            assert!(may_be_asked(&query(name)), "{name}");
        }
    }

    #[test]
    fn an_address_of_a_closed_network_is_not_told_whatever_name_leads_there() {
        let six = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
        for data in [[192, 168, 7, 2], [10, 0, 0, 1], [169, 254, 169, 254], [100, 64, 0, 9], [127, 0, 0, 1]] {
            assert!(!may_be_told(&answer(A, &data)), "{data:?}");
        }
        for text in
            ["fd00::1", "fe80::1", "::1", "::ffff:192.168.7.2", "64:ff9b::c0a8:702", "2002:c0a8:702::1"]
        {
            assert!(!may_be_told(&answer(AAAA, &six(text))), "{text}");
        }
        assert!(may_be_told(&answer(A, &[45, 0, 0, 10])));
        assert!(may_be_told(&answer(AAAA, &six("2606:4700::1"))));
        assert!(may_be_told(&answer(16, b"\x03txt")));
    }

    #[test]
    fn what_is_no_question_or_breaks_off_is_not_passed_on() {
        let whole = answer(A, &[45, 0, 0, 10]);
        for end in 0..whole.len() {
            assert!(!may_be_told(&whole[..end]), "{end}");
        }
        let mut two = query("example.com");
        two[5] = 2;
        assert!(!may_be_asked(&two));
        assert!(!may_be_asked(&[0; 12]));
        let said = unknown(&query("nas")).unwrap();
        assert_eq!((said[0], said[2] & 0x80, said[3] & 15, &said[4..8]), (7, 0x80, 3, &[0, 1, 0, 0][..]));
        assert_eq!(unknown(&[1; 20]), None);
    }
}
