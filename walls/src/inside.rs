//! What this program does as an attacker: one deed a call, inside the capsule, or, as its control, on the owner's PC. It ends with 0 when
//! nothing kept it from the deed.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::deeds;
use crate::packets::{ICMP, UDP, datagram, message, packet};

const PATIENCE: Duration = Duration::from_millis(400);
/// Who answers for names in the capsule.
const RESOLVER: &str = "192.0.0.53";
/// What is sent as it is, with a head of one's own.
const WHOLE: u8 = 255;
/// The first port of those that one after the other are sent to.
pub(crate) const FIRST_OF_MANY: u16 = 30_000;

/// Whoever attacks has so many seconds for a deed, and for one that writes as much as a disk takes. Then the kernel ends it.
const FOR_A_DEED: u32 = 20;
const FOR_A_DISK: u32 = 50;

pub(crate) fn run(args: &[String]) -> io::Result<()> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let seconds = match args.first() {
        // These go on until they are ended.
        Some(&("listen" | "spin")) => 0,
        Some(&("fill" | "crowd" | "eat" | "threads")) => FOR_A_DISK,
        _ => FOR_A_DEED,
    };
    // SAFETY: takes a number, and has the kernel send a signal that is not caught.
    unsafe { libc::alarm(seconds) };
    over_a_network(&args)
}

fn over_a_network(args: &[&str]) -> io::Result<()> {
    match *args {
        ["tcp", to, port] => tcp(to, number(port)?).map(|_| ()),
        ["udp", to, port] => udp(to, number(port)?),
        ["many", to, count] => many(to, number(count)?),
        ["names", below, count] => names(below, number(count)?),
        ["ping", to, mark] => deeds::send_raw(four(to)?, ICMP, &message(8, 0, number(mark)?, b"walls")),
        ["raw", protocol, to] => deeds::send_raw(four(to)?, number(protocol)?, b"walls"),
        ["error", from, to, mark] => error(four(from)?, four(to)?, number(mark)?),
        ["forged", from, to, port] => {
            let body = datagram(number(port)?, b"walls");
            deeds::send_raw(four(to)?, WHOLE, &packet(four(from)?, four(to)?, UDP, &body))
        }
        ["frame", from, to, port] => {
            let body = datagram(number(port)?, b"walls");
            deeds::send_frame(&packet(four(from)?, four(to)?, UDP, &body))
        }
        ["follow", url] => follow(url),
        ["take", to, port] => {
            io::copy(&mut asked(to, number(port)?, "GET /much")?, &mut io::sink()).map(drop)
        }
        ["bring", to, port, bytes] => {
            let mut stream = asked(to, number(port)?, "POST /")?;
            io::copy(&mut io::repeat(7).take(number(bytes)?), &mut stream).map(drop)
        }
        ["listen", port] => {
            let listener = std::net::TcpListener::bind(("0.0.0.0", number(port)?))?;
            for caller in listener.incoming() {
                drop(caller?);
            }
            Ok(())
        }
        _ => on_this_pc(args),
    }
}

fn on_this_pc(args: &[&str]) -> io::Result<()> {
    match *args {
        ["abstract", name] => UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?).map(drop),
        ["socket", path] => first(&everywhere(path), |path| UnixStream::connect(path).map(drop)),
        ["read", path] => first(&everywhere(path), |path| deeds::say(&fs::read_to_string(path)?)),
        ["climb", path] => {
            deeds::climb()?;
            deeds::say(&fs::read_to_string(path)?)
        }
        ["programs"] => programs(),
        ["write", ref paths @ ..] => {
            let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
            first(&paths, |path| fs::File::options().write(true).open(path).map(drop))
        }
        ["fill", folder, bytes] => fill(Path::new(folder), number(bytes)?),
        ["crowd", folder, files] => crowd(Path::new(folder), number(files)?),
        ["eat", bytes] => eat(number(bytes)?),
        ["threads", most] => deeds::threads(number(most)?),
        ["rename", name] => Ok(rustix::system::sethostname(name.as_bytes())?),
        ["spin"] => spin(),
        ["may", what] => deeds::may(what),
        ["parent", path] => deeds::parent_namespace(path),
        ["shared", key] => deeds::say(&deeds::shared_memory(number(key)?)?),
        _ => Err(io::Error::other(format!("no such deed: {args:?}"))),
    }
}

fn spin() -> io::Result<()> {
    loop {
        std::hint::spin_loop();
    }
}

fn tcp(to: &str, port: u16) -> io::Result<TcpStream> {
    let mut addresses = (to, port).to_socket_addrs()?;
    let to = addresses.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    TcpStream::connect_timeout(&to, PATIENCE)
}

