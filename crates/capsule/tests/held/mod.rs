//! A capsule as a test holds it: `ionet-capsule hold` in a process of its own, its engine over a socket, and an inventory of all that it
//! could leave.

pub(crate) mod by_user;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_ionet-capsule");
const BUSYBOX: &str = "/bin/busybox";
const WITHIN: Duration = Duration::from_secs(30);
/// In a capsule's folder: who began, with what number, and when.
const BEGAN: &str = "began";

/// A script in a folder of its own, for an agent.
pub(crate) fn script(dir: &TempDir, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = dir.path().join("nomad");
    fs::write(&path, format!("#!/bin/sh\n{text}")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// What a test needs that is not everywhere; said as a skip.
pub(crate) fn lacks() -> Option<&'static str> {
    let there =
        |program: &str| ["/usr/sbin", "/usr/bin"].iter().any(|at| Path::new(at).join(program).exists());
    if !rustix::process::geteuid().is_root() {
        return Some("root to make a capsule's disk");
    }
    if !["pasta", "nft", "newuidmap", "dockerd", "containerd", "runc"].into_iter().all(there) {
        return Some("passt, nftables, uidmap and docker.io");
    }
    (!Path::new(BUSYBOX).exists()).then_some("busybox-static")
}

pub(crate) struct Held {
    pub(crate) name: String,
    dir: TempDir,
    child: Child,
    stdin: Option<ChildStdin>,
    said: Receiver<String>,
}

impl Held {
    pub(crate) fn start(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::again(name, dir, |hold| hold)
    }

    /// In a folder that is there already, by a command that runs the given one.
    pub(crate) fn again(name: &str, dir: TempDir, by: impl FnOnce(Command) -> Command) -> Self {
        let mut hold = Command::new(PROGRAM);
        hold.args(["hold", "--name", name]);
        for (option, folder) in [("--folder", "disk"), ("--run", "run")] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
            hold.arg(option).arg(dir.path().join(folder));
        }
        let errors = fs::File::create(dir.path().join("errors")).unwrap();
        let mut child = by(hold).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().unwrap());
        let (say, said) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if say.send(line).is_err() {
                    return;
                }
            }
        });
        let held = Self { name: name.to_owned(), dir, child, stdin, said };
        assert_eq!(held.said.recv_timeout(WITHIN).ok().as_deref(), Some("ready"), "{}", held.errors());
        wait("an engine", || held.ask("GET", "/_ping", NOTHING).ok());
        held.note_who_began();
        held
    }

    /// Those who are in no control group of its own, so that an orphan among them is known for what it is.
    fn note_who_began(&self) {
        let processes = self.processes();
        let began = ["holder", "moat", "names", "network"].into_iter().map(|role| {
            let pid = processes[role][0];
            format!("{role} {pid} {}\n", born(pid).unwrap())
        });
        fs::write(self.dir.path().join(BEGAN), began.collect::<String>()).unwrap();
    }

    pub(crate) fn errors(&self) -> String {
        fs::read_to_string(self.dir.path().join("errors")).unwrap_or_default()
    }

    pub(crate) fn run_folder(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    /// Says a word to the holder, and waits for its answer.
    pub(crate) fn tell(&mut self, word: &str) -> String {
        writeln!(self.stdin.as_mut().unwrap(), "{word}").unwrap();
        self.said.recv_timeout(WITHIN).unwrap_or_else(|_| panic!("{word}: {}", self.errors()))
    }

    /// Lets go of it, and waits until it has ended.
    pub(crate) fn let_go(mut self) -> TempDir {
        drop(self.stdin.take());
        let ended = self.child.wait().unwrap();
        assert!(ended.success(), "{ended}: {}", self.errors());
        std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap())
    }

    /// What was started by the test has gone by itself.
    pub(crate) fn gone(mut self) -> TempDir {
        wait("the holder's end", || self.child.try_wait().unwrap());
        std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap())
    }

    pub(crate) fn kill_holder(&mut self) {
        self.child.kill().unwrap();
    }

    /// What another holder says of the same disk.
    pub(crate) fn another(&self, name: &str) -> String {
        let mut hold = Command::new(PROGRAM);
        hold.args(["hold", "--name", name]).arg("--folder").arg(self.folder());
        hold.arg("--run").arg(self.dir.path().join("another"));
        let said = hold.stdin(Stdio::null()).output().unwrap();
        assert!(!said.status.success(), "{}", self.errors());
        String::from_utf8_lossy(&said.stderr).trim().to_owned()
    }

    pub(crate) fn image(&self) {
        let root = self.dir.path().join("image");
        fs::create_dir_all(root.join("bin")).unwrap();
        for name in ["busybox", "sh", "sleep", "dd", "id", "cat", "rm", "nc", "mount", "hostname", "mknod"] {
            fs::copy(BUSYBOX, root.join("bin").join(name)).unwrap();
        }
        let tar = self.dir.path().join("image.tar");
        assert!(
            Command::new("tar")
                .arg("-C")
                .arg(&root)
                .arg("-cf")
                .arg(&tar)
                .arg(".")
                .status()
                .unwrap()
                .success()
        );
        let body = fs::read(tar).unwrap();
        let made =
            self.ask("POST", "/images/create?fromSrc=-&repo=t&tag=1", ("application/x-tar", &body)).unwrap();
        assert!(!made.contains("errorDetail"), "{made}");
    }

    /// A container that runs this, and its id.
    pub(crate) fn job(&self, script: &str, host: Value) -> String {
        self.try_job(script, &host).unwrap()
    }

    /// The same of an engine that may just be coming up again.
    pub(crate) fn try_job(&self, script: &str, host: &Value) -> std::io::Result<String> {
        let mut asked = json!({"Image": "t:1", "Cmd": ["/bin/sh", "-c", script], "Env": ["PATH=/bin"]});
        asked["HostConfig"] = host.clone();
        let made =
            self.ask("POST", "/containers/create", ("application/json", asked.to_string().as_bytes()))?;
        let made: Value = serde_json::from_str(&made)?;
        let id = made["Id"].as_str().unwrap_or_default().to_owned();
        self.ask("POST", &format!("/containers/{id}/start"), NOTHING).map(|_| id)
    }

    /// Runs it to its end: its exit code and all that it printed.
    pub(crate) fn run(&self, script: &str, host: Value) -> (i64, String) {
        let id = self.job(script, host);
        let ended = self.ask("POST", &format!("/containers/{id}/wait"), NOTHING).unwrap();
        let ended: Value = serde_json::from_str(&ended).unwrap();
        let said = self.ask("GET", &format!("/containers/{id}/logs?stdout=1&stderr=1"), NOTHING).unwrap();
        self.ask("DELETE", &format!("/containers/{id}?force=1"), NOTHING).unwrap();
        (ended["StatusCode"].as_i64().unwrap(), said.replace(['\0', '\u{1}', '\u{2}'], ""))
    }

    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        (kind, body): (&str, &[u8]),
    ) -> std::io::Result<String> {
        let mut stream = UnixStream::connect(self.dir.path().join("run/engine.sock"))?;
        stream.set_read_timeout(Some(WITHIN))?;
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: engine\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
        if head.split(' ').nth(1).is_some_and(|status| status.starts_with('2')) {
            return Ok(body.to_owned());
        }
        Err(std::io::Error::other(format!("{method} {path}: {body}")))
    }

    /// Each process of the capsule, by what it is.
    pub(crate) fn processes(&self) -> BTreeMap<&'static str, Vec<i32>> {
        let mut found = BTreeMap::<&'static str, Vec<i32>>::new();
        let of_capsule = inside(&self.name);
        let (lines, holder) = (command_lines(), Some(self.child.id() as i32));
        let moat = lines.iter().find(|(pid, line)| parent(*pid) == holder && line.ends_with("moat"));
        let moat = moat.map(|(pid, _)| *pid);
        for (pid, line) in &lines {
            let (pid, of) = (*pid, parent(*pid));
            let role = match line {
                _ if Some(pid) == holder => "holder",
                _ if Some(pid) == moat => "moat",
                line if line.contains(&format!("{}/run/network.pid", self.dir.path().display())) => "network",
                line if moat.is_some() && of == moat && line.ends_with("names") => "names",
                _ if !of_capsule.contains(&pid) => continue,
                line if line.ends_with("init") => "init",
                line if line.ends_with("guard") || line.ends_with("guard first") => "guard",
                line if line.ends_with("files") => "files",
                line if line.contains("dockerd") => "engine",
                line if line.contains("containerd-shim") => "shim",
                line if line.contains("containerd") => "containerd",
                _ => "job",
            };
            found.entry(role).or_default().push(pid);
        }
        found
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

