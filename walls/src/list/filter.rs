//! The network: what must not be reached from inside, by anybody, and the capsule's ports from outside.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ionet_capsule::filter::{LINE, WAN, cap};
use serde_json::json;

use super::words;
use crate::attack::{Attack, Deed, Verdict, last_line};
use crate::capsule::RATE;
use crate::eyes::Seen;
use crate::inside::FIRST_OF_MANY;
use crate::packets::{ICMP, IPIP, TCP, UDP};
use crate::servers::{MUCH, SILENT, WEB_PORT};
use crate::sides::{By, Layer};
use crate::stage::Stage;
use crate::world::{LAN, NET, OWN, OWN_PUBLIC, PUBLIC_LAN, Place, REGION, ROUTER, address, told};

/// A port that is nobody's.
const PORT: u16 = 20_001;

pub(super) fn all() -> Vec<Attack> {
    let mut all = closed_networks();
    all.extend(by_name());
    all.extend(among_themselves());
    // Last: what odd packets leave behind in a way that was opened is nobody's to clear away.
    all.extend(past_its_own_rules());
    all.push(in_nobodys_name());
    all.extend(version_six());
    all
}

/// Everywhere that an ordinary packet could go.
fn closed_networks() -> Vec<Attack> {
    use By::{Agent, Job, PrivilegedJob as Any};
    use Place::{Lan, Net, Own, Router};
    let everywhere = [
        ("a host in the LAN by TCP", "tcp", LAN, PORT, Lan, &[Job, Agent, Any][..]),
        ("a host in the LAN by UDP", "udp", LAN, PORT, Lan, &[Job, Agent]),
        ("a host in the LAN by an echo", "ping", LAN, 7, Lan, &[Job, Any]),
        ("a host in the LAN under its public number", "tcp", PUBLIC_LAN, PORT, Lan, &[Job, Agent, Any]),
        ("the router's pages", "tcp", ROUTER, 80, Router, &[Job, Agent]),
        ("the LAN's resolver", "udp", ROUTER, 53, Router, &[Job, Agent]),
        ("the cloud's metadata", "tcp", "169.254.169.254", 80, Router, &[Job, Agent, Any]),
        ("the carrier's network", "tcp", "100.64.0.9", PORT, Router, &[Job, Agent]),
        ("a company's network (10/8)", "tcp", "10.9.9.9", PORT, Router, &[Job, Agent]),
        ("a company's network (172.16/12)", "udp", "172.16.9.9", PORT, Router, &[Job, Agent]),
        ("a test network (198.18/15)", "tcp", "198.18.0.9", PORT, Router, &[Job]),
        ("a documentation network (203.0.113/24)", "tcp", "203.0.113.9", PORT, Router, &[Job]),
        ("another port of a region's server", "tcp", REGION, 22, Router, &[Job, Agent]),
        ("a mail server of the internet", "tcp", NET, 25, Net, &[Job, Agent]),
    ];
    let each = |&(name, how, to, port, place, by): &(&str, &str, &str, u16, Place, &[By])| {
        by.iter().map(|by| reach(name, *by, how, to, port, place).alone()).collect::<Vec<_>>()
    };
    let mut all: Vec<Attack> = everywhere.iter().flat_map(each).collect();
    // The user-mode network leads to none of these either.
    for by in [Job, Agent] {
        all.push(reach("the owner's own address", by, "tcp", OWN, PORT, Own));
        all.push(reach("the owner's second address", by, "tcp", OWN_PUBLIC, PORT, Own));
        all.push(reach("the LAN's names by multicast", by, "udp", "224.0.0.251", 5353, Lan));
        all.push(reach("the LAN's devices by multicast", by, "udp", "239.255.255.250", 1900, Lan));
        all.push(reach("everybody in the LAN by a broadcast", by, "udp", "192.168.7.255", PORT, Lan));
    }
    all.push(reach("the owner's second address", Any, "tcp", OWN_PUBLIC, PORT, Own));
    all.push(reach("the owner's loopback", Any, "tcp", "127.0.0.1", PORT, Own));
    all
}

