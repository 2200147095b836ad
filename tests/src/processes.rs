//! The process table, read from `/proc`.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    pub parent: u32,
    /// When it was started, in the kernel's ticks since boot.
    pub started: u64,
    /// The kernel's letter: `R`, `S`, `D`, `T` stopped, `Z` ended and not yet collected.
    pub state: char,
    /// Program and arguments, with spaces between.
    pub command: String,
}

impl Process {
    /// None when there is no such process.
    pub fn read(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in brackets may hold anything, so count from its end.
        let mut after = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
        let state = after.next()?.chars().next()?;
        let parent = after.next()?.parse().ok()?;
        // The 22nd field of all; two of those after the name are taken.
        let started = after.nth(17)?.parse().ok()?;
        let raw = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&raw).trim_end_matches('\0').replace('\0', " ");
        Some(Self { pid, parent, started, state, command })
    }

    pub fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }

    /// The program that runs; none when it cannot be read (a kernel thread, another user's).
    pub fn program(&self) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/exe", self.pid)).ok()
    }

    /// The program's file name.
    pub fn name(&self) -> String {
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        self.program().as_deref().and_then(name).unwrap_or_default()
    }

    /// Our program in its guard's part.
    pub fn is_guard(&self) -> bool {
        self.command.contains(" guard --run-dir ") || self.command.contains("ionet-capsule guard")
    }

    /// The environment it was started with.
    pub fn environment(&self) -> Vec<(String, String)> {
        let raw = fs::read(format!("/proc/{}/environ", self.pid)).unwrap_or_default();
        let text = String::from_utf8_lossy(&raw).into_owned();
        let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        text.split('\0').filter_map(pair).collect()
    }

    /// It was started for `folder`, works in it, or holds something below it open.
    pub fn belongs_to(&self, folder: &Path) -> bool {
        let path = folder.to_string_lossy();
        self.command.contains(&*path)
            || self.environment().iter().any(|(_, value)| value.contains(&*path))
            || self.places().iter().any(|place| place.starts_with(folder))
    }

    fn places(&self) -> Vec<PathBuf> {
        let of = |name: &str| fs::read_link(format!("/proc/{}/{name}", self.pid)).ok();
        self.open_files().into_iter().chain(["cwd", "exe"].into_iter().filter_map(of)).collect()
    }

    /// What its descriptors lead to: paths, and names like `socket:[1234]`.
    fn open_files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.pid)).into_iter().flatten().flatten();
        entries.filter_map(|entry| fs::read_link(entry.path()).ok()).collect()
    }
}

/// Every living process.
pub fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(Process::read)
        .filter(Process::is_alive)
        .collect()
}

/// The work of an allocation: it carries the id in its environment. Nomad's own helpers are left out.
pub fn of_allocation(allocation: &str) -> Vec<Process> {
    let carries = |process: &Process| {
        process.environment().iter().any(|(name, value)| name == "NOMAD_ALLOC_ID" && value == allocation)
    };
    let plumbing = |process: &Process| {
        ["logmon", "executor", "docker_logger"]
            .iter()
            .any(|part| process.command.contains(&format!(" {part}")))
    };
    all().into_iter().filter(|one| carries(one) && !plumbing(one)).collect()
}

/// Every living process but this one that has to do with `folder`.
pub fn of_folder(folder: &Path) -> Vec<Process> {
    let own = std::process::id();
    all().into_iter().filter(|process| process.pid != own && process.belongs_to(folder)).collect()
}

/// `root` and everything it started that still has it for an ancestor.
pub fn family(root: u32, among: &[Process]) -> Vec<u32> {
    let mut family = vec![root];
    loop {
        let more: Vec<u32> = among
            .iter()
            .filter(|process| family.contains(&process.parent) && !family.contains(&process.pid))
            .map(|process| process.pid)
            .collect();
        if more.is_empty() {
            return family;
        }
        family.extend(more);
    }
}

/// Ends every process of `folder` at once and says which there were. Nobody's who was there before this program: a
/// shell that stands in the folder, or that named it to start us, is none of ours.
pub fn sweep(folder: &Path) -> Vec<Process> {
    let since = Process::read(std::process::id()).map_or(u64::MAX, |own| own.started);
    let mut left = of_folder(folder);
    left.retain(|process| process.started >= since && process.pid != std::process::id());
    for parent in ancestors() {
        left.retain(|process| process.pid != parent);
    }
    for process in &left {
        // One that ended meanwhile is what we want.
        let _ = signal(process.pid, Signal::KILL);
    }
    left
}

