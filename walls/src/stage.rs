//! Where attacks are tried: the played network, the capsule, its attackers, and secrets of the owner's to be found.

use std::cell::{OnceCell, RefCell, RefMut};
use std::fs;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::capsule::Held;
use crate::customer::{self, ALLOCATION, Customer};
use crate::engine::{Engine, Said};
use crate::eyes::Eyes;
use crate::servers::Web;
use crate::sides::{ABSTRACT, By, KEY, Layer, TOKEN, USER};
use crate::world::{Place, ROUTER, World};

/// Where this program lies in an attacker's image, and on the capsule's disk for its root.
const PROGRAM: &str = "/walls";
const ON_DISK: &str = "/data/walls";
const UP_WITHIN: Duration = Duration::from_secs(30);

pub(crate) struct Stage {
    actors: RefCell<Vec<(By, String)>>,
    customer: OnceCell<Customer>,
    open: Option<Layer>,
    capsule: RefCell<Held>,
    pub(crate) engine: Engine,
    pub(crate) web: Web,
    pub(crate) eyes: Eyes,
    /// Of the owner's, with nothing to do.
    bystander: Child,
    _listeners: [UnixListener; 2],
    home: TempDir,
    _beside: TempDir,
    pub(crate) world: World,
}

impl Stage {
    pub(crate) fn build(programs: &Path, open: Option<Layer>) -> Result<Self> {
        let world = World::build()?;
        let eyes = Eyes::open(&world)?;
        let web = Web::open(&world)?;
        let home = tempfile::Builder::new().prefix(&format!("{TOKEN}-")).tempdir()?;
        own_files(home.path())?;
        let app = home.path().join("ionet-capsule");
        fs::copy(programs.join("ionet-capsule"), &app).context("ionet-capsule, which is built with this")?;
        let listeners = listeners(&world, home.path())?;
        let beside = customer::beside()?;
        let capsule = Held::start(as_owner(&world, home.path(), &app), home.path(), beside.path(), open)?;
        let engine = Engine::at(&capsule.socket);
        let deadline = Instant::now() + UP_WITHIN;
        while !engine.answers() {
            ensure!(Instant::now() < deadline, "the capsule's engine does not come up");
            std::thread::sleep(Duration::from_millis(20));
        }
        engine.load(&image(home.path())?)?;
        if let Some(layer) = open {
            capsule.open(layer)?;
        }
        let bystander = Command::new("sleep").arg0(format!("{TOKEN}-program")).arg("3600").spawn()?;
        let capsule = RefCell::new(capsule);
        let stage = Self {
            actors: RefCell::default(),
            customer: OnceCell::new(),
            open,
            capsule,
            engine,
            web,
            eyes,
            bystander,
            _listeners: listeners,
            home,
            _beside: beside,
            world,
        };
        stage.shell(By::PrivilegedJob, &format!("cp {PROGRAM} /capsule{ON_DISK}"))?;
        Ok(stage)
    }

    /// One of this program's deeds, or `sh` and a script, by that attacker.
    pub(crate) fn act(&self, by: By, act: &[String]) -> Result<Said> {
        let program = if by == By::CapsuleRoot { ON_DISK } else { PROGRAM };
        let mut command: Vec<String> = Vec::new();
        if by == By::CapsuleRoot {
            command.extend(["nsenter", "--target", "1", "--mount", "--"].map(str::to_owned));
        }
        command.extend(spelled(program, act));
        self.engine.exec(&self.attacker(by)?, &command.iter().map(String::as_str).collect::<Vec<_>>())
    }

    pub(crate) fn shell(&self, by: By, script: &str) -> Result<Said> {
        self.act(by, &["sh".to_owned(), script.to_owned()])
    }

    /// The same by the owner, who is root of their PC.
    pub(crate) fn owner(&self, act: &[String]) -> Result<Said> {
        let own = std::env::current_exe()?;
        let command = spelled(&own.to_string_lossy(), act);
        let (program, args) = command.split_first().context("a command")?;
        let said = as_owner(&self.world, self.home.path(), Path::new(program))
            .args(args)
            .stdin(Stdio::null())
            .output()?;
        let text = [said.stdout, said.stderr].concat();
        let status = said.status.code().unwrap_or(-1).into();
        Ok(Said { status, text: String::from_utf8_lossy(&text).into_owned() })
    }