/// Names that lead to a closed address, and hosts that send their callers there.
fn by_name() -> Vec<Attack> {
    let mut all = Vec::new();
    for by in [By::Job, By::Agent] {
        for (name, to, place) in [("lan", LAN, Place::Lan), ("meta", "169.254.169.254", Place::Router)] {
            // Who answers for names does not tell of these either.
            let title = format!("an internet name that leads to {to}");
            all.push(attack(
                &title,
                by,
                &format!("tcp {name}.walls.example {PORT}"),
                aim(place, to, TCP, PORT),
            ));
            let title = format!("an internet host that sends its callers to {to}");
            let act = format!("follow web.walls.example:{WEB_PORT}/go?http://{to}:{PORT}/");
            all.push(attack(&title, by, &act, aim(place, to, TCP, PORT)).alone());
        }
    }
    all
}

/// Root of the capsule, with all that it may do to its own network.
fn past_its_own_rules() -> Vec<Attack> {
    let root = |name: &str, act: &str, aim: Seen| attack(name, By::CapsuleRoot, act, aim);
    let lan = aim(Place::Lan, LAN, TCP, PORT);
    let lan_udp = aim(Place::Lan, LAN, UDP, PORT);
    let metadata = aim(Place::Router, "169.254.169.254", TCP, 80);
    let (tcp, udp) = (format!("tcp {LAN} {PORT}"), format!("udp {LAN} {PORT}"));
    let (gone, again) = ("nft list ruleset >/data/rules && nft flush ruleset", "nft -f /data/rules");
    let route = (format!("ip route add {LAN} via 192.0.0.1 dev eth0 onlink"), format!("ip route del {LAN}"));
    let address =
        "ip addr add 192.168.7.66/24 dev eth0 && ip route add 192.168.7.1 dev eth0 src 192.168.7.66";
    let translated = format!(
        "nft 'table ip t {{ chain o {{ type nat hook output priority -100; ip daddr 45.0.0.99 dnat to {LAN}; }}; }}'"
    );
    vec![
        root("the LAN after the capsule's own rules are gone", &tcp, lan).between(gone, again).alone(),
        root("metadata after the capsule's own rules are gone", "tcp 169.254.169.254 80", metadata)
            .between(gone, again)
            .alone(),
        root("the LAN by a route of its own", &tcp, lan).between(&route.0, &route.1).alone(),
        root("the LAN with an address of the LAN", &udp, lan_udp)
            .between(address, "ip addr del 192.168.7.66/24 dev eth0"),
        root("the LAN under another address, translated", &format!("tcp 45.0.0.99 {PORT}"), lan)
            .between(&translated, "nft delete table ip t")
            .while_the_owner(&tcp)
            .alone(),
        // The kernel gives nobody inside such a socket.
        root("the LAN by packets past its own stack", &format!("frame 192.0.0.2 {LAN} {PORT}"), lan_udp),
        root("the LAN by packets in the owner's name", &format!("frame {OWN} {LAN} {PORT}"), lan_udp),
        root("the LAN by packets within packets", &format!("raw 4 {LAN}"), aim(Place::Lan, LAN, IPIP, 0)),
        root(
            "the LAN by an error about an open conversation",
            &format!("error {NET} {LAN} 9"),
            aim(Place::Lan, LAN, ICMP, 9),
        ),
        root("the LAN from any network that it sees", &tcp, lan)
            .between(&format!("for at in /proc/[0-9]*/ns/net; do nsenter --net=$at $W {tcp}; done; true"), "")
            .alone(),
    ]
}

/// Each has a share by its address.
fn in_nobodys_name() -> Attack {
    let name = "the internet in nobody's name, past every share";
    attack(name, By::CapsuleRoot, &format!("forged 192.0.0.99 {NET} {PORT}"), aim(Place::Net, NET, UDP, PORT))
        .while_the_owner(&format!("udp {NET} {PORT}"))
        .alone()
}

