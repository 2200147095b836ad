//! The wall, tried from inside. Whoever tries it is root in the capsule and stands before the gate and before a container's own walls: what
//! is kept from them is kept from every job.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use ionet_core::wall::{Saw, Sight};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::filter::CONTAINERS;
use crate::holder::Seen;
use crate::inside::PLAYED;
use crate::linux::moat::root;
use crate::place::Around;

/// What is refused is refused at once. Who is far away may take longer.
const REACHED_WITHIN: Duration = Duration::from_millis(700);
/// Any answer of theirs tells that they were reached, also that nobody listens there.
const PORT: u16 = 80;
const MAIL: u16 = 25;
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// A public resolver, to which nothing is sent: the wall turns back what is for this port.
const ANYWHERE: Ipv4Addr = Ipv4Addr::new(9, 9, 9, 9);
/// A question and its answer are no longer than this.
const LONGEST: u64 = 64 * 1024;

/// Answers one question that comes over this stream.
pub(crate) async fn answer(mut talk: DuplexStream) -> io::Result<()> {
    let mut asked = Vec::new();
    (&mut talk).take(LONGEST).read_to_end(&mut asked).await?;
    let seen = look(&serde_json::from_slice(&asked)?).await;
    talk.write_all(&serde_json::to_vec(&seen)?).await?;
    talk.shutdown().await
}

async fn look(around: &Around) -> Seen {
    let (this_pc, home) = (at(&around.this_pc, PORT), at(&around.home, PORT));
    let (metadata, mail) = (at(&[METADATA], PORT), at(&[ANYWHERE], MAIL));
    let neighbour = Ipv4Addr::from_bits(CONTAINERS.0.to_bits() | 0x7e);
    let others = at(&[neighbour], PORT);
    let (internet, this_pc, home, metadata, mail, others) = tokio::join!(
        internet(&around.internet),
        any(&this_pc),
        any(&home),
        any(&metadata),
        any(&mail),
        any(&others),
    );
    [
        (Sight::Internet, internet),
        (Sight::ThisPc, this_pc),
        (Sight::HomeNetwork, home),
        (Sight::Metadata, metadata),
        (Sight::Mail, mail),
        (Sight::OtherJobs, others),
        (Sight::Disk, disk()),
        (Sight::Cards, cards()),
        (Sight::Files, files()),
        (Sight::Names, names()),
        (Sight::Programs, programs()),
    ]
    .into()
}

fn at(addresses: &[Ipv4Addr], port: u16) -> Vec<SocketAddr> {
    addresses.iter().map(|address| SocketAddr::from((*address, port))).collect()
}

/// Open where one of them was reached, unknown where none was tried or one did not say.
async fn any(addresses: &[SocketAddr]) -> Saw {
    let mut all = if addresses.is_empty() { Saw::Unknown } else { Saw::Kept };
    for address in addresses {
        match reach(*address).await {
            Saw::Open => return Saw::Open,
            Saw::Unknown => all = Saw::Unknown,
            Saw::Kept => {}
        }
    }
    all
}

const REFUSES_ITSELF: [io::ErrorKind; 2] = [io::ErrorKind::ConnectionRefused, io::ErrorKind::ConnectionReset];
const REFUSED_BY_THE_WALL: [io::ErrorKind; 3] =
    [io::ErrorKind::HostUnreachable, io::ErrorKind::NetworkUnreachable, io::ErrorKind::PermissionDenied];

/// The wall says so when it refuses: that is told from one who does not answer, and from one who refuses himself.
async fn reach(address: SocketAddr) -> Saw {
    match timeout(REACHED_WITHIN, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Saw::Open,
        Ok(Err(error)) if REFUSES_ITSELF.contains(&error.kind()) => Saw::Open,
        Ok(Err(error)) if REFUSED_BY_THE_WALL.contains(&error.kind()) => Saw::Kept,
        Ok(Err(_)) | Err(_) => Saw::Unknown,
    }
}

async fn internet(hosts: &[String]) -> Saw {
    for host in hosts {
        let Ok(Ok(addresses)) = timeout(REACHED_WITHIN, lookup_host(host)).await else { continue };
        for address in addresses {
            if let Ok(Ok(_)) = timeout(REACHED_WITHIN, TcpStream::connect(address)).await {
                return Saw::Open;
            }
        }
    }
    Saw::Unknown
}

