//! A holder as it is started: `serve` for whoever asks over its socket, `hold` for a person, until standard input ends.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use ionet_capsule::holder::ALONE;
use ionet_capsule::link::{End, Link};
use ionet_capsule::linux::holder::doors::{self, Doors};
use ionet_capsule::linux::holder::{self, Setup};
use ionet_capsule::linux::{Here, disk, way};
use ionet_capsule::place::{Container, Jobs, NoContainer};
use ionet_capsule::{Fault, Place as _, Programs, Spec, Way, Wish};
use tokio::sync::mpsc;

const USAGE: &str = "usage: ionet-capsule hold|serve|sweep --name NAME --folder DIR --run DIR [--agent NOMAD] [--beside NAME=FILE]…
       [--group PATH]
hold:  [--rate BITS] [--disk BYTES] [--memory BYTES] [--grant ADDRESS:PORT]… [--lead PORT]…
       Holds a capsule until standard input ends. Lines there: freeze [ID]…, thaw [ID]…, count, look.
serve: [--owner UID] [--stays yes] [--alone SECONDS] [--log FILE]
       Holds what is asked for at DIR/hold.sock.
sweep: Clears away what a capsule of that name has left that was ended by force.
DIR/engine.sock is the capsule's engine, DIR/guard.sock its guard, DIR/files.sock its logs.";

pub(crate) fn usage() -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{USAGE}");
    ExitCode::from(2)
}

struct Asked {
    setup: Setup,
    wish: Wish,
    log: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Deed {
    Hold,
    Serve,
    Sweep,
}

pub(crate) fn run(deed: Deed, args: impl Iterator<Item = String>) -> ExitCode {
    let Some(asked) = read(args) else { return usage() };
    let held = || -> Result<(), Fault> {
        if let Some(log) = &asked.log {
            log_into(log).map_err(|error| Fault::at("log", error))?;
        }
        if asked.setup.here.way == Way::Service {
            disk::keep_mounts_to_ourselves().map_err(|error| Fault::at("mounts", error))?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Fault::at("start", error))?;
        match deed {
            Deed::Hold => runtime.block_on(hold(asked)),
            Deed::Serve => runtime.block_on(holder::serve(asked.setup)),
            Deed::Sweep => runtime.block_on(holder::sweep(&asked.setup)),
        }
    };
    match held() {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            let _ = writeln!(std::io::stderr(), "{fault}");
            ExitCode::FAILURE
        }
    }
}

/// What is said by it, and by those inside that have nobody else to tell, lies in one file of its owner's.
fn log_into(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    ionet_private::folder(file.parent().unwrap_or(file)).map_err(std::io::Error::other)?;
    let log = std::fs::File::options().create(true).append(true).mode(0o600).open(file)?;
    if log.metadata()?.len() > LONGEST_LOG {
        log.set_len(0)?;
    }
    rustix::stdio::dup2_stderr(&log)?;
    tracing_subscriber::fmt().json().flatten_event(true).with_writer(std::io::stderr).init();
    Ok(())
}

/// An older holder's words go when there are more of them.
const LONGEST_LOG: u64 = 1 << 20;

async fn hold(Asked { setup, wish, .. }: Asked) -> Result<(), Fault> {
    let Setup { mut here, name, folder, programs, owner, .. } = setup;
    here.settle(&name).await?;
    here.sweep(&name).await?;
    let led = wish.led.clone();
    let capsule = here.start(&Spec { name, folder, programs, wish }).await?;
    let mut hold = capsule.hold;
    let back = move |talk| drop(tokio::spawn(doors::back(talk, led.clone())));
    let (link, over) = Link::over(capsule.stream, End::Holder, back);
    let mut over = std::pin::pin!(over);
    let _doors = Doors::open(&link, &here.run, owner)?;
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
        let (word, ids) = line.split_once(' ').unwrap_or((&line, ""));
        match (word, whom(ids)) {
            ("freeze" | "thaw", Err(error)) => say(&error.to_string()),
            ("freeze", Ok(jobs)) => say(&told("frozen", hold.freeze(&jobs).await)),
            ("thaw", Ok(jobs)) => say(&told("thawed", hold.thaw(&jobs).await)),
            ("count", _) => say(&format!("{:?}", hold.used().await?)),
            ("look", _) => hold.look_again().await.map(|()| say("looked"))?,
            _ => say(&format!("what is {line}?")),
        }
    }
}

/// All, where nobody is named.
fn whom(ids: &str) -> Result<Jobs, NoContainer> {
    let named: Vec<Container> = ids.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    Ok(if named.is_empty() { Jobs::All } else { Jobs::Of(named) })
}

fn told(done: &str, result: Result<(), Fault>) -> String {
    result.map_or_else(|fault| fault.to_string(), |()| done.to_owned())
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
    let (mut name, mut folder, mut run, mut group, mut log) = (None, None, None, None, None);
    let (mut stays, mut owner, mut alone) = (false, rustix::process::geteuid().as_raw(), ALONE);
    let mut programs = Programs::default();
    let mut wish = Wish { disk: None, memory: None, rate: None, granted: Vec::new(), led: Vec::new() };
    while let Some(arg) = args.next() {
        let value = args.next()?;
        match arg.as_str() {
            "--name" => name = Some(value),
            "--folder" => folder = Some(PathBuf::from(value)),
            "--run" => run = Some(PathBuf::from(value)),
            "--group" => group = Some(PathBuf::from(value)),
            "--agent" => programs.agent = Some(PathBuf::from(value)),
            "--log" => log = Some(PathBuf::from(value)),
            "--owner" => owner = value.parse().ok()?,
            "--alone" => alone = Duration::from_secs(value.parse().ok()?),
            "--stays" => stays = value == "yes",
            "--beside" => {
                let (name, file) = value.split_once('=')?;
                programs.beside.insert(PathBuf::from(name), PathBuf::from(file));
            }
            "--rate" => wish.rate = Some(value.parse().ok()?),
            "--disk" => wish.disk = Some(value.parse().ok()?),
            "--memory" => wish.memory = Some(value.parse().ok()?),
            "--grant" => wish.granted.push(value.parse().ok()?),
            "--lead" => wish.led.push(value.parse().ok()?),
            _ => return None,
        }
    }
    let here = Here { way: way(), program: std::env::current_exe().ok()?, run: run?, delegated: group };
    let setup = Setup { here, name: name?, folder: folder?, programs, owner, stays, alone };
    Some(Asked { setup, wish, log })
}