impl Attack {
    /// What is done before, and what undoes it.
    fn between(mut self, first: &str, last: &str) -> Self {
        if let Deed::Reach { before, after, .. } = &mut self.deed {
            (*before, *after) = (first.to_owned(), last.to_owned());
        }
        self
    }

    /// What the owner does for the same.
    fn while_the_owner(mut self, act: &str) -> Self {
        if let Deed::Reach { control, .. } = &mut self.deed {
            *control = words(act);
        }
        self
    }
}

fn version_six() -> Vec<Attack> {
    let before = |to: &str| {
        format!(
            "echo 0 >/proc/sys/net/ipv6/conf/all/disable_ipv6; echo 0 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6
             $W ping 192.0.0.1 1; moat=$(ip neigh show 192.0.0.1 dev eth0 | sed 's/.*lladdr \\([^ ]*\\).*/\\1/')
             ip -6 addr replace fd00:7::66/64 dev eth0 nodad; ip -6 route replace default dev eth0
             ip -6 neigh replace {to} lladdr ${{moat:-02:00:00:00:00:01}} dev eth0 nud permanent"
        )
    };
    let after = "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6";
    let six = |name: &str, to: &str, place: Place| {
        let name = format!("{name} by IPv6");
        attack(&name, By::CapsuleRoot, &format!("udp {to} {PORT}"), aim(place, to, UDP, PORT))
            .between(&before(to), after)
    };
    vec![
        six("a host in the LAN", "fd00:7::2", Place::Lan),
        six("the owner's PC", "fd00:7::5", Place::Own),
        six("the LAN as the translators of networks spell it (NAT64)", "64:ff9b::c0a8:702", Place::Router),
        six("the LAN as 6to4 spells it", "2002:c0a8:702::1", Place::Router),
        six("the internet", "2a00:7::10", Place::Router),
        attack(
            "the LAN as IPv6 spells its IPv4 addresses",
            By::Agent,
            &format!("tcp ::ffff:{LAN} {PORT}"),
            aim(Place::Lan, LAN, TCP, PORT),
        )
        .alone(),
    ]
}

/// Jobs beside one another, the capsule's own services, its ports from the LAN, and the owner's link.
fn among_themselves() -> Vec<Attack> {
    let own = |name: &str, by: By, deed: fn(&Stage) -> Result<Verdict>| {
        Attack::new(name, by, Layer::Filter, Deed::Own(deed))
    };
    vec![
        own("another job", By::Job, |stage| neighbour(stage, By::Job, "")).alone(),
        own("another job, by what the agent does for a job", By::Agent, |stage| {
            neighbour(stage, By::Agent, "")
        })
        .alone(),
        own("another job, where bridges pass no rules", By::Job, |stage| {
            neighbour(
                stage,
                By::Job,
                "echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables 2>/dev/null; true",
            )
        })
        .alone(),
        own("the capsule's own services at its bridge", By::Job, |stage| services(stage, "192.0.0.129"))
            .alone(),
        own("the capsule's own services at its other end", By::Job, |stage| services(stage, "192.0.0.2"))
            .alone(),
        own("a job's port from the LAN", By::Job, published),
        own("the names of all others, kept waiting", By::Job, names),
        own("more conversations with the internet than its share", By::Job, many).alone(),
        own("more of the owner's link than its share, downwards", By::Job, |stage| {
            link(stage, &["take", NET, &WEB_PORT.to_string()])
        }),
        own("more of the owner's link than its share, upwards", By::CapsuleRoot, |stage| {
            link(stage, &["bring", NET, &WEB_PORT.to_string(), &MUCH.to_string()])
        }),
    ]
}