    /// The container of such an attacker. One that ended in an attack is replaced.
    pub(crate) fn attacker(&self, by: By) -> Result<String> {
        let host = rights(by);
        let by = if by == By::CapsuleRoot { By::PrivilegedJob } else { by };
        let mut actors = self.actors.borrow_mut();
        if let Some((_, id)) = actors.iter().find(|(who, _)| *who == by) {
            if self.engine.lives(id) {
                return Ok(id.clone());
            }
            self.engine.remove(id);
        }
        actors.retain(|(who, _)| *who != by);
        let id = self.engine.start(&["/bin/sleep", "3600"], &[], &host)?;
        actors.push((by, id.clone()));
        Ok(id)
    }

    /// Whoever asks the engine on a job's behalf. A plain job of theirs runs, or nothing is known of what does not.
    pub(crate) fn customer(&self) -> Result<&Customer> {
        if let Some(customer) = self.customer.get() {
            return Ok(customer);
        }
        let customer = match self.open {
            Some(layer) if layer.is_of_the_gate() => Customer::past_the_gate(&self.engine)?,
            _ => Customer::at_the_gate(&self.capsule(), &self.engine)?,
        };
        self.shell(By::CapsuleRoot, &customer::folders())?;
        let (made, heard) = customer.container(&Customer::plain(ALLOCATION).to_string());
        ensure!(
            made.is_some_and(|made| made["State"]["Running"] == true),
            "not even a plain job runs: {heard}"
        );
        Ok(self.customer.get_or_init(|| customer))
    }

    pub(crate) fn capsule(&self) -> RefMut<'_, Held> {
        self.capsule.borrow_mut()
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn bystander(&self) -> u32 {
        self.bystander.id()
    }

    /// Whether the owner's program goes on.
    pub(crate) fn bystander_lives(&self) -> bool {
        let state = fs::read_to_string(format!("/proc/{}/stat", self.bystander())).unwrap_or_default();
        state.rsplit(") ").next().is_some_and(|rest| !rest.starts_with('Z') && !rest.is_empty())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.bystander.kill();
        let _ = self.bystander.wait();
        // SAFETY: takes a number, and removes what was made under it.
        unsafe { libc::shmctl(libc::shmget(KEY, 0, 0), libc::IPC_RMID, std::ptr::null_mut()) };
    }
}

fn spelled(program: &str, act: &[String]) -> Vec<String> {
    match act {
        [shell, script] if shell == "sh" => {
            vec!["/bin/sh".to_owned(), "-c".to_owned(), format!("W='{program} inside'\n{script}")]
        }
        _ => [&[program.to_owned(), "inside".to_owned()], act].concat(),
    }
}

/// A program of the owner's: in their network, with their files, on a PC that has their name.
fn as_owner(world: &World, home: &Path, program: &Path) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", world.network(Place::Own).display()));
    let ready = "for file in \"$0\"/etc/*; do mount --bind \"$file\" \"/etc/${file##*/}\" || exit; done
        cat /etc/hostname >/proc/sys/kernel/hostname; exec \"$@\"";
    command.args(["unshare", "--mount", "--uts", "--", "/bin/sh", "-c", ready]).arg(home).arg(program);
    command.env("USER", USER);
    command
}

fn own_files(home: &Path) -> Result<()> {
    let texts = [
        ("resolv.conf", format!("nameserver {ROUTER}\nsearch {TOKEN}.example\n")),
        ("hosts", format!("127.0.0.1 localhost {TOKEN}-pc\n")),
        ("hostname", format!("{TOKEN}-pc\n")),
        ("machine-id", format!("{TOKEN}-id\n")),
    ];
    fs::create_dir(home.join("etc"))?;
    // What a system does not have cannot be laid over.
    for (name, text) in texts.into_iter().filter(|(name, _)| Path::new("/etc").join(name).exists()) {
        fs::write(home.join("etc").join(name), text)?;
    }
    fs::write(home.join("diary"), format!("{TOKEN} was here\n"))?;
    log_a_word()?;
    share_memory()
}

fn log_a_word() -> Result<()> {
    use std::io::Write as _;
    match fs::File::options().write(true).open("/dev/kmsg") {
        Ok(mut log) => Ok(log.write_all(format!("{TOKEN}-device plugged in\n").as_bytes())?),
        // What the owner does not find there is not looked for inside.
        Err(_) => Ok(()),
    }
}