fn udp(to: &str, port: u16) -> io::Result<()> {
    let to = (to, port).to_socket_addrs()?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let socket = UdpSocket::bind(if to.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" })?;
    socket.set_broadcast(true)?;
    socket.send_to(b"walls", to).map(drop)
}

/// As many conversations, each to a port of its own.
fn many(to: &str, count: u16) -> io::Result<()> {
    let all: io::Result<Vec<UdpSocket>> = (0..count)
        .map(|one| {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            // Where one is refused the next may be let through.
            let _ = socket.send_to(b"walls", (to, FIRST_OF_MANY + one));
            pace(one.into(), 4);
            Ok(socket)
        })
        .collect();
    deeds::say(&format!("began {}", all?.len()))
}

/// Faster than anybody answers, and no faster than they can be heard.
fn pace(number: u32, at_once: u32) {
    if number.is_multiple_of(at_once) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Asks for as many names, and waits for no answer.
fn names(below: &str, count: u32) -> io::Result<()> {
    let asked = |name: &str| {
        let labels = name.split('.').map(|label| [&[label.len() as u8], label.as_bytes()].concat());
        [
            &[0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0],
            labels.collect::<Vec<_>>().concat().as_slice(),
            &[0, 0, 1, 0, 1],
        ]
        .concat()
    };
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    for one in 0..count {
        socket.send_to(&asked(&format!("name{one}.{below}")), (RESOLVER, 53))?;
        pace(one, 16);
    }
    deeds::say(&format!("asked {count}"))
}

/// An error about an answer that came from there, sent to somebody else.
fn error(from: Ipv4Addr, to: Ipv4Addr, mark: u16) -> io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.send_to(b"walls", (from, 9))?;
    socket.connect((from, 9))?;
    let std::net::SocketAddr::V4(own) = socket.local_addr()? else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let answer = packet(from, *own.ip(), UDP, &[9_u16, own.port(), 8, 0].map(u16::to_be_bytes).concat());
    deeds::send_raw(to, ICMP, &message(3, 1, mark, &answer))
}

/// Goes where it is sent, as a program does that fetches something.
fn follow(url: &str) -> io::Result<()> {
    let (host, path) = url.split_once('/').unwrap_or((url, ""));
    let (host, port) = host.split_once(':').unwrap_or((host, "80"));
    let mut said = String::new();
    asked(host, number(port)?, &format!("GET /{path}"))?.read_to_string(&mut said)?;
    let sent = said.lines().find_map(|line| line.strip_prefix("Location: http://"));
    let sent =
        sent.and_then(|to| to.trim_end_matches('/').split_once(':')).ok_or(io::ErrorKind::InvalidData)?;
    tcp(sent.0, number(sent.1)?).map(drop)
}

fn asked(to: &str, port: u16, what: &str) -> io::Result<TcpStream> {
    let mut stream = tcp(to, port)?;
    stream.write_all(format!("{what} HTTP/1.0\r\n\r\n").as_bytes())?;
    Ok(stream)
}

/// A path as this program sees it, as every other process does, and from every folder that one of them has open.
fn everywhere(path: &str) -> Vec<PathBuf> {
    let mut all = vec![PathBuf::from(path), Path::new("/capsule").join(path.trim_start_matches('/'))];
    let climbed = format!("../../../../../../../..{path}");
    for process in fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path()) {
        all.extend(["root", "cwd"].map(|link| process.join(link).join(&climbed)));
        let open = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        all.extend(open.map(|open| open.path().join(&climbed)));
    }
    all
}

fn first(paths: &[PathBuf], deed: impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for path in paths {
        match deed(path) {
            Ok(()) => return deeds::say(&path.display().to_string()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Whether a program of the system that runs could be replaced where it lies. One that is only busy could, once it has ended.
fn programs() -> io::Result<()> {
    let all = fs::read_dir("/proc")?.flatten().map(|entry| entry.path().join("exe"));
    let systems =
        |exe: &PathBuf| fs::read_link(exe).is_ok_and(|at| at.starts_with("/usr") || at.starts_with("/opt"));
    first(&all.filter(systems).collect::<Vec<_>>(), |exe| match fs::File::options().write(true).open(exe) {
        Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => Ok(()),
        other => other.map(drop),
    })
}

/// Until no more fits, or so much has.
fn fill(folder: &Path, bytes: u64) -> io::Result<()> {
    let mut file = fs::File::create(folder.join("filled"))?;
    let some = vec![7; 1 << 20];
    let mut written = 0;
    while written < bytes && file.write_all(&some).is_ok() {
        written += some.len() as u64;
    }
    file.sync_all()?;
    deeds::say(&format!("wrote {written}"))
}

fn crowd(folder: &Path, files: u64) -> io::Result<()> {
    let folder = folder.join("crowd");
    fs::create_dir(&folder)?;
    let made =
        (0..files).take_while(|number| fs::File::create(folder.join(number.to_string())).is_ok()).count();
    deeds::say(&format!("made {made}"))?;
    fs::remove_dir_all(folder)
}

fn eat(bytes: usize) -> io::Result<()> {
    let eaten = vec![7_u8; bytes];
    deeds::say(&format!("ate {}", std::hint::black_box(&eaten).len()))
}

fn number<T: std::str::FromStr>(text: &str) -> io::Result<T> {
    text.parse().map_err(|_| io::Error::other(format!("{text} is no number")))
}

fn four(text: &str) -> io::Result<Ipv4Addr> {
    number(text)
}
