//! The first process inside: it makes the rest of its world, keeps engine and guard running, takes in whoever loses their parent, and
//! answers at the doors. When the stream to its holder ends, it ends, and the kernel ends all others with it.

use std::cell::Cell;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use rustix::mount::{MountFlags, mount};
use tokio::net::{TcpListener, UnixStream};

use super::calls;
use super::children::{keep, reap};
use super::engine;
use super::files;
use super::probe;
use crate::filter::{self, CAPSULE, INSIDE, LINE_BITS, MOAT};
use crate::inside::{ENGINE, GUARD};
use crate::link::{self, Conversation, End, Link};
use crate::linux::groups::within;
use crate::linux::moat::root;
use crate::linux::tools::{ended, tell};

/// Said to the guard that is the first of its capsule.
const FIRST: &str = "first";

/// The whole life of this process. Its standard input is the capsule's stream. `led`: ports of its loopback that lead to the holder's.
pub fn run(led: impl Iterator<Item = u16>) -> ExitCode {
    ended("init", live(led))
}

fn live(led: impl Iterator<Item = u16>) -> io::Result<()> {
    world()?;
    within::arrange()?;
    calls::refuse()?;
    network()?;
    let stream = std::os::unix::net::UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    stream.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stream = UnixStream::from_std(stream)?;
        let (link, doors) = Link::over(stream, End::Capsule, |talk| drop(tokio::spawn(door(talk))));
        for port in led {
            lead_out(link.clone(), port).await?;
        }
        let (engine, first) = (engine::prepared()?, Cell::new(true));
        tokio::select! {
            // The holder has let go.
            () = doors => Ok(()),
            error = keep(engine) => Err(error),
            error = keep(|| guarded(first.replace(false))) => Err(error),
            error = keep(files::again) => Err(error),
            error = reap() => Err(error),
        }
    })
}

/// The agent's guard, as it would be outside, in a process of its own: what the agent loses goes to it. It ends where nothing is left to
/// guard; the holder decides when the capsule does.
fn guarded(first: bool) -> io::Result<Command> {
    let mut guard = Command::new(root::PROGRAM);
    guard.arg("guard").args(first.then_some(FIRST)).env_clear().stdin(Stdio::null()).stdout(Stdio::null());
    Ok(guard)
}

/// What only those who are inside can mount.
fn world() -> io::Result<()> {
    let held = MountFlags::NOSUID | MountFlags::NODEV;
    let closed = held | MountFlags::NOEXEC;
    mount(
        "devpts",
        "/dev/pts",
        "devpts",
        MountFlags::NOSUID | MountFlags::NOEXEC,
        c"newinstance,ptmxmode=0666,mode=620",
    )?;
    mount("mqueue", "/dev/mqueue", "mqueue", closed, None)?;
    mount("shm", "/dev/shm", "tmpfs", closed, c"mode=1777,size=64m")?;
    for (at, options) in [
        ("/run", c"mode=755,size=64m"),
        ("/tmp", c"mode=1777,size=64m"),
        ("/var", c"mode=755,size=16m"),
        ("/root", c"mode=700,size=1m"),
        // The engine keeps a key of its own there.
        ("/etc/docker", c"mode=700,size=1m"),
    ] {
        mount("capsule", at, "tmpfs", held, options)?;
    }
    within::mount_all()
}

fn network() -> io::Result<()> {
    for setting in ["net/ipv6/conf/all/disable_ipv6", "net/ipv6/conf/default/disable_ipv6"] {
        // A kernel without it has nothing to be closed.
        let _ = std::fs::write(Path::new("/proc/sys").join(setting), "1");
    }
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
    let told = |program, args: &[&str], text: &str| tell(program, args, text).map_err(io::Error::other);
    told("nft", &["-f", "-"], &filter::inside())?;
    let line = format!(
        "link set lo up\naddr add {CAPSULE}/{LINE_BITS} dev {INSIDE}\nlink set {INSIDE} up\nroute add default via {MOAT}\n"
    );
    told("ip", &["-batch", "-"], &line)
}

/// Whoever comes to this port in here is led to the same one of the holder's, if that opens it.
async fn lead_out(link: Link, port: u16) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(link.clone().lead(format!("port {port}"), stream));
        }
    });
    Ok(())
}

/// Who asks for which door is the holder alone.
async fn door(mut talk: Conversation) {
    let Ok(name) = link::asked(&mut talk).await else { return };
    if name == "probe" {
        let (near, far) = tokio::io::duplex(16 << 10);
        tokio::spawn(probe::answer(far));
        let _ = link::answer(talk, Ok(near)).await;
        return;
    }
    let behind = match name.as_str() {
        "guard" => UnixStream::connect(Path::new(GUARD).join("guard.sock")).await,
        "engine" => UnixStream::connect(ENGINE).await,
        "files" => UnixStream::connect(files::SOCKET).await,
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    if let Err(error) = link::answer(talk, behind).await {
        tracing::debug!(%error, name, "a conversation broke off");
    }
}
