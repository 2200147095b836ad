//! The way out: a user-mode network in the moat, whose other end is an ordinary program outside. Nothing of the owner's firewall, routes or
//! interfaces is changed.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use nix::ifaddrs::getifaddrs;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::said::pass_on;
use super::tools::{find, follow};
use crate::fault::{Fault, Missing};
use crate::filter::{OWNERS_RESOLVER, WAN};
use crate::place::Way;

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

/// The addresses that this PC has now, of whatever network.
pub(crate) fn own_addresses() -> Vec<Ipv4Addr> {
    let mut own: Vec<Ipv4Addr> = getifaddrs()
        .into_iter()
        .flatten()
        .filter_map(|interface| {
            interface.address.as_ref().and_then(|at| at.as_sockaddr_in()).map(|at| at.ip())
        })
        .filter(|address| !address.is_loopback())
        .collect();
    own.sort_unstable();
    own.dedup();
    own
}
