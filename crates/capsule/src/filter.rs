//! The wall around the capsule's network, as text for `nft` and `tc`. It stands in the moat: a network namespace outside of the
//! capsule, which root in there cannot touch.
//!
//! Everything is closed. Open are the internet, one way to resolve names, and the addresses that are granted by name: a region's
//! servers, where those lie in a network that is closed as such.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The moat's end of the line to the capsule, and the capsule's. The block is set aside for such uses (RFC 6890): no LAN has it.
pub const MOAT: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 1);
pub const CAPSULE: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 2);
pub const LINE_BITS: u8 = 30;
/// Whom a name is asked of: a process in the moat, which passes on what is the internet's.
pub const RESOLVER: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 53);
/// Whom that one asks: the user-mode network hands it to the owner's resolver.
pub const OWNERS_RESOLVER: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 54);
/// The containers' bridge.
pub const BRIDGE: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 129);
pub const CONTAINERS: (Ipv4Addr, u8) = (Ipv4Addr::new(192, 0, 0, 128), 25);

/// The moat's interface towards the owner's network, and the one towards the capsule.
pub const WAN: &str = "wan";
pub const LINE: &str = "capsule";

/// Networks that are nobody's on the internet (RFC 6890 and the multicast block): this PC, its LAN, the carrier's, the cloud's metadata.
pub const CLOSED: [&str; 14] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/3",
];

/// Addresses that have their first bits in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    pub first: Ipv4Addr,
    pub bits: u8,
}

impl Network {
    /// The one of that size which the address is in.
    pub fn around(address: Ipv4Addr, bits: u8) -> Self {
        let beyond = u32::MAX.checked_shr(bits.into()).unwrap_or(0);
        Self { first: Ipv4Addr::from_bits(address.to_bits() & !beyond), bits }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, into: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(into, "{}/{}", self.first, self.bits)
    }
}

/// Whether that address is of one of them.
pub fn is_closed(address: Ipv4Addr) -> bool {
    let within = |network: &&str| {
        let (base, bits) = network.split_once('/').unwrap_or((network, "32"));
        let (Ok(base), Ok(bits)) = (base.parse::<Ipv4Addr>(), bits.parse::<u32>()) else { return true };
        let beyond = u32::MAX.checked_shr(bits).unwrap_or(0);
        address.to_bits() | beyond == base.to_bits() | beyond
    };
    CLOSED.iter().any(within)
}

/// Conversations with the internet at once, of all and of one address. The user-mode network and the kernel keep something for each.
const CONVERSATIONS: u32 = 4096;
const OF_ONE: u32 = 1024;
/// Packets to who answers for names, of one address in a second, after so many at once. Beyond them they are not even looked at.
const ASKED: (u32, u32) = (200, 400);
/// As many addresses as the containers have, and the capsule's.
const ADDRESSES: u32 = 256;

/// What the wall is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wall {
    /// Networks that this PC is in, whatever numbers they have.
    pub own: Vec<Network>,
    pub granted: Vec<SocketAddr>,
}

impl Wall {
    /// The whole rule set, which replaces the one before it in one step.
    pub fn rules(&self) -> String {
        let ((net, bits), (asked, at_once)) = (CONTAINERS, ASKED);
        format!(
            "table inet moat\ndelete table inet moat\ntable inet moat {{\n\
             {sets}\
             \tcounter sent {{ }}\n\tcounter received {{ }}\n\tcounter refused {{ }}\n\
             \tchain refuse {{\n\t\tcounter name refused\n\t\treject with icmpx type admin-prohibited\n\t}}\n\
             \tchain begin {{\n\t\tct count over {CONVERSATIONS} jump refuse\n\
             \t\tadd @talking {{ ip saddr ct count over {OF_ONE} }} jump refuse\n\
             \t\tcounter name sent accept\n\t}}\n\
             \tchain forward {{\n\t\ttype filter hook forward priority filter; policy drop;\n\
             \t\tiifname \"{WAN}\" oifname \"{LINE}\" ct state established,related counter name received accept\n\
             \t\tiifname != \"{LINE}\" drop\n\t\toifname != \"{WAN}\" drop\n\
             \t\tip saddr != {{ {CAPSULE}, {net}/{bits} }} counter name refused drop\n\
             \t\tmeta nfproto ipv6 counter name refused drop\n\
             \t\tct state established,related counter name sent accept\n\
             \t\tip daddr . meta l4proto . th dport @granted goto begin\n\
             \t\tip daddr @closed jump refuse\n\t\tip daddr @own jump refuse\n\
             \t\ttcp dport 25 jump refuse\n\
             \t\tmeta l4proto {{ tcp, udp, icmp }} goto begin\n\t}}\n\
             \tchain input {{\n\t\ttype filter hook input priority filter; policy drop;\n\
             \t\tiifname \"lo\" accept\n\
             \t\tiifname \"{LINE}\" ip saddr != {{ {CAPSULE}, {net}/{bits} }} counter name refused drop\n\
             \t\tiifname \"{LINE}\" ip daddr {RESOLVER} meta l4proto {{ tcp, udp }} th dport 53 \
             update @asking {{ ip saddr limit rate over {asked}/second burst {at_once} packets }} drop\n\
             \t\tct state established,related accept\n\
             \t\tiifname \"{LINE}\" ip daddr {RESOLVER} meta l4proto {{ tcp, udp }} th dport 53 accept\n\
             \t\tiifname \"{LINE}\" jump refuse\n\t}}\n\
             \tchain after {{\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n\
             \t\toifname \"{WAN}\" masquerade\n\t}}\n}}\n",
            sets = self.sets(),
        )
    }