pub(crate) const NOTHING: (&str, &[u8]) = ("application/json", &[]);

/// Whatever there could be of a capsule on this PC: none of it is there when it has ended.
pub(crate) fn inventory(name: &str, dir: &Path) -> Vec<String> {
    let dir = dir.display().to_string();
    let mut left: Vec<String> =
        groups(name).into_iter().map(|group| format!("group {}", group.display())).collect();
    left.extend(
        command_lines()
            .into_iter()
            .filter(|(_, line)| line.contains(&dir))
            .map(|(pid, line)| format!("{pid} {line}")),
    );
    let began = fs::read_to_string(Path::new(&dir).join(BEGAN)).unwrap_or_default();
    left.extend(began.lines().filter(|line| lives(line)).map(str::to_owned));
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    left.extend(mounts.lines().filter(|line| line.contains(&dir)).map(|line| format!("mount {line}")));
    left.extend(loops(Path::new(&dir)).into_iter().map(|device| format!("loop {device}")));
    left
}

/// Devices of images in that folder. They are told apart by the image's number: the kernel is not told its path.
fn loops(dir: &Path) -> Vec<String> {
    let image = |entry: fs::DirEntry| fs::metadata(entry.path().join("disk.img")).ok();
    let images: Vec<String> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(image)
        .map(|image| image.ino().to_string())
        .collect();
    let listed =
        Command::new("losetup").args(["--noheadings", "--raw", "--output", "NAME,BACK-INO"]).output();
    let listed = String::from_utf8(listed.unwrap().stdout).unwrap();
    let of_ours = |line: &&str| {
        line.split_whitespace().nth(1).is_some_and(|number| images.iter().any(|own| own == number))
    };
    listed.lines().filter(of_ours).map(str::to_owned).collect()
}

