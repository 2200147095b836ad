//! The capsule under attack: the real program, started by the played owner, and what the owner's root can do to it from outside.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::sides::{Layer, TOKEN};
use crate::world::{REGION, REGION_PORT, told};

/// The least that a capsule's disk may be.
pub(crate) const DISK: u64 = 1 << 30;
pub(crate) const MEMORY: u64 = 1 << 30;
/// Bits a second, each way.
pub(crate) const RATE: u64 = 80_000_000;

const GONE_WITHIN: Duration = Duration::from_secs(20);

pub(crate) struct Held {
    child: Child,
    say: Option<ChildStdin>,
    hear: BufReader<ChildStdout>,
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) socket: PathBuf,
    /// The doors that lead inside.
    pub(crate) run: PathBuf,
    /// By the numbers that they have outside.
    pub(crate) moat: i32,
    pub(crate) init: i32,
}

impl Held {
    /// `command` is the program, as the owner starts it; `home` a folder of theirs. `beside` is what lies in the places of an agent and of
    /// a card, by the name that a rehearsal's has.
    pub(crate) fn start(
        mut command: Command,
        home: &Path,
        beside: &Path,
        open: Option<Layer>,
    ) -> Result<Self> {
        let (folder, run) = (home.join("disk"), home.join("run"));
        for folder in [&folder, &run] {
            fs::create_dir_all(folder)?;
        }
        let log = home.join("capsule.log");
        if open == Some(Layer::Disk) {
            larger(&folder.join("disk.img"))?;
        }
        let name = format!("walls{}", std::process::id());
        command.args(["hold", "--name", &name]).arg("--folder").arg(&folder).arg("--run").arg(&run);
        command.args([
            "--disk",
            &DISK.to_string(),
            "--memory",
            &MEMORY.to_string(),
            "--rate",
            &RATE.to_string(),
        ]);
        command.args(["--grant", &format!("{REGION}:{REGION_PORT}")]);
        command.arg("--agent").arg(beside.join("agent"));
        command.arg("--beside").arg(format!("played={}", beside.join("played").display()));
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(fs::File::create(&log)?).spawn()?;
        let say = child.stdin.take();
        let mut hear = BufReader::new(child.stdout.take().context("its output")?);
        let mut line = String::new();
        hear.read_line(&mut line)?;
        ensure!(line == "ready\n", "the capsule does not start: {}", fs::read_to_string(&log)?);
        let moat = child_of(child.id() as i32, "moat")?;
        let init = child_of(moat, "init")?;
        Ok(Self { child, say, hear, name, socket: run.join("engine.sock"), run, folder, moat, init })
    }

    pub(crate) fn ask(&mut self, what: &str) -> Result<String> {
        let say = self.say.as_mut().context("it is let go")?;
        writeln!(say, "{what}")?;
        let mut line = String::new();
        self.hear.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    pub(crate) fn holder(&self) -> i32 {
        self.child.id() as i32
    }

    /// What its disk takes of the drive.
    pub(crate) fn taken(&self) -> Result<u64> {
        Ok(fs::metadata(self.folder.join("disk.img"))?.blocks() * 512)
    }

    /// Opens one layer for real, as only root outside can.
    pub(crate) fn open(&self, layer: Layer) -> Result<()> {
        match layer {
            Layer::Filter => {
                // Outside and, between containers, inside.
                let masked = "table ip open { chain after { type nat hook postrouting priority srcnat; oifname \"wan\" masquerade; }; }";
                told(&mut self.in_moat("nft", &["-f", "-"]), &format!("flush ruleset\n{masked}\n"))?;
                // Some systems have the kernel look at senders, too.
                let any = "for at in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$at; done";
                told(&mut self.in_moat("/bin/sh", &["-c", any]), "")?;
                told(&mut inside(self.init, &["--net"], "nft", &["-f", "-"]), "flush ruleset\n")
            }
            Layer::Disk => self.open_disk(),
            Layer::Knowledge => self.open_knowledge(),
            // Whoever asks goes past the gate, which stands.
            Layer::Gate | Layer::Images | Layer::Card => Ok(()),
            Layer::Namespaces => bail!("this layer is not opened"),
        }
    }

    /// The owner's names and files laid over its own, and their resolver asked directly.
    fn open_knowledge(&self) -> Result<()> {
        let (from, to) = [self.holder(), self.init].map(|pid| format!("/proc/{pid}/root/etc")).into();
        for file in ["hostname", "hosts", "machine-id", "resolv.conf"] {
            if let Ok(text) = fs::read(format!("{from}/{file}")) {
                fs::write(format!("{to}/{file}"), text)?;
            }
        }
        let named = format!("echo {TOKEN}-pc >/proc/sys/kernel/hostname");
        told(&mut inside(self.init, &["--uts"], "/bin/sh", &["-c", &named]), "")?;
        let asked = "insert rule inet moat forward ip daddr 192.0.0.54 accept
            table ip open { chain before { type nat hook prerouting priority dstnat; ip daddr 192.0.0.53 dnat to 192.0.0.54; }; }";
        told(&mut self.in_moat("nft", &["-f", "-"]), asked)
    }

    /// Mounted for the owner and their users to see, and giving nothing back.
    fn open_disk(&self) -> Result<()> {
        let there = self.folder.join("data").display().to_string();
        // Where it is mounted already, for whoever does that.
        let held = format!("mount -o remount,nodiscard {there}");
        let holder = self.holder().to_string();
        told(Command::new("nsenter").args(["--target", &holder, "--mount", "sh", "-c", &held]), "")?;
        told(Command::new("mount").args(["-o", "suid,dev,exec,nodiscard", &self.device()?, &there]), "")
    }

    /// The loop device of its disk.
    pub(crate) fn device(&self) -> Result<String> {
        let mounts = fs::read_to_string(format!("/proc/{}/mounts", self.holder()))?;
        let loops = mounts
            .lines()
            .filter_map(|line| line.split(' ').next().filter(|from| from.starts_with("/dev/loop")));
        let image = fs::metadata(self.folder.join("disk.img"))?.ino().to_string();
        let listed = |device: &&str| {
            let said = Command::new("losetup")
                .args(["--noheadings", "--raw", "--output", "BACK-INO", device])
                .output();
            said.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).trim() == image)
        };
        loops.into_iter().find(listed).map(str::to_owned).context("its disk is nowhere mounted")
    }

    pub(crate) fn in_moat(&self, program: &str, args: &[&str]) -> Command {
        inside(self.moat, &["--user", "--net"], program, args)
    }
}

/// A disk that holds more than it was given.
fn larger(image: &Path) -> Result<()> {
    fs::File::create(image)?.set_len(DISK * 3)?;
    told(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(image), "")
}

fn inside(pid: i32, namespaces: &[&str], program: &str, args: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--target", &pid.to_string()]).args(namespaces).arg(program).args(args);
    command
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.folder.join("data")).stderr(Stdio::null()).status();
        // It ends with its input.
        drop(self.say.take());
        let deadline = Instant::now() + GONE_WITHIN;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A child of that process which has this word among its arguments, once it is that program.
fn child_of(parent: i32, word: &str) -> Result<i32> {
    let is_child = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let of = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)?.parse::<i32>().ok());
        let said = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        of == Some(parent) && said.split('\0').any(|arg| arg == word)
    };
    let deadline = Instant::now() + GONE_WITHIN;
    while Instant::now() < deadline {
        let mut all =
            fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        if let Some(child) = all.find(is_child) {
            return Ok(child);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    bail!("process {parent} has no {word}")
}