    /// Whom there is a rule for, and who is counted.
    fn sets(&self) -> String {
        let granted = self.granted.iter().filter_map(|to| match to.ip() {
            IpAddr::V4(address) => Some(format!("{address} . tcp . {}", to.port())),
            IpAddr::V6(_) => None,
        });
        [
            set("closed", "ipv4_addr; flags interval", CLOSED),
            set("own", "ipv4_addr; flags interval; auto-merge", &self.own),
            set("granted", "ipv4_addr . inet_proto . inet_service", granted),
            counting("talking", "dynamic"),
            counting("asking", "dynamic,timeout; timeout 10s"),
        ]
        .concat()
    }
}

/// What a sender may have under way to one that takes it quickly, a few times over.
const WAITING: &str = "limit 16mb";

/// The owner's link keeps room: each way at that many bits a second. What leaves is sent by kernels, which slow down for what is lost of it. What
/// comes is sent by the user-mode network, which does not: it waits here for its turn, or most of it would be lost and sent again, until
/// the conversation stands still.
pub fn cap(rate: u64) -> String {
    [(WAN, "latency 50ms"), (LINE, WAITING)]
        .map(|(at, most)| format!("qdisc replace dev {at} root tbf rate {rate}bit burst 256kb {most}\n"))
        .concat()
}

/// What root inside lays over its own bridge: no container reaches another or the capsule itself, and nobody in the capsule begins anything
/// with a container, for then the agent would do so for another one. It is the second wall: the moat does not see what never leaves the
/// capsule.
pub fn inside() -> String {
    let (net, bits) = CONTAINERS;
    format!(
        "table inet inside {{\n\
         \tchain forward {{\n\t\ttype filter hook forward priority filter; policy drop;\n\
         \t\tct state established,related accept\n\
         \t\tip saddr {net}/{bits} ip daddr {net}/{bits} drop\n\
         \t\tip saddr {net}/{bits} oifname \"{INSIDE}\" accept\n\t}}\n\
         \tchain input {{\n\t\ttype filter hook input priority filter; policy drop;\n\
         \t\tiifname \"lo\" accept\n\t\tct state established,related accept\n\t}}\n\
         \tchain output {{\n\t\ttype filter hook output priority filter; policy accept;\n\
         \t\toifname \"lo\" accept\n\t\tct state established,related accept\n\
         \t\tip daddr {net}/{bits} reject with icmpx type admin-prohibited\n\t}}\n}}\n\
         table bridge inside {{\n\tchain forward {{\n\t\ttype filter hook forward priority filter; policy drop;\n\t}}\n}}\n"
    )
}

/// The capsule's interface towards the moat.
pub const INSIDE: &str = "eth0";

/// Of addresses that come by themselves.
fn counting(name: &str, how: &str) -> String {
    format!("\tset {name} {{\n\t\ttype ipv4_addr; flags {how}; size {ADDRESSES}\n\t}}\n")
}

fn set<T: std::fmt::Display>(name: &str, kind: &str, elements: impl IntoIterator<Item = T>) -> String {
    let mut text = format!("\tset {name} {{\n\t\ttype {kind}\n");
    let mut elements = elements.into_iter().peekable();
    if elements.peek().is_some() {
        let listed: Vec<String> = elements.map(|element| element.to_string()).collect();
        let _ = writeln!(text, "\t\telements = {{ {} }}", listed.join(", "));
    }
    text + "\t}\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_closed_but_the_internet_one_resolver_and_what_is_granted_by_name() {
        let wall = Wall {
            own: vec![
                Network::around(Ipv4Addr::new(192, 168, 7, 5), 24),
                Network::around(Ipv4Addr::new(81, 2, 69, 142), 32),
            ],
            granted: vec!["10.4.0.9:4647".parse().unwrap(), "[fd00::1]:4647".parse().unwrap()],
        };

        insta::assert_snapshot!("moat", wall.rules());
        insta::assert_snapshot!("inside", inside());
        insta::assert_snapshot!("cap", cap(80_000_000));
    }

    #[test]
    fn our_own_networks_are_closed_ones() {
        for address in [MOAT, CAPSULE, RESOLVER, OWNERS_RESOLVER, BRIDGE] {
            assert!(address.octets().starts_with(&[192, 0, 0]), "{address}");
        }
        assert!(CLOSED.contains(&"192.0.0.0/24"));
        assert!(is_closed(Ipv4Addr::new(172, 31, 255, 255)) && is_closed(Ipv4Addr::BROADCAST));
        assert!(!is_closed(Ipv4Addr::new(172, 32, 0, 0)) && !is_closed(Ipv4Addr::new(9, 255, 255, 255)));
    }
}
