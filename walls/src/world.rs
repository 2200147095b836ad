//! The played network: the owner's PC, its router and LAN, what lies behind, and the internet; each a network namespace of this run's.

use std::fs;
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Where a packet can arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Place {
    /// The owner's PC.
    Own,
    /// A host in its LAN.
    Lan,
    /// Its router, with the carrier's, the cloud's and the companies' networks behind it.
    Router,
    /// The internet.
    Net,
}

pub(crate) const PLACES: [Place; 4] = [Place::Own, Place::Lan, Place::Router, Place::Net];

pub(crate) const OWN: &str = "192.168.7.5";
/// The owner's second address, in no closed network.
pub(crate) const OWN_PUBLIC: &str = "45.0.0.77";
/// Its LAN has public numbers too.
pub(crate) const OWN_IN_PUBLIC_LAN: &str = "46.0.0.5";
pub(crate) const PUBLIC_LAN: &str = "46.0.0.2";
pub(crate) const LAN: &str = "192.168.7.2";
pub(crate) const ROUTER: &str = "192.168.7.1";
pub(crate) const NET: &str = "45.0.0.10";
/// A region's server in a closed network, of which one port is granted.
pub(crate) const REGION: &str = "10.4.0.9";
pub(crate) const REGION_PORT: u16 = 4647;
pub(crate) const OWN_MAC: &str = "02:77:61:6c:6c:05";
/// Which the LAN's resolver calls by names that are a secret of the owner's.
pub(crate) const SECRET_NAME: &str = "zq7attic";

const PREFIX: &str = "walls";
const BEHIND: [&str; 8] = [
    "169.254.169.254",
    "100.64.0.9",
    "10.9.9.9",
    REGION,
    "172.16.9.9",
    "198.18.0.9",
    "203.0.113.9",
    "192.0.2.9",
];
const BEHIND_SIX: [&str; 4] = ["64:ff9b::c0a8:702", "2002:c0a8:702::1", "2a00:7::10", "fec0:7::9"];

/// Dropping it removes it.
pub(crate) struct World {
    run: u32,
}

impl World {
    pub(crate) fn build() -> Result<Self> {
        sweep()?;
        let world = Self { run: std::process::id() };
        for place in PLACES {
            ip(&format!("netns add {}\n", world.name(place)))?;
            world.ip(place, "link set lo up\n")?;
        }
        world.lan()?;
        world.beyond()?;
        world.forwarding()?;
        Ok(world)
    }

    fn lan(&self) -> Result<()> {
        let router = self.name(Place::Router);
        self.ip(Place::Router, &format!("link add br0 type bridge\naddr add {ROUTER}/24 dev br0\naddr add fd00:7::1/64 dev br0 nodad\nlink set br0 up\n"))?;
        for (place, link, address, public, six) in [
            (Place::Own, "own", OWN, OWN_IN_PUBLIC_LAN, "fd00:7::5"),
            (Place::Lan, "lan", LAN, PUBLIC_LAN, "fd00:7::2"),
        ] {
            self.ip(place, &format!("link add lan0 type veth peer name {link} netns {router}\n"))?;
            self.ip(Place::Router, &format!("link set {link} master br0 up\n"))?;
            if place == Place::Own {
                self.ip(
                    place,
                    &format!("link set lan0 address {OWN_MAC}\naddr add {OWN_PUBLIC}/32 dev lo\n"),
                )?;
            }
            self.ip(
                place,
                &format!(
                    "link set lan0 up\naddr add {address}/24 dev lan0\naddr add {public}/24 dev lan0\naddr add {six}/64 dev lan0 nodad\n\
                     route add default via {ROUTER}\nroute add default via fd00:7::1\n"
                ),
            )?;
        }
        Ok(())
    }

    fn beyond(&self) -> Result<()> {
        for address in BEHIND
            .iter()
            .map(|address| format!("{address}/32"))
            .chain(BEHIND_SIX.map(|address| format!("{address}/128")))
        {
            self.ip(Place::Router, &format!("addr add {address} dev lo\n"))?;
        }
        let router = self.name(Place::Router);
        self.ip(Place::Net, &format!("link add wan0 type veth peer name net netns {router}\naddr add {NET}/24 dev wan0\nlink set wan0 up\nroute add default via 45.0.0.1\n"))?;
        self.ip(
            Place::Router,
            &format!("addr add 45.0.0.1/24 dev net\nlink set net up\nroute add {OWN_PUBLIC}/32 via {OWN}\n"),
        )
    }

    fn forwarding(&self) -> Result<()> {
        // As most systems have it: without it nobody's echo goes out, whatever the wall.
        let echoes = Path::new("/proc/sys/net/ipv4/ping_group_range");
        self.within(Place::Own, || fs::write(echoes, "0 2147483647"))?.context("echoes")?;
        self.within(Place::Router, || {
            for setting in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
                fs::write(Path::new("/proc/sys/net").join(setting), "1").context(setting)?;
            }
            Ok(())
        })?
    }

    fn name(&self, place: Place) -> String {
        format!("{PREFIX}{}-{place:?}", self.run).to_lowercase()
    }

    fn ip(&self, place: Place, lines: &str) -> Result<()> {
        told(Command::new("ip").args(["-n", &self.name(place), "-batch", "-"]), lines)
    }

    /// How others find its network.
    pub(crate) fn network(&self, place: Place) -> PathBuf {
        Path::new("/run/netns").join(self.name(place))
    }

    /// Does something in that place: sockets stay where they were opened.
    pub(crate) fn within<T: Send>(&self, place: Place, what: impl FnOnce() -> T + Send) -> Result<T> {
        let at = fs::File::open(self.network(place))?;
        std::thread::scope(|scope| {
            let there = scope.spawn(|| -> Result<T> {
                move_into_link_name_space(at.as_fd(), Some(LinkNameSpaceType::Network))?;
                Ok(what())
            });
            there.join().map_err(|_| anyhow::anyhow!("a thread in {place:?} broke off"))?
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for place in PLACES {
            remove(&self.name(place));
        }
    }
}

/// What runs that were killed have left.
fn sweep() -> Result<()> {
    let listed = Command::new("ip").args(["netns", "list"]).output().context("ip (package iproute2)")?;
    for name in String::from_utf8_lossy(&listed.stdout).lines().filter_map(|line| line.split(' ').next()) {
        let run = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if run.is_some_and(|run| run.parse::<u32>().is_ok() && !Path::new("/proc").join(run).exists()) {
            remove(name);
        }
    }
    Ok(())
}

fn remove(name: &str) {
    let _ = Command::new("ip").args(["netns", "del", name]).stderr(Stdio::null()).status();
}

fn ip(lines: &str) -> Result<()> {
    told(Command::new("ip").args(["-batch", "-"]), lines)
}

/// A program of the system that takes what is to be done on its standard input.
pub(crate) fn told(command: &mut Command, text: &str) -> Result<()> {
    use std::io::Write as _;
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(text.as_bytes())?;
    }
    let said = child.wait_with_output()?;
    ensure!(said.status.success(), "{command:?}: {}\n{text}", String::from_utf8_lossy(&said.stderr).trim());
    Ok(())
}

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED))
}
