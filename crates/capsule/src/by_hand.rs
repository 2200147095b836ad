//! A capsule by hand: it is held until standard input ends, and its engine and guard answer on sockets meanwhile.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use ionet_capsule::link::{self, Conversation, End, Link};
use ionet_capsule::linux::{Here, disk, way};
use ionet_capsule::{Fault, Place as _, Spec, Way};
use tokio::net::{TcpStream, UnixListener};
use tokio::sync::mpsc;

const USAGE: &str = "usage: ionet-capsule hold --name NAME --folder DIR --run DIR [--group PATH] [--rate BITS]
       [--disk BYTES] [--memory BYTES] [--grant ADDRESS:PORT]… [--agent NOMAD] [--lead PORT]…
Holds a capsule until standard input ends. Lines there: freeze, thaw, count. DIR/engine.sock is its engine, DIR/guard.sock
its guard, DIR/files.sock its logs.";

pub(crate) fn usage() -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{USAGE}");
    ExitCode::from(2)
}

struct Asked {
    here: Here,
    spec: Spec,
}

pub(crate) fn run(args: impl Iterator<Item = String>) -> ExitCode {
    let Some(asked) = read(args) else { return usage() };
    let held = || -> Result<(), Fault> {
        if asked.here.way == Way::Service {
            disk::keep_mounts_to_ourselves().map_err(|error| Fault::at("mounts", error))?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| Fault::at("start", error))?.block_on(hold(&asked))
    };
    match held() {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            let _ = writeln!(std::io::stderr(), "{fault}");
            ExitCode::FAILURE
        }
    }
}

async fn hold(asked: &Asked) -> Result<(), Fault> {
    asked.here.sweep(&asked.spec.name).await?;
    let capsule = asked.here.start(&asked.spec).await?;
    let mut hold = capsule.hold;
    let led = asked.spec.led.clone();
    let (link, over) =
        Link::over(capsule.stream, End::Holder, move |talk| drop(tokio::spawn(back(talk, led.clone()))));
    let mut over = std::pin::pin!(over);
    for door in ["guard", "engine", "files"] {
        lead(&link, door, &asked.here.run.join(door).with_extension("sock"))?;
    }
    say("ready");
    let mut lines = typed();
    loop {
        let line = tokio::select! {
            line = lines.recv() => line.ok_or(None),
            ended = hold.ended() => Err(Some(ended.why)),
            () = &mut over => Err(Some("its first process ended".to_owned())),
        };
        let line = match line {
            Ok(line) => line,
            Err(why) => {
                hold.end(Duration::from_secs(5)).await?;
                return why.map_or(Ok(()), |why| Err(Fault::at("capsule", why)));
            }
        };
        match line.as_str() {
            "freeze" => hold.freeze().await.map(|()| say("frozen"))?,
            "thaw" => hold.thaw().await.map(|()| say("thawed"))?,
            "count" => say(&format!("{:?}", hold.counted().await?)),
            "look" => hold.look_again().await.map(|()| say("looked"))?,
            other => say(&format!("what is {other}?")),
        }
    }
}

/// Whoever of this user comes to the socket is led to the door inside.
fn lead(link: &Link, door: &'static str, socket: &Path) -> Result<(), Fault> {
    let _ = std::fs::remove_file(socket);
    let listener = UnixListener::bind(socket).map_err(|error| Fault::at("socket", error))?;
    let link = link.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(link.clone().lead(door.to_owned(), stream));
        }
    });
    Ok(())
}

/// Whoever inside asks for a port of this PC's is led to one of those that were named, and to no other.
async fn back(mut talk: Conversation, led: Vec<u16>) {
    let Ok(name) = link::asked(&mut talk).await else { return };
    let port = name.strip_prefix("port ").and_then(|port| port.parse().ok());
    let behind = match port.filter(|port| led.contains(port)) {
        Some(port) => TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await,
        None => Err(std::io::ErrorKind::PermissionDenied.into()),
    };
    // Either may break off; nobody else is concerned.
    let _ = link::answer(talk, behind).await;
}

/// What is typed, line by line, until it ends.
fn typed() -> mpsc::Receiver<String> {
    let (say, heard) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if say.blocking_send(line).is_err() {
                return;
            }
        }
    });
    heard
}

fn say(what: &str) {
    let _ = writeln!(std::io::stdout(), "{what}");
}

fn read(mut args: impl Iterator<Item = String>) -> Option<Asked> {
    let (mut name, mut folder, mut run, mut group, mut rate, mut agent) =
        (None, None, None, None, None, None);
    let (mut disk, mut memory, mut granted, mut led) = (20 << 30, None, Vec::new(), Vec::new());
    while let Some(arg) = args.next() {
        let value = args.next()?;
        match arg.as_str() {
            "--name" => name = Some(value),
            "--folder" => folder = Some(PathBuf::from(value)),
            "--run" => run = Some(PathBuf::from(value)),
            "--group" => group = Some(Path::new(&value).to_owned()),
            "--rate" => rate = Some(value.parse().ok()?),
            "--disk" => disk = value.parse().ok()?,
            "--memory" => memory = Some(value.parse().ok()?),
            "--grant" => granted.push(value.parse().ok()?),
            "--lead" => led.push(value.parse().ok()?),
            "--agent" => agent = Some(PathBuf::from(value)),
            _ => return None,
        }
    }
    let here = Here { way: way(), program: std::env::current_exe().ok()?, run: run?, delegated: group };
    let spec = Spec { name: name?, folder: folder?, disk, agent, granted, led, rate, memory };
    Some(Asked { here, spec })
}