/// All control groups that are a capsule's of that name, in every hierarchy.
fn groups(name: &str) -> Vec<PathBuf> {
    fn below(at: &Path, own: &str, depth: usize, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(at).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let ours = entry.file_name().to_str() == Some(own);
            if ours || entry.path().iter().any(|part| part == own) {
                found.push(entry.path());
                below(&entry.path(), own, depth, found);
            } else if depth > 0 {
                below(&entry.path(), own, depth - 1, found);
            }
        }
    }
    let mut found = Vec::new();
    below(Path::new("/sys/fs/cgroup"), &format!("ionet-{name}"), 2, &mut found);
    found
}

/// Whoever is in a capsule of that name, in the order of their begin.
pub(crate) fn inside(name: &str) -> Vec<i32> {
    let groups = groups(name);
    let who = groups.iter().filter_map(|group| fs::read_to_string(group.join("cgroup.procs")).ok());
    let who = who.flat_map(|who| who.lines().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>());
    // Whoever has ended meanwhile began at no time.
    let mut began: Vec<(u64, i32)> = who.filter_map(|pid| Some((born(pid)?.parse().ok()?, pid))).collect();
    began.sort_unstable();
    began.dedup();
    began.into_iter().map(|(_, pid)| pid).collect()
}

fn command_lines() -> Vec<(i32, String)> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ").trim().to_owned();
        (!line.is_empty()).then_some((pid, line))
    })
    .collect()
}

/// Whether that is still the process which began as this, and not only a number that nobody has taken back.
fn lives(began: &str) -> bool {
    let mut words = began.split(' ').skip(1);
    let pid = words.next().and_then(|pid| pid.parse().ok());
    pid.is_some_and(|pid| {
        born(pid).as_deref() == words.next() && stat(pid, 0).is_some_and(|state| state != "Z")
    })
}

fn parent(pid: i32) -> Option<i32> {
    stat(pid, 1)?.parse().ok()
}

/// In ticks since this PC's start.
fn born(pid: i32) -> Option<String> {
    stat(pid, 19)
}

/// One of the kernel's words about it, counted from its state.
fn stat(pid: i32, nth: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.get(stat.rfind(')')? + 1..)?.split_whitespace().nth(nth).map(str::to_owned)
}

pub(crate) fn kill(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// Waits until it is there.
pub(crate) fn wait<T>(what: &str, mut there: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + WITHIN;
    loop {
        if let Some(found) = there() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not come within {WITHIN:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until nothing of it is left.
pub(crate) fn nothing_left(name: &str, dir: &Path) {
    let deadline = Instant::now() + WITHIN;
    loop {
        let left = inventory(name, dir);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "still there: {left:#?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
