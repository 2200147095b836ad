//! The way out: a user-mode network in the moat, whose other end is an ordinary program outside. Nothing of the owner's firewall, routes or
//! interfaces is changed.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::sys::socket::SockaddrStorage;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::said::pass_on;
use crate::fault::{Fault, Missing};
use crate::filter::{Network, OWNERS_RESOLVER, WAN};
use crate::linux::tools::{find, follow};
use crate::place::{Around, Way};

const READY_WITHIN: Duration = Duration::from_secs(10);

/// Starts it for the moat, which is that process. It ends with the process that holds it.
pub(crate) async fn start(way: Way, moat: i32, run: &Path) -> Result<Child, Fault> {
    let ready = run.join("network.pid");
    let _ = std::fs::remove_file(&ready);
    let mut command = Command::new(find("pasta")?);
    command.args(["--foreground", "--quiet", "--config-net", "--ipv4-only", "--ns-ifname", WAN]);
    // By itself it would lead to this PC's loopback and its gateway, and open this PC's ports inside.
    command.args(["--no-map-gw", "-t", "none", "-u", "none", "-T", "none", "-U", "none"]);
    command.args(["--dns-forward", &OWNERS_RESOLVER.to_string()]).arg("--pid").arg(&ready);
    match way {
        Way::Service => {
            command.args(["--runas", "0", "--netns", &format!("/proc/{moat}/ns/net")]);
            command.args(["--userns", &format!("/proc/{moat}/ns/user")])
        }
        Way::User => command.arg(moat.to_string()),
    };
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
    command.stderr(std::process::Stdio::piped()).kill_on_drop(true);
    // SAFETY: see what is done there.
    unsafe { command.pre_exec(follow()) };
    let mut child = command.spawn().map_err(|error| Fault::at("network", error))?;
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        if std::fs::read(&ready).is_ok_and(|pid| !pid.is_empty()) {
            // Unread, it would stand still one day in the middle of a word.
            if let Some(said) = child.stderr.take() {
                tokio::spawn(pass_on(said));
            }
            return Ok(child);
        }
        if let Ok(Some(_)) = child.try_wait() {
            return Err(ended(child).await);
        }
        if Instant::now() >= deadline {
            return Err(Fault::at("network", "it does not come up"));
        }
        sleep(Duration::from_millis(2)).await;
    }
}

async fn ended(child: Child) -> Fault {
    let said = child.wait_with_output().await.map(|output| output.stderr).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    if said.contains("routable interface") || said.contains("No external") {
        return Missing::Network.into();
    }
    Fault::at("network", said.lines().last().unwrap_or("it ended at once"))
}

/// What is wider is no network of neighbours: a tunnel says so of the whole internet.
const WIDEST: u8 = 8;

/// The networks that this PC is in now: its own addresses, and all that are beside them.
pub(crate) fn own_networks() -> Vec<Network> {
    let mut own: Vec<Network> =
        getifaddrs().into_iter().flatten().flat_map(|interface| networks_of(&interface)).collect();
    own.sort_unstable();
    own.dedup();
    own
}

/// Where this PC stands in its networks.
pub(crate) fn around() -> Around {
    let interfaces = getifaddrs().into_iter().flatten();
    let own = interfaces.filter_map(|interface| Some(interface.address?.as_sockaddr_in()?.ip()));
    let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    Around {
        this_pc: own.filter(|address| !address.is_loopback()).collect(),
        home: gateways(&routes).collect(),
        internet: Vec::new(),
    }
}

/// Of a default route: the kernel's form, in hex, in this machine's order.
fn gateways(routes: &str) -> impl Iterator<Item = Ipv4Addr> {
    routes.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (to, by) = (fields.next()?, fields.next()?);
        let by = u32::from_str_radix(by, 16).ok().filter(|by| to == "00000000" && *by != 0)?;
        Some(Ipv4Addr::from(by.to_ne_bytes()))
    })
}

fn networks_of(interface: &InterfaceAddress) -> Vec<Network> {
    let four = |address: &Option<SockaddrStorage>| Some(address.as_ref()?.as_sockaddr_in()?.ip());
    let Some(address) = four(&interface.address).filter(|address| !address.is_loopback()) else {
        return Vec::new();
    };
    let bits = four(&interface.netmask).map_or(32, |mask| mask.to_bits().leading_ones() as u8);
    let bits = if bits < WIDEST { 32 } else { bits };
    // At the other end of a line is somebody else's address.
    let other_end = four(&interface.destination).map(|other| Network::around(other, 32));
    [Some(Network::around(address, bits)), other_end].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddrV4;

    use nix::net::if_::InterfaceFlags;

    use super::*;

    #[test]
    fn the_way_out_of_a_network_is_by_its_default_route() {
        let routes =
            "Iface Destination Gateway Flags\nlan0 00000000 0101A8C0 0003\nlan0 0001A8C0 00000000 0001\n";
        assert_eq!(gateways(routes).collect::<Vec<_>>(), [Ipv4Addr::new(192, 168, 1, 1)]);
    }

    fn interface(address: [u8; 4], mask: [u8; 4], other_end: Option<[u8; 4]>) -> InterfaceAddress {
        let storage = |octets: [u8; 4]| SockaddrStorage::from(SocketAddrV4::new(Ipv4Addr::from(octets), 0));
        InterfaceAddress {
            interface_name: "lan0".to_owned(),
            flags: InterfaceFlags::empty(),
            address: Some(storage(address)),
            netmask: Some(storage(mask)),
            broadcast: None,
            destination: other_end.map(storage),
        }
    }

    #[test]
    fn whoever_is_beside_this_pc_is_of_its_own_networks_whatever_their_numbers() {
        let of = |interface: &InterfaceAddress| {
            networks_of(interface).iter().map(ToString::to_string).collect::<Vec<_>>()
        };

        assert_eq!(of(&interface([81, 2, 69, 142], [255, 255, 255, 0], None)), ["81.2.69.0/24"]);
        assert_eq!(of(&interface([81, 2, 69, 142], [255; 4], None)), ["81.2.69.142/32"]);
        let line = interface([81, 2, 69, 142], [255; 4], Some([62, 0, 0, 1]));
        assert_eq!(of(&line), ["81.2.69.142/32", "62.0.0.1/32"]);
        assert_eq!(of(&interface([45, 0, 0, 2], [0; 4], None)), ["45.0.0.2/32"], "not all of the internet");
        assert_eq!(of(&interface([127, 0, 0, 1], [255, 0, 0, 0], None)), [""; 0]);
    }
}
