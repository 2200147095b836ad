//! What must not be learned inside: the owner's names, paths, addresses, programs, and their LAN's.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use super::{finds, learns};
use crate::attack::{Attack, Deed, Verdict};
use crate::sides::{By, Layer, TOKEN, USER};
use crate::stage::Stage;
use crate::world::{LAN, OWN, OWN_MAC, OWN_PUBLIC, SECRET_NAME};

use By::{CapsuleRoot as Root, Job, PrivilegedJob as Any};

pub(super) fn all() -> Vec<Attack> {
    let of = Layer::Knowledge;
    let learn = |name, by, script| learns(name, by, of, script);
    let find = |name: &str, by, script: &str, secret: &str| finds(name, by, of, script, secret);
    let mut all = vec![
        learn("the PC's name, from the kernel", Job, "uname -n; cat /proc/sys/kernel/hostname"),
        learn("the PC's name, from the kernel", Any, "uname -n; cat /proc/sys/kernel/hostname").alone(),
        learn("the PC's name, from its files", Job, FILES),
        learn("the PC's name, from its files", Root, FILES).alone(),
        learn("the PC's id", Root, "cat /etc/machine-id /var/lib/dbus/machine-id").alone(),
        learn("the network's name", Root, "cat /etc/resolv.conf").alone(),
        learn("the owner's programs", Job, PROGRAMS),
        learn("the owner's programs", Any, PROGRAMS),
        find(
            "the owner's user name, from programs' environments",
            Any,
            "cat /proc/[0-9]*/environ | tr '\\0' '\\n'",
            USER,
        ),
        learn("the owner's folders, from what is mounted", Job, "cat /proc/[0-9]*/mountinfo"),
        learn("the owner's folders, from what is mounted", Any, "cat /proc/[0-9]*/mountinfo"),
        learn(
            "the owner's folders, from what programs have open",
            Any,
            "ls -l /proc/[0-9]*/fd /proc/[0-9]*/exe /proc/[0-9]*/cwd",
        ),
        learn("the kernel's log", Job, "dmesg -S; dmesg; cat /dev/kmsg </dev/null & sleep 0.2; kill $!"),
        learn("the kernel's log", Any, KERNEL_LOG),
    ];
    for by in [Job, Any] {
        all.push(find("the PC's address in its LAN", by, ADDRESSES, OWN));
        all.push(find("the PC's second address", by, ADDRESSES, OWN_PUBLIC));
        all.push(find("the PC's hardware address", by, "cat /sys/class/net/*/address; ip link", OWN_MAC));
    }
    for (name, script) in names_of_the_lan() {
        let secret = if script.starts_with("getent hosts 192") { SECRET_NAME } else { LAN };
        all.push(find(&name, Job, &script, secret).alone());
    }
    let own = |name, by, deed| Attack::new(name, by, of, Deed::Own(deed));
    all.push(own("the owner's folders, from where the disk's image lies", Job, |stage| image(stage, Job)));
    all.push(own("the owner's folders, from where the disk's image lies", Any, |stage| image(stage, Any)));
    all.push(own("another customer's settings", Job, another_customer));
    all
}

const FILES: &str = "cat /etc/hostname /etc/hosts /etc/mailname";
const PROGRAMS: &str = "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n'; ps axww";
const KERNEL_LOG: &str = "dmesg -S; timeout 1 cat /dev/kmsg";
const ADDRESSES: &str =
    "ip addr; ip route show table all; cat /proc/net/fib_trie /proc/net/arp /proc/net/tcp /proc/net/udp";

fn names_of_the_lan() -> Vec<(String, String)> {
    let zones = ["lan", "local", "home.arpa", "fritz.box"];
    let asks = |kind: &str, name: &str| {
        (format!("the LAN's addresses, by {kind}"), format!("getent ahostsv4 {name}"))
    };
    let by_name = zones.map(|zone| asks(&format!("a name in .{zone}"), &format!("{SECRET_NAME}.{zone}")));
    let by_address = ("the LAN's names, by an address".to_owned(), format!("getent hosts {LAN}"));
    [vec![by_address, asks("a name without a dot", "nas")], by_name.into()].concat()
}

/// The kernel tells everybody of the image; not where it lies.
fn image(stage: &Stage, by: By) -> Result<Verdict> {
    let said = stage.shell(by, "cat /sys/block/*/loop/backing_file")?;
    ensure!(said.text.contains("disk.img"), "it sees no image at all: {said:?}");
    let found = said.text.lines().find(|line| line.contains("disk.img")).unwrap_or_default();
    Ok(Verdict { succeeded: said.text.contains(TOKEN), detail: found.to_owned() })
}

/// What another job was given; root of the capsule, which sees all jobs, is the control.
fn another_customer(stage: &Stage) -> Result<Verdict> {
    let secret = format!("{TOKEN}-customer");
    let env = [format!("KEY={secret}")];
    let other = stage.engine.start(&["/bin/sleep", "60"], &env, &json!({"NetworkMode": "bridge"}))?;
    let script = "cat /proc/[0-9]*/environ; env; cat /run/secrets/* /var/run/*.sock";
    let seen = |by: By| stage.shell(by, script).map(|said| said.text.contains(&secret));
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    let mut control = seen(Any)?;
    while !control && std::time::Instant::now() < deadline {
        control = seen(Any)?;
    }
    let job = seen(Job);
    stage.engine.remove(&other);
    ensure!(control, "nobody sees what the other job was given");
    Ok(Verdict { succeeded: job?, detail: "looked into every process's environment".to_owned() })
}