/// Whether one that listens hears the other; the first hears itself, or nothing is known.
fn neighbour(stage: &Stage, by: By, before: &str) -> Result<Verdict> {
    stage.shell(By::PrivilegedJob, before)?;
    let other = stage.engine.start(&["/bin/sh", "-c", LISTEN], &[], &json!({"NetworkMode": "bridge"}))?;
    let seen = stage.engine.look(&other)?;
    let to =
        seen["NetworkSettings"]["IPAddress"].as_str().context("a container without an address")?.to_owned();
    let hears = || {
        stage
            .engine
            .exec(&other, &["/walls", "inside", "tcp", "127.0.0.1", "8080"])
            .is_ok_and(|said| said.status == 0)
    };
    let up = until(Duration::from_secs(5), hears);
    let said = stage.act(by, &words(&format!("tcp {to} 8080")));
    stage.engine.remove(&other);
    ensure!(up, "the other does not listen");
    let said = said?;
    Ok(Verdict { succeeded: said.status == 0, detail: last_line(&said.text) })
}

/// Takes any number of callers on port 8080.
const LISTEN: &str = "exec /walls inside listen 8080";

fn services(stage: &Stage, at: &str) -> Result<Verdict> {
    stage.shell(
        By::PrivilegedJob,
        "trap '' HUP; setsid $W listen 8080 >/dev/null 2>&1 </dev/null & echo $! >/tmp/listener",
    )?;
    let up = until(Duration::from_secs(5), || {
        stage.act(By::Agent, &words(&format!("tcp {at} 8080"))).is_ok_and(|said| said.status == 0)
    });
    let said = stage.act(By::Job, &words(&format!("tcp {at} 8080")));
    stage.shell(By::PrivilegedJob, "kill $(cat /tmp/listener)")?;
    ensure!(up, "the capsule itself does not reach its service");
    let said = said?;
    Ok(Verdict { succeeded: said.status == 0, detail: last_line(&said.text) })
}

/// A port that the engine was told to open to all.
fn published(stage: &Stage) -> Result<Verdict> {
    let host = json!({"NetworkMode": "bridge", "PortBindings": {"8080/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8090"}]}});
    let other = stage.engine.start(&["/bin/sh", "-c", LISTEN], &[], &host)?;
    let from_lan = |port: u16| {
        let to = std::net::SocketAddr::new(address(OWN), port);
        stage.world.within(Place::Lan, || {
            std::net::TcpStream::connect_timeout(&to, Duration::from_millis(400)).is_ok()
        })
    };
    let control = stage.world.within(Place::Own, || std::net::TcpListener::bind((OWN, 8091)))??;
    let (open, reached) = (from_lan(8091), from_lan(8090));
    drop(control);
    stage.engine.remove(&other);
    ensure!(open?, "the LAN does not reach the owner's own port");
    Ok(Verdict { succeeded: reached?, detail: "asked for port 8090 from the LAN".to_owned() })
}

/// Who asks for names that nobody ever answers to, and who waits for one meanwhile.
fn names(stage: &Stage) -> Result<Verdict> {
    let asks = || stage.shell(By::Agent, "timeout 2 getent ahostsv4 web.walls.example");
    let control = asks()?;
    ensure!(control.text.contains(NET), "nobody has it anyway: {control:?}");
    let said = stage.act(By::Job, &words(&format!("names {SILENT} 2000")))?;
    ensure!(last_line(&said.text).starts_with("asked"), "it asked nothing: {said:?}");
    let other = asks()?;
    Ok(Verdict { succeeded: !other.text.contains(NET), detail: last_line(&other.text) })
}