/// Jobs have one, and it is theirs to write.
fn disk() -> Saw {
    let file = Path::new("/data/.probe");
    let written = fs::write(file, [0; 4096]).and_then(|()| fs::remove_file(file));
    if written.is_ok() { Saw::Open } else { Saw::Kept }
}

fn cards() -> Saw {
    let entries = fs::read_dir("/dev").into_iter().flatten().flatten();
    let mut names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    if names.any(|name| root::is_card(&name)) || Path::new(PLAYED).exists() { Saw::Open } else { Saw::Kept }
}

/// What is mounted here is of the capsule's own making, the system's programs to read, its disk, and devices.
fn files() -> Saw {
    let Ok(told) = fs::read_to_string("/proc/self/mountinfo") else { return Saw::Unknown };
    let homes = ["/home", "/Users", "/mnt", "/media", "/srv"];
    let is_there = homes.iter().any(|home| Path::new(home).exists());
    if is_there || told.lines().filter_map(Mount::read).any(|mount| mount.is_foreign()) {
        return Saw::Open;
    }
    Saw::Kept
}

/// A line of the kernel's: where it is mounted, how, and what kind of file system.
struct Mount<'a> {
    at: &'a str,
    options: &'a str,
    kind: &'a str,
}

impl<'a> Mount<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(4);
        Some(Self { at: fields.next()?, options: fields.next()?, kind: file_system.split(' ').next()? })
    }

    /// Something of this PC's that can be written, or that is no part of its system.
    fn is_foreign(&self) -> bool {
        const OWN: [&str; 9] =
            ["tmpfs", "proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2", "overlay", "nsfs"];
        const OF_THE_SYSTEM: [&str; 8] =
            ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/opt/ionet"];
        let below = |folder: &&str| self.at == *folder || self.at.starts_with(&format!("{folder}/"));
        let is_read_only = self.options.split(',').any(|option| option == "ro");
        let is_system = is_read_only && OF_THE_SYSTEM.iter().any(&below);
        let is_own = OWN.contains(&self.kind) || ["/data", "/dev"].iter().any(below);
        !is_own && !is_system
    }
}

/// It has a name of ours, and knows no user of this PC's.
fn names() -> Saw {
    let host = rustix::system::uname();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut users = users.lines().filter_map(|line| line.split(':').next());
    let is_ours =
        host.nodename().to_bytes() == b"capsule" && users.all(|user| ["root", "nobody"].contains(&user));
    if is_ours { Saw::Kept } else { Saw::Open }
}

/// The first process that can be seen is the capsule's first.
fn programs() -> Saw {
    match fs::read("/proc/1/cmdline") {
        Ok(first) if first.starts_with(root::PROGRAM.as_bytes()) => Saw::Kept,
        Ok(_) => Saw::Open,
        Err(_) => Saw::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_is_the_capsules_own_the_systems_or_foreign() {
        for (line, foreign) in [
            ("1 2 0:5 / /usr ro,nosuid,nodev - ext4 /dev/vda rw", false),
            ("1 2 0:5 / /usr rw,nosuid - ext4 /dev/vda rw", true),
            ("1 2 7:0 / /data rw,nosuid,nodev - ext4 /dev/loop0 rw", false),
            ("1 2 0:9 / /run rw,nosuid,nodev - tmpfs capsule rw", false),
            ("1 2 0:5 /home /home ro,nosuid,nodev - ext4 /dev/vda rw", true),
            ("1 2 0:5 /home/alice /database rw - ext4 /dev/vda rw", true),
        ] {
            assert_eq!(Mount::read(line).unwrap().is_foreign(), foreign, "{line}");
        }
    }

    /// The own loopback stands for another PC: there one listens, one does not.
    #[tokio::test]
    async fn who_answers_was_reached_whatever_they_say_and_where_nobody_was_asked_nothing_is_known() {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let listens = listener.local_addr().unwrap();
        assert_eq!(any(&[listens]).await, Saw::Open);
        drop(listener);
        assert_eq!(any(&[listens]).await, Saw::Open, "it refused by itself");
        assert_eq!(any(&[]).await, Saw::Unknown);
        assert_eq!(internet(&[listens.to_string()]).await, Saw::Unknown);
    }
}
