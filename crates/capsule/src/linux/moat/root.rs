//! What there is to see inside. The moat lays it out over an empty folder, as the owner of what it binds; whoever is inside owns none of
//! it but the disk, and finds nothing of the owner's: the system's programs to read, this program, the agent, a few devices.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Component, Path, PathBuf};

use rustix::fs::StatVfsMountFlags;
use rustix::mount::{MountFlags, mount, mount_bind_recursive, mount_remount};

use crate::filter::RESOLVER;
use crate::inside::AGENT;
use crate::linux::control::Plan;
use crate::linux::ids;
use crate::linux::tools::OWN_PROGRAM;

/// This program, inside.
pub(crate) const PROGRAM: &str = "/opt/ionet/ionet-capsule";
/// What comes with the agent.
const BESIDE: &str = "/opt/ionet";

const FOLDERS: [&str; 14] = [
    "usr",
    "etc",
    "proc",
    "sys",
    "dev",
    "tmp",
    "run",
    "data",
    "var",
    "root",
    "opt/ionet",
    "etc/ssl",
    "etc/pki",
    "etc/docker",
];
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// What programs of the system need to find their libraries and whom to trust; no word of the owner stands in them.
const SYSTEMS: [&str; 5] = [
    "/etc/ld.so.cache",
    "/etc/ssl/certs",
    "/etc/pki/ca-trust",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
];

/// Lays it all out. Called in the moat's own mount namespace.
pub(crate) fn lay_out(plan: &Plan) -> io::Result<()> {
    let root = &plan.root;
    mount("capsule", root, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=755,size=256m")?;
    for folder in FOLDERS {
        fs::create_dir_all(root.join(folder))?;
    }
    bind(Path::new("/usr"), &root.join("usr"), MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV)?;
    for name in ["bin", "sbin", "lib", "lib32", "lib64"] {
        programs(root, name)?;
    }
    texts(root)?;
    for file in SYSTEMS.map(Path::new).into_iter().filter(|file| file.exists() && file.starts_with("/etc")) {
        let at = inside(root, file);
        make_like(file, &at)?;
        bind(file, &at, MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV)?;
    }
    // A bind would tell its place among the owner's folders to whoever reads what is mounted. The agent is too large for a copy.
    fs::copy(OWN_PROGRAM, inside(root, Path::new(PROGRAM)))?;
    if let Some(agent) = &plan.agent {
        let at = inside(root, Path::new(AGENT));
        fs::write(&at, "")?;
        bind(agent, &at, MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV)?;
    }
    for (name, from) in &plan.beside {
        let at = inside(root, Path::new(BESIDE)).join(plain(name)?);
        fs::create_dir_all(at.parent().unwrap_or(&at))?;
        fs::copy(from, &at)?;
    }
    devices(&root.join("dev"))?;
    let data = root.join("data");
    bind(&plan.data, &data, MountFlags::NOSUID | MountFlags::NODEV)?;
    chown(&data, Some(ids::ROOT), Some(ids::ROOT))?;
    fs::set_permissions(&data, fs::Permissions::from_mode(0o711))
}

/// `/bin` and its like are links into `/usr` nearly everywhere.
fn programs(root: &Path, name: &str) -> io::Result<()> {
    let there = Path::new("/").join(name);
    let Ok(kind) = fs::symlink_metadata(&there) else { return Ok(()) };
    let at = root.join(name);
    if kind.is_symlink() {
        return symlink(fs::read_link(&there)?, at);
    }
    fs::create_dir(&at)?;
    bind(&there, &at, MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV)
}

fn texts(root: &Path) -> io::Result<()> {
    let nobody = "nobody:x:65534:65534::/:/usr/sbin/nologin";
    for (name, text) in [
        ("passwd", format!("root:x:0:0::/root:/bin/sh\n{nobody}\n")),
        ("group", "root:x:0:\nnogroup:x:65534:\n".to_owned()),
        ("hosts", "127.0.0.1 localhost capsule\n".to_owned()),
        ("hostname", "capsule\n".to_owned()),
        ("resolv.conf", format!("nameserver {RESOLVER}\n")),
        ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n".to_owned()),
    ] {
        fs::write(root.join("etc").join(name), text)?;
    }
    for name in ["protocols", "services"] {
        // The same on every system; not everywhere there.
        let _ = fs::copy(Path::new("/etc").join(name), root.join("etc").join(name));
    }
    Ok(())
}

/// What an NVIDIA card is used by. Which container gets which, the gate says.
pub(crate) fn is_card(name: &str) -> bool {
    let number = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
    matches!(name, "nvidiactl" | "nvidia-uvm" | "nvidia-uvm-tools" | "nvidia-modeset")
        || name.strip_prefix("nvidia").is_some_and(number)
}

/// A name below a folder, and nowhere else.
fn plain(name: &Path) -> io::Result<&Path> {
    let is_plain = name.components().all(|part| matches!(part, Component::Normal(_)));
    if is_plain { Ok(name) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

fn devices(at: &Path) -> io::Result<()> {
    mount("dev", at, "tmpfs", MountFlags::NOSUID, c"mode=755,size=1m")?;
    let cards = fs::read_dir("/dev")?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let cards = cards.filter(|name| is_card(name));
    for device in DEVICES.map(str::to_owned).into_iter().chain(cards) {
        fs::write(at.join(&device), "")?;
        bind(&Path::new("/dev").join(&device), &at.join(&device), MountFlags::empty())?;
    }
    for folder in ["pts", "shm", "mqueue"] {
        fs::create_dir(at.join(folder))?;
    }
    for (to, name) in [
        ("pts/ptmx", "ptmx"),
        ("/proc/self/fd", "fd"),
        ("/proc/self/fd/0", "stdin"),
        ("/proc/self/fd/1", "stdout"),
        ("/proc/self/fd/2", "stderr"),
    ] {
        symlink(to, at.join(name))?;
    }
    Ok(())
}

/// Binds, then narrows: a bind takes no options at once, and one that forgets what the mount was already held to is refused.
fn bind(from: &Path, to: &Path, narrower: MountFlags) -> io::Result<()> {
    mount_bind_recursive(from, to)?;
    if narrower.is_empty() {
        return Ok(());
    }
    let was = rustix::fs::statvfs(to)?.f_flag;
    let keep = [
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::RDONLY, MountFlags::RDONLY),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
    ];
    let kept = keep.into_iter().filter(|(was_held_to, _)| was.contains(*was_held_to));
    let flags = kept.fold(narrower, |all, (_, flag)| all | flag);
    Ok(mount_remount(to, MountFlags::BIND | flags, c"")?)
}

fn make_like(file: &Path, at: &Path) -> io::Result<()> {
    if file.is_dir() {
        return fs::create_dir_all(at);
    }
    fs::create_dir_all(at.parent().unwrap_or(at))?;
    fs::write(at, "")
}

fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}
