//! Who answers in the played network: a resolver that knows the LAN's names, and a host of the internet that sends its callers on.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::world::{LAN, OWN, Place, ROUTER, SECRET_NAME, World};

/// Names of the internet, the forbidden addresses some of them lead to, and names of the LAN.
pub(crate) fn names() -> Vec<(String, &'static str)> {
    vec![
        ("web.walls.example".to_owned(), crate::world::NET),
        ("lan.walls.example".to_owned(), LAN),
        ("meta.walls.example".to_owned(), "169.254.169.254"),
        ("own.walls.example".to_owned(), OWN),
        ("nas".to_owned(), LAN),
        (format!("{SECRET_NAME}.lan"), LAN),
        (format!("{SECRET_NAME}.local"), LAN),
        (format!("{SECRET_NAME}.home.arpa"), LAN),
        (format!("{SECRET_NAME}.fritz.box"), LAN),
    ]
}

/// What the last caller took or brought, and how fast, by what this end saw.
#[derive(Clone, Default)]
pub(crate) struct Web {
    moved: Arc<Mutex<Option<(u64, Duration)>>>,
}

pub(crate) const WEB_PORT: u16 = 8080;
/// How much it sends to whoever asks for `/much`.
pub(crate) const MUCH: u64 = 12 << 20;

impl Web {
    pub(crate) fn open(world: &World) -> Result<Self> {
        let resolver = world.within(Place::Router, || UdpSocket::bind((ROUTER, 53)))??;
        std::thread::spawn(move || resolve(&resolver));
        let listener = world.within(Place::Net, || TcpListener::bind(("0.0.0.0", WEB_PORT)))??;
        let web = Self::default();
        let server = web.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = server.clone();
                std::thread::spawn(move || server.answer(stream));
            }
        });
        Ok(web)
    }

    /// Bytes a second of the last transfer.
    pub(crate) fn speed(&self) -> Option<f64> {
        let deadline = Instant::now() + Duration::from_secs(3);
        let mut moved = None;
        while moved.is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
            moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
        moved.map(|(bytes, took)| bytes as f64 / took.as_secs_f64().max(0.001))
    }

    /// `/go?http://…` sends on, `/much` sends much, `POST` takes much.
    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") && asked.len() < 1024 {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            asked.extend(byte);
        }
        let asked = String::from_utf8_lossy(&asked).into_owned();
        let path = asked.split(' ').nth(1).unwrap_or_default();
        let start = Instant::now();
        if let Some(to) = path.strip_prefix("/go?") {
            return write!(stream, "HTTP/1.0 302 Found\r\nLocation: {to}\r\n\r\n");
        }
        if path == "/much" {
            std::io::copy(&mut std::io::repeat(7).take(MUCH), &mut stream)?;
            stream.shutdown(std::net::Shutdown::Write)?;
            // Until the other end has taken it all.
            let _ = stream.read(&mut [0; 1]);
            self.keep(MUCH, start);
        } else if asked.starts_with("POST") {
            let bytes = std::io::copy(&mut stream, &mut std::io::sink())?;
            self.keep(bytes, start);
        }
        Ok(())
    }

    fn keep(&self, bytes: u64, since: Instant) {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = Some((bytes, since.elapsed()));
    }
}

fn resolve(socket: &UdpSocket) {
    let mut query = [0; 512];
    loop {
        let Ok((read, from)) = socket.recv_from(&mut query) else { continue };
        if let Some(answer) = query.get(..read).and_then(answer) {
            let _ = socket.send_to(&answer, from);
        }
    }
}

/// To such names nobody ever answers.
pub(crate) const SILENT: &str = "silent.walls.example";

/// To one question, of one name.
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let (mut name, mut at) = (String::new(), 12);
    while *query.get(at)? != 0 {
        let length = usize::from(query[at]);
        name += &String::from_utf8_lossy(query.get(at + 1..=at + length)?).to_lowercase();
        name.push('.');
        at += length + 1;
    }
    if name.trim_end_matches('.').ends_with(SILENT) {
        return None;
    }
    let kind = u16::from_be_bytes(query.get(at + 1..at + 3)?.try_into().ok()?);
    let found = match kind {
        1 => of_name(name.trim_end_matches('.')).map(|address| address.octets().to_vec()),
        12 => of_address(&name),
        _ => None,
    };
    let known = found.is_some() || of_name(name.trim_end_matches('.')).is_some();
    let mut said = query.get(..at + 5)?.to_vec();
    said[2..12].copy_from_slice(&[
        0x81,
        if known { 0x80 } else { 0x83 },
        0,
        1,
        0,
        found.is_some().into(),
        0,
        0,
        0,
        0,
    ]);
    if let Some(data) = found {
        said.extend([0xc0, 12, 0, kind as u8, 0, 1, 0, 0, 0, 0]);
        said.extend((data.len() as u16).to_be_bytes());
        said.extend(data);
    }
    Some(said)
}

fn of_name(asked: &str) -> Option<Ipv4Addr> {
    names().into_iter().find(|(name, _)| name == asked).and_then(|(_, address)| address.parse().ok())
}

/// The secret name, in a resolver's spelling.
fn of_address(asked: &str) -> Option<Vec<u8>> {
    let IpAddr::V4(lan) = crate::world::address(LAN) else { return None };
    let [a, b, c, d] = lan.octets();
    if asked != format!("{d}.{c}.{b}.{a}.in-addr.arpa.") {
        return None;
    }
    let spelled =
        [SECRET_NAME, "lan"].map(|label| [vec![label.len() as u8], label.as_bytes().to_vec()].concat());
    Some([spelled.concat(), vec![0]].concat())
}