/// Who started this program, and who started them.
fn ancestors() -> Vec<u32> {
    let parent = |pid: &u32| Process::read(*pid).map(|process| process.parent).filter(|pid| *pid != 0);
    std::iter::successors(parent(&std::process::id()), parent).collect()
}

pub fn signal(pid: u32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(i32::try_from(pid)?).context("no process has the id 0")?;
    Ok(kill_process(pid, signal)?)
}

/// Where this process listens for TCP connections.
pub fn listening(process: &Process) -> Vec<SocketAddr> {
    const LISTENING: &str = "0A";
    let sockets: Vec<String> =
        process.open_files().iter().map(|place| place.to_string_lossy().into_owned()).collect();
    let own = |inode: &str| sockets.iter().any(|socket| *socket == format!("socket:[{inode}]"));
    let listens = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let wanted = fields.get(3) == Some(&LISTENING) && fields.get(9).is_some_and(|inode| own(inode));
        wanted.then(|| fields.get(1).and_then(|local| address(local))).flatten()
    };
    let tables = ["tcp", "tcp6"].map(|name| format!("/proc/{}/net/{name}", process.pid));
    let lines = tables.iter().flat_map(|table| {
        let text = fs::read_to_string(table).unwrap_or_default();
        text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    });
    lines.filter_map(|line| listens(&line)).collect()
}

/// The kernel's form: the address in hex, each group of four bytes in this machine's order, and the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let groups = host.as_bytes().chunks(8).map(|group| {
        let group = std::str::from_utf8(group).ok()?;
        Some(u32::from_str_radix(group, 16).ok()?.to_ne_bytes())
    });
    let bytes = groups.collect::<Option<Vec<[u8; 4]>>>()?.concat();
    let host = match <[u8; 4]>::try_from(&bytes[..]) {
        Ok(four) => IpAddr::from(four),
        Err(_) => IpAddr::from(<[u8; 16]>::try_from(&bytes[..]).ok()?),
    };
    Some(SocketAddr::new(host, port))
}

/// How many connections to the socket at `path` are open now.
pub fn connections(path: &Path) -> Result<usize> {
    const CONNECTED: &str = "03";
    let table = fs::read_to_string("/proc/net/unix")?;
    let wanted = path.to_string_lossy();
    let of_path = |line: &&str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        fields.get(5) == Some(&CONNECTED) && fields.get(7) == Some(&&*wanted)
    };
    Ok(table.lines().filter(of_path).count())
}

/// Short words for a person: `123 ionet-supplier run`.
pub fn listed(processes: &[Process]) -> String {
    let short = |process: &Process| {
        let command: String = process.command.chars().take(90).collect();
        format!("{} {command}", process.pid)
    };
    processes.iter().map(short).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::process::{Child, Command};

    use super::*;

    struct Ended(Child);

    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    #[test]
    fn a_process_is_known_by_a_folder_in_its_environment_its_arguments_or_its_working_folder() {
        let folder = tempfile::tempdir().unwrap();
        let start = |command: &mut Command| Ended(command.spawn().unwrap());
        let by_environment = start(Command::new("sleep").arg("60").env("X", folder.path().join("a")));
        let by_folder = start(Command::new("sleep").arg("60").current_dir(folder.path()));
        let _other = start(Command::new("sleep").arg("60"));

        let mut found: Vec<u32> = of_folder(folder.path()).iter().map(|process| process.pid).collect();

        let mut wanted = vec![by_environment.0.id(), by_folder.0.id()];
        found.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_stopped_process_shows_its_letter() {
        let sleeper = Ended(Command::new("sleep").arg("60").spawn().unwrap());

        signal(sleeper.0.id(), Signal::STOP).unwrap();

        let stopped = || Process::read(sleeper.0.id()).is_some_and(|process| process.state == 'T');
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while !stopped() {
            assert!(std::time::Instant::now() < deadline, "never stopped");
            std::thread::yield_now();
        }
    }

    #[test]
    fn where_a_process_listens_is_told_by_address_and_port() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let own = Process::read(std::process::id()).unwrap();

        assert!(listening(&own).contains(&at));
        drop(listener);
        assert!(!listening(&own).contains(&at));
        assert_eq!(
            address("0000000000000000FFFF00000100007F:0050").unwrap().to_string(),
            "[::ffff:127.0.0.1]:80"
        );
    }

    #[test]
    fn open_connections_to_a_socket_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let _client = UnixStream::connect(&path).unwrap();
        let (_served, _) = listener.accept().unwrap();

        let open = connections(&path).unwrap();

        assert_eq!(open, 1);
    }
}