/// By a job of its own, whose share is spent for a while then: whoever else attacks is there before, or would have its address after it.
fn many(stage: &Stage) -> Result<Verdict> {
    const SHARE: usize = 1024;
    let count = 1400;
    stage.attacker(By::Job)?;
    let job = stage.engine.start(&["/bin/sleep", "60"], &[], &json!({"NetworkMode": "bridge"}))?;
    stage.eyes.forget();
    let said =
        stage.engine.exec(&job, &["/walls", "inside", "many", NET, &count.to_string()]).inspect(|_| {
            // What was let through arrives while nothing else does.
            until(Duration::from_secs(3), || stage.eyes.ports(Place::Net, UDP, FIRST_OF_MANY).len() > SHARE);
        });
    stage.engine.remove(&job);
    let (said, arrived) = (said?, stage.eyes.ports(Place::Net, UDP, FIRST_OF_MANY).len());
    ensure!(arrived > SHARE / 2, "not even its share arrives: {arrived}, {said:?}");
    Ok(Verdict { succeeded: arrived > SHARE, detail: format!("{arrived} of {count} arrived") })
}

/// How fast it was, by what the other end saw, and how fast without the cap.
fn link(stage: &Stage, act: &[&str]) -> Result<Verdict> {
    let act: Vec<String> = act.iter().map(|word| (*word).to_owned()).collect();
    let by = if act[0] == "take" { By::Job } else { By::CapsuleRoot };
    stage.shell(By::PrivilegedJob, "tc qdisc del dev eth0 root 2>/dev/null; true")?;
    let speed = || -> Result<f64> {
        let mut said = stage.act(by, &act)?;
        if said.stood_still() {
            said = stage.act(by, &act)?;
        }
        ensure!(!said.stood_still(), "it stood still twice");
        stage.web.speed().with_context(|| format!("nothing was moved: {said:?}"))
    };
    let capped = speed()?;
    if by == By::Job {
        let (lost, passed) = at_the_cap(stage)?;
        ensure!(lost * 10 < passed, "a job's conversation would stand still: {lost} lost, {passed} passed");
    }
    for device in [WAN, LINE] {
        told(&mut stage.capsule().in_moat("tc", &["qdisc", "del", "dev", device, "root"]), "")?;
    }
    // Others may keep this PC busy for a moment.
    let open = speed()?.max(speed()?);
    told(&mut stage.capsule().in_moat("tc", &["-batch", "-"]), &cap(RATE))?;
    let share = RATE as f64 / 8.0;
    ensure!(open > share * 2.0, "this PC is too slow to see a cap: {open:.0} bytes/s without");
    let detail = format!("{:.1} MB/s of {:.1}; {:.1} without the cap", capped / 1e6, share / 1e6, open / 1e6);
    Ok(Verdict { succeeded: capped > share * 1.5, detail })
}

/// Of what went to the capsule: how many packets the cap lost, and how many it let pass.
fn at_the_cap(stage: &Stage) -> Result<(u64, u64)> {
    let said = stage.capsule().in_moat("tc", &["-s", "-j", "qdisc", "show", "dev", LINE, "root"]).output()?;
    let said: serde_json::Value = serde_json::from_slice(&said.stdout)?;
    let count =
        |what: &str| said[0][what].as_u64().with_context(|| format!("the cap counts nothing: {said}"));
    Ok((count("drops")?, count("packets")?))
}

fn until(within: Duration, holds: impl Fn() -> bool) -> bool {
    let deadline = std::time::Instant::now() + within;
    while !holds() {
        if std::time::Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    true
}

fn reach(name: &str, by: By, how: &str, to: &str, port: u16, place: Place) -> Attack {
    let protocol = match how {
        "tcp" => TCP,
        "udp" => UDP,
        _ => ICMP,
    };
    attack(name, by, &format!("{how} {to} {port}"), aim(place, to, protocol, port))
}

fn attack(name: &str, by: By, act: &str, aim: Seen) -> Attack {
    let deed = Deed::Reach {
        before: String::new(),
        act: words(act),
        after: String::new(),
        aim,
        control: words(act),
    };
    Attack::new(name, by, Layer::Filter, deed)
}

fn aim(place: Place, to: &str, protocol: u8, port: u16) -> Seen {
    Seen { place, to: address(to), protocol, port }
}