fn share_memory() -> Result<()> {
    // SAFETY: the memory is as large as what is written, and marked to go with its last user.
    unsafe {
        let id = libc::shmget(KEY, 4096, libc::IPC_CREAT | 0o666);
        ensure!(id >= 0, "shared memory: {}", std::io::Error::last_os_error());
        let at = libc::shmat(id, std::ptr::null(), 0);
        ensure!(at as usize != usize::MAX, "shared memory: {}", std::io::Error::last_os_error());
        let text = format!("{TOKEN}-memory\0");
        std::ptr::copy_nonoverlapping(text.as_ptr(), at.cast(), text.len());
    }
    Ok(())
}

/// A program of the owner's that listens by name, and one that listens in a folder.
fn listeners(world: &World, home: &Path) -> Result<[UnixListener; 2]> {
    let name = SocketAddr::from_abstract_name(ABSTRACT)?;
    let by_name = world.within(Place::Own, || UnixListener::bind_addr(&name))??;
    Ok([by_name, UnixListener::bind(home.join("wallet.sock"))?])
}

fn rights(by: By) -> Value {
    match by {
        By::Job | By::Customer => json!({"NetworkMode": "bridge"}),
        By::Agent => json!({"NetworkMode": "host"}),
        // The engine's own word for it would want to write to the kernel's tree of devices, which is refused to the capsule as a whole.
        By::PrivilegedJob | By::CapsuleRoot => json!({
            "CapAdd": ["ALL"], "MaskedPaths": [], "ReadonlyPaths": [], "NetworkMode": "host", "PidMode": "host", "IpcMode": "host", "UTSMode": "host",
            "CgroupnsMode": "host", "Binds": ["/:/capsule"], "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"],
        }),
    }
}

/// This program in a root of its own, with the system's programs where they are bound.
fn image(home: &Path) -> Result<Vec<u8>> {
    let root = home.join("image");
    for folder in ["usr", "etc", "tmp", "proc", "sys", "dev", "capsule"] {
        fs::create_dir_all(root.join(folder))?;
    }
    for name in ["bin", "sbin", "lib", "lib64"] {
        let there = Path::new("/usr").join(name);
        if there.exists() {
            std::os::unix::fs::symlink(PathBuf::from("usr").join(name), root.join(name))?;
        }
    }
    fs::copy(std::env::current_exe()?, root.join(PROGRAM.trim_start_matches('/')))?;
    libraries(&root)?;
    let packed = Command::new("tar").arg("-C").arg(&root).args(["-cf", "-", "."]).output()?;
    ensure!(packed.status.success(), "the image cannot be packed");
    fs::remove_dir_all(root)?;
    Ok(packed.stdout)
}

/// What this program needs to run where the system's are not bound.
fn libraries(root: &Path) -> Result<()> {
    let mapped = fs::read_to_string("/proc/self/maps")?;
    let mut all: Vec<&str> = mapped.lines().filter_map(|line| line.split_whitespace().nth(5)).collect();
    all.retain(|path| path.contains(".so"));
    all.dedup();
    for path in all.into_iter().map(Path::new) {
        let name = path.file_name().context("a library's name")?;
        // By its own path, and the loader also where programs name it.
        for folder in [path.parent().context("a library's folder")?, Path::new("/usr/lib64")] {
            let folder = root.join(folder.strip_prefix("/")?);
            fs::create_dir_all(&folder)?;
            fs::copy(path, folder.join(name))?;
        }
    }
    Ok(())
}

/// What has to be there before anything can be tried; none when it is.
pub(crate) fn missing() -> Option<String> {
    const PROGRAMS: [&str; 12] = [
        "containerd",
        "dockerd",
        "ip",
        "losetup",
        "mkfs.ext4",
        "nft",
        "nsenter",
        "pasta",
        "runc",
        "tar",
        "tc",
        "unshare",
    ];
    if !rustix::process::geteuid().is_root() {
        return Some("root".to_owned());
    }
    let there = |program: &str| {
        ["/usr/sbin", "/usr/bin", "/usr/local/bin"].iter().any(|at| Path::new(at).join(program).exists())
    };
    let opens = |device: &str| fs::File::options().read(true).write(true).open(device).is_ok();
    let programs = PROGRAMS.into_iter().filter(|program| !there(program));
    let devices = ["/dev/net/tun", "/dev/loop-control"].into_iter().filter(|device| !opens(device));
    let absent: Vec<&str> = programs.chain(devices).collect();
    (!absent.is_empty()).then(|| absent.join(", "))
}
