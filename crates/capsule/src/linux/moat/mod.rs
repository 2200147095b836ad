//! The moat: one small process between outside and inside, in a user, mount and network namespace of its own. It holds the filter and the
//! bandwidth cap, where the capsule's root cannot touch them; lays out what is seen inside; and is the parent of the first process there.
//!
//! It has one thread. When its holder goes it ends the capsule and clears away after it; when it is killed itself, the kernel ends the
//! capsule, and its holder clears away.

pub(crate) mod clone;
pub mod resolver;
pub(crate) mod root;

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change, unmount,
};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, pivot_root,
    set_parent_process_death_signal, waitpid,
};
use rustix::thread::{Gid, Uid, UnshareFlags, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::fault::Fault;
use crate::filter::{CAPSULE, CONTAINERS, INSIDE, LINE, LINE_BITS, MOAT, RESOLVER, WAN, cap};
use crate::linux::control::{Ask, Groups, Moat, Plan, Say};
use crate::linux::ids;
use crate::linux::tools::{OWN_PROGRAM, ended, find, follow, tell};
use crate::place::{Counted, Jobs};

const CLEARED_WITHIN: Duration = Duration::from_secs(5);
const NETWORK_WITHIN: Duration = Duration::from_secs(10);
/// Conversations in which nobody says a word (RFC 5382).
const REMEMBERED: Duration = Duration::from_secs(7_440);

/// The whole life of this process. Its standard input is the socket to its holder, its standard output the capsule's stream.
pub fn run() -> ExitCode {
    let kept = || -> io::Result<()> {
        let control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        let stream = io::stdout().as_fd().try_clone_to_owned()?;
        clone::leave(UnshareFlags::NEWUSER | UnshareFlags::NEWNS | UnshareFlags::NEWNET)?;
        keep(Moat::over(control)?, stream)
    };
    ended("moat", kept())
}

fn keep(mut moat: Moat, stream: OwnedFd) -> io::Result<()> {
    moat.say(&Say::Unshared)?;
    match moat.hear() {
        Some(Ask::Build(plan)) => {
            identity()?;
            match build(&plan, &mut moat, stream) {
                Ok(capsule) => hold(moat, capsule, plan.groups),
                Err(fault) => {
                    let _ = plan.groups.clear(CLEARED_WITHIN);
                    moat.say(&Say::Failed(fault))
                }
            }
        }
        Some(Ask::Sweep(groups)) => {
            identity()?;
            let swept = groups.clear(CLEARED_WITHIN);
            moat.say(&swept.map_or_else(Say::Failed, |()| Say::Done))
        }
        Some(Ask::Measure { folder }) => {
            identity()?;
            moat.say(&measured(&folder).map_or_else(Say::Failed, |bytes| Say::Measured { bytes }))
        }
        Some(Ask::Freeze { .. } | Ask::Thaw { .. } | Ask::Count | Ask::Wall { .. } | Ask::End) | None => {
            Ok(())
        }
    }
}

/// In bytes. What changes meanwhile is counted as it was met, and no link is followed.
fn measured(folder: &Path) -> Result<u64, Fault> {
    use std::os::unix::process::CommandExt as _;
    let wrong = |error: io::Error| Fault::at("measure", error);
    let mut command = Command::new(find("du")?);
    command.args(["-s", "-x", "--block-size=1"]).arg(folder).env_clear().stdin(Stdio::null());
    // SAFETY: see what is done there.
    unsafe { command.pre_exec(follow()) };
    let said = command.stderr(Stdio::null()).output().map_err(wrong)?;
    let said = String::from_utf8_lossy(&said.stdout);
    let bytes = said.split_whitespace().next().and_then(|bytes| bytes.parse().ok());
    bytes.ok_or_else(|| wrong(io::ErrorKind::InvalidData.into()))
}

/// Root of the namespace that it is in.
fn identity() -> io::Result<()> {
    set_thread_groups(&[])?;
    let (user, group) = (Uid::ROOT, Gid::ROOT);
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    Ok(())
}

/// The first process of the capsule.
struct Capsule {
    pid: Pid,
    handle: OwnedFd,
    /// Who answers for names to it. Without that one it cannot work.
    names: OwnedFd,
}

fn build(plan: &Plan, moat: &mut Moat, stream: OwnedFd) -> Result<Capsule, Fault> {
    let at = |step: &'static str| move |error: io::Error| Fault::at(step, error);
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|error| Fault::at("mounts", error))?;
    root::lay_out(plan).map_err(at("root"))?;
    network(plan)?;
    let (ours, theirs) = UnixStream::pair().map_err(at("capsule"))?;
    let capsule = spawn(plan, ours, theirs, stream).map_err(at("capsule"))?;
    moat.say(&Say::Inside).map_err(at("holder"))?;
    Ok(capsule)
}

