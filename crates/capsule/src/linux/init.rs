//! The first process inside: it makes the rest of its world, starts the engine and starts it again when it dies, takes in whoever loses
//! their parent, and answers at the doors. When the stream to its holder ends, it ends, and the kernel ends all others with it.

use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::ExitCode;

use rustix::mount::{MountFlags, mount};
use tokio::net::UnixStream;

use super::{engine, groups_inside, way};
use crate::filter::{self, CAPSULE, INSIDE, LINE_BITS, MOAT};
use crate::link::{self, Conversation};

/// The whole life of this process. Its standard input is the capsule's stream.
pub fn run() -> ExitCode {
    match live() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write as _;
            let _ = writeln!(io::stderr(), "init: {error}");
            ExitCode::FAILURE
        }
    }
}

fn live() -> io::Result<()> {
    world()?;
    groups_inside::arrange()?;
    let stream = std::os::unix::net::UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    stream.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stream = UnixStream::from_std(stream)?;
        network().await?;
        let doors = link::inside(stream, |talk| drop(tokio::spawn(door(talk))));
        tokio::select! {
            // The holder has let go.
            () = doors => Ok(()),
            error = engine::keep() => Err(error),
        }
    })
}

/// What only those who are inside can mount.
fn world() -> io::Result<()> {
    let held = MountFlags::NOSUID | MountFlags::NODEV;
    let closed = held | MountFlags::NOEXEC;
    mount("devpts", "/dev/pts", "devpts", MountFlags::NOSUID | MountFlags::NOEXEC, c"newinstance,ptmxmode=0666,mode=620")?;
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
    groups_inside::mount_all()
}

async fn network() -> io::Result<()> {
    for setting in ["net/ipv6/conf/all/disable_ipv6", "net/ipv6/conf/default/disable_ipv6"] {
        // A kernel without it has nothing to be closed.
        let _ = std::fs::write(Path::new("/proc/sys").join(setting), "1");
    }
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
    tell("nft", &["-f", "-"], &filter::inside()).await?;
    let line = format!(
        "link set lo up\naddr add {CAPSULE}/{LINE_BITS} dev {INSIDE}\nlink set {INSIDE} up\nroute add default via {MOAT}\n"
    );
    tell("ip", &["-batch", "-"], &line).await
}

/// Who asks for which door is the holder alone.
async fn door(mut talk: Conversation) {
    let Ok(name) = link::asked(&mut talk).await else { return };
    let behind = match name.as_str() {
        "engine" => UnixStream::connect(crate::engine::SOCKET).await,
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let carried = match behind {
        Ok(behind) => match link::opened(&mut talk).await {
            Ok(()) => link::carry(talk, behind).await,
            Err(error) => Err(error),
        },
        Err(error) => link::closed(&mut talk, &error.to_string()).await,
    };
    if let Err(error) = carried {
        tracing::debug!(%error, name, "a conversation broke off");
    }
}

async fn tell(program: &str, args: &[&str], text: &str) -> io::Result<()> {
    use tokio::io::AsyncWriteExt as _;
    let program = way::find(program).map_err(io::Error::other)?;
    let mut child = tokio::process::Command::new(program)
        .args(args)
        .env_clear()
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(text.as_bytes()).await?;
    }
    let said = child.wait().await?;
    if said.success() { Ok(()) } else { Err(io::Error::other(format!("{}: {said}", args.join(" ")))) }
}