/// The filter is there before there is anybody to filter.
fn network(plan: &Plan) -> Result<(), Fault> {
    let deadline = Instant::now() + NETWORK_WITHIN;
    while !std::fs::read_to_string("/proc/self/net/route").is_ok_and(|routes| routes.contains(WAN)) {
        if Instant::now() >= deadline {
            return Err(Fault::at("network", "it has no route"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").map_err(|error| Fault::at("forwarding", error))?;
    for setting in ["all", "default"] {
        // A kernel without it has nothing to be closed.
        let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{setting}/disable_ipv6"), "1");
    }
    tell("nft", &["-f", "-"], &plan.rules)?;
    // Each counts for as long as the kernel remembers it: five days after its last word, where nobody says less.
    let remembered = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established";
    std::fs::write(remembered, REMEMBERED.as_secs().to_string())
        .map_err(|error| Fault::at("filter", error))?;
    tell("ip", &["-batch", "-"], &format!("link set lo up\naddr add {RESOLVER}/32 dev lo\n"))
}

/// Who answers for names, by a handle. It dies with the moat.
fn names() -> io::Result<OwnedFd> {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new(OWN_PROGRAM);
    command.arg("names").env_clear().stdin(Stdio::null()).stdout(Stdio::null());
    // SAFETY: see what is done there.
    unsafe { command.pre_exec(follow()) };
    let pid = Pid::from_raw(command.spawn()?.id() as i32).ok_or(io::ErrorKind::NotFound)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

fn spawn(plan: &Plan, mut ours: UnixStream, mut theirs: UnixStream, stream: OwnedFd) -> io::Result<Capsule> {
    let names = names()?;
    // SAFETY: this process has one thread (see the module's head).
    let Some(pid) = (unsafe { clone::into_new_namespaces() })? else {
        drop(ours);
        let error = inside(plan, &mut theirs, stream);
        let _ = writeln!(io::stderr(), "capsule: {error}");
        // Nothing of the moat's is to be run in here, not even its ends.
        // SAFETY: ends this process and runs nothing of it.
        unsafe { libc::_exit(1) };
    };
    drop((theirs, stream));
    // The capsule's end of its stream is the capsule's alone: it closes with its first process.
    rustix::stdio::dup2_stdout(std::fs::File::options().write(true).open("/dev/null")?)?;
    let handle = pidfd_open(pid, PidfdFlags::empty())?;
    let mut joined = || -> io::Result<()> {
        ids::map_inside(pid.as_raw_nonzero().get())?;
        plan.groups.enter(pid.as_raw_nonzero().get())?;
        line(plan, pid).map_err(io::Error::other)?;
        ours.write_all(b"x")
    };
    if let Err(error) = joined() {
        let _ = kill_process(pid, Signal::KILL);
        let _ = waitpid(Some(pid), WaitOptions::empty());
        return Err(error);
    }
    Ok(Capsule { pid, handle, names })
}

/// The line between moat and capsule, and the cap on both of its ends.
fn line(plan: &Plan, pid: Pid) -> Result<(), Fault> {
    let (net, bits) = CONTAINERS;
    let pid = pid.as_raw_nonzero();
    let line = format!(
        "link add {LINE} mtu {mtu} type veth peer name {INSIDE} mtu {mtu} netns {pid}\n\
         addr add {MOAT}/{LINE_BITS} dev {LINE}\nlink set {LINE} up\nroute add {net}/{bits} via {CAPSULE}\n",
        mtu = crate::engine::MTU,
    );
    tell("ip", &["-batch", "-"], &line)?;
    match plan.rate {
        Some(rate) => tell("tc", &["-batch", "-"], &cap(rate)),
        None => Ok(()),
    }
}

/// The new process, until it is another program. Gives back why it did not become one.
fn inside(plan: &Plan, theirs: &mut UnixStream, stream: OwnedFd) -> io::Error {
    let mut become_inside = || -> io::Result<()> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        let mut go = [0];
        theirs.read_exact(&mut go)?;
        // Only now: what is its root of control groups is what it is in.
        clone::leave(UnshareFlags::NEWCGROUP)?;
        rustix::system::sethostname(b"capsule")?;
        // Still as the owner: nobody else may go through their folders.
        enter(&plan.root)?;
        identity()?;
        Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
    };
    if let Err(error) = become_inside() {
        return error;
    }
    use std::os::unix::process::CommandExt as _;
    Command::new(root::PROGRAM)
        .arg("init")
        .args(plan.led.iter().map(ToString::to_string))
        .env_clear()
        .stdin(Stdio::from(stream))
        .stdout(Stdio::null())
        .exec()
}

/// The laid-out folder becomes the root, and all else goes out of sight.
fn enter(root: &Path) -> io::Result<()> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    // What was mounted outside cannot be moved in here; this second view of it can.
    mount_bind_recursive(root, root)?;
    std::env::set_current_dir(root)?;
    // The kernel gives these only to whoever still sees others of their kind.
    let closed = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", "proc", "proc", closed, None)?;
    mount("sysfs", "sys", "sysfs", closed | MountFlags::RDONLY, None)?;
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    std::env::set_current_dir("/")
}

/// Until the holder, or the capsule, ends.
fn hold(mut moat: Moat, capsule: Capsule, groups: Groups) -> io::Result<()> {
    loop {
        if !moat.has_more() {
            let mut ready = [
                PollFd::from_borrowed_fd(moat.stream().as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(capsule.handle.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(capsule.names.as_fd(), PollFlags::IN),
            ];
            match poll(&mut ready, None) {
                Err(rustix::io::Errno::INTR) => continue,
                other => other?,
            };
            if !ready[2].revents().is_empty() {
                let _ = end(&capsule, &groups);
                return moat.say_unasked(&Say::Ended { why: "nobody answers for names any more".to_owned() });
            }
            if !ready[1].revents().is_empty() {
                let ended = waitpid(Some(capsule.pid), WaitOptions::empty());
                let why = ended.ok().flatten().map(|(_, status)| format!("{status:?}")).unwrap_or_default();
                let _ = groups.clear(CLEARED_WITHIN);
                return moat.say_unasked(&Say::Ended { why });
            }
        }
        match moat.hear() {
            // The holder is gone: so is everything.
            None => return end(&capsule, &groups).map_err(io::Error::other),
            Some(Ask::End) => {
                let ended = end(&capsule, &groups);
                return moat.say(&ended.map_or_else(Say::Failed, |()| Say::Done));
            }
            Some(ask) => {
                let answer = answer(ask, &groups).unwrap_or_else(Say::Failed);
                moat.say(&answer)?;
            }
        }
    }
}

fn answer(ask: Ask, groups: &Groups) -> Result<Say, Fault> {
    let hold = |jobs: &Jobs, frozen: bool| {
        let held = groups.freeze(jobs, frozen);
        held.map(|()| Say::Done).map_err(|error| Fault::at("freezer", error))
    };
    match ask {
        Ask::Freeze { jobs } => hold(&jobs, true),
        Ask::Thaw { jobs } => hold(&jobs, false),
        Ask::Wall { rules } => tell("nft", &["-f", "-"], &rules).map(|()| Say::Done),
        Ask::Count => counted().map(Say::Counted),
        Ask::Build(_) | Ask::Sweep(_) | Ask::Measure { .. } | Ask::End => Err(Fault::Busy),
    }
}

/// The kernel ends whoever is inside with the first of them. On version 1 who is frozen hears that once thawed.
fn end(capsule: &Capsule, groups: &Groups) -> Result<(), Fault> {
    let _ = kill_process(capsule.pid, Signal::KILL);
    let cleared = groups.clear(CLEARED_WITHIN);
    let _ = waitpid(Some(capsule.pid), WaitOptions::empty());
    cleared
}

fn counted() -> Result<Counted, Fault> {
    let said = Command::new(find("nft")?)
        .args(["-j", "list", "counters"])
        .output()
        .map_err(|error| Fault::at("filter", error))?;
    let listed: serde_json::Value =
        serde_json::from_slice(&said.stdout).map_err(|error| Fault::at("filter", error))?;
    let of = |name: &str, what: &str| {
        let counters = listed["nftables"].as_array().into_iter().flatten();
        let mut counters = counters.filter_map(|entry| entry.get("counter"));
        counters
            .find(|counter| counter["name"] == name)
            .and_then(|counter| counter[what].as_u64())
            .unwrap_or(0)
    };
    Ok(Counted {
        sent: of("sent", "bytes"),
        received: of("received", "bytes"),
        refused: of("refused", "packets"),
    })
}
