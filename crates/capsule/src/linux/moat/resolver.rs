//! Who answers for names: a small process in the moat, between the capsule and the owner's resolver.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::filter::{OWNERS_RESOLVER, RESOLVER};
use crate::linux::tools::ended;
use crate::names::{Anew, Asked, Heard};

const PORT: u16 = 53;
/// Questions at once, and of one who asks. Each of them has two sockets at most, and a process a thousand.
const AT_ONCE: usize = 384;
const OF_ONE: usize = 32;
const PATIENCE: Duration = Duration::from_secs(5);
/// Longer than any datagram that we ask for.
const DATAGRAM: usize = 4096;

/// The whole life of this process.
pub fn run() -> ExitCode {
    let answer = || -> io::Result<()> {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(both())
    };
    ended("names", answer())
}

async fn both() -> io::Result<()> {
    let datagrams = UdpSocket::bind((RESOLVER, PORT)).await?;
    let streams = TcpListener::bind((RESOLVER, PORT)).await?;
    let room = Arc::new(Room::of(AT_ONCE, OF_ONE));
    tokio::try_join!(by_datagrams(Arc::new(datagrams), Arc::clone(&room)), by_streams(streams, room))
        .map(drop)
}

/// Places for those who ask. Each has a share, so that nobody else waits for whoever asks without end.
struct Room {
    all: Arc<Semaphore>,
    of_one: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// Given back when it is dropped.
struct Place {
    room: Arc<Room>,
    whose: IpAddr,
    _one: OwnedSemaphorePermit,
}

impl Room {
    fn of(all: usize, of_one: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), of_one, taken: Mutex::default() }
    }

    /// None for whoever has their share, or where there is none left.
    fn place(self: &Arc<Self>, whose: IpAddr) -> Option<Place> {
        let one = Arc::clone(&self.all).try_acquire_owned().ok()?;
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.entry(whose).or_default();
        if *own >= self.of_one {
            return None;
        }
        *own += 1;
        Some(Place { room: Arc::clone(self), whose, _one: one })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.room.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.whose) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.whose);
            }
        }
    }
}

async fn by_datagrams(socket: Arc<UdpSocket>, room: Arc<Room>) -> io::Result<()> {
    let mut query = vec![0; DATAGRAM];
    loop {
        // The last answer may have found nobody: that is said here, and is no end.
        let Ok((read, from)) = socket.recv_from(&mut query).await else { continue };
        // Whoever hears nothing asks again.
        let Some(place) = room.place(from.ip()) else { continue };
        let Some(asked) = query.get(..read).and_then(Asked::read) else { continue };
        let socket = Arc::clone(&socket);
        tokio::spawn(async move {
            let _place = place;
            let answer = answered(&asked).await.and_then(|answer| asked.in_a_datagram(answer));
            if let Some(answer) = answer {
                let _ = socket.send_to(&answer, from).await;
            }
        });
    }
}

async fn by_streams(listener: TcpListener, room: Arc<Room>) -> io::Result<()> {
    loop {
        let Ok((mut stream, from)) = listener.accept().await else { continue };
        let Some(place) = room.place(from.ip()) else { continue };
        tokio::spawn(async move {
            let _place = place;
            while let Ok(Ok(query)) = timeout(PATIENCE, read_one(&mut stream)).await {
                let Some(asked) = Asked::read(&query) else { return };
                let Some(answer) = answered(&asked).await else { return };
                if !matches!(timeout(PATIENCE, write_one(&mut stream, &answer)).await, Ok(Ok(()))) {
                    return;
                }
            }
        });
    }
}

/// Nothing where the owner's resolver says nothing: whoever asks will ask again.
async fn answered(asked: &Asked) -> Option<Vec<u8>> {
    if !asked.may_be_asked() {
        return asked.unknown();
    }
    let anew = asked.anew().ok()?;
    let heard = async {
        match by_datagram(&anew, asked).await? {
            Heard::Cut => by_stream(&anew, asked).await,
            heard @ (Heard::Answer(_) | Heard::Other) => Ok(heard),
        }
    };
    match timeout(PATIENCE, heard).await.ok()? {
        Ok(Heard::Answer(answer)) => Some(answer),
        Ok(Heard::Cut | Heard::Other) | Err(_) => asked.failed(),
    }
}

async fn by_datagram(anew: &Anew, asked: &Asked) -> io::Result<Heard> {
    let socket = UdpSocket::bind("0.0.0.0:0").await?;
    socket.connect((OWNERS_RESOLVER, PORT)).await?;
    socket.send(&anew.message).await?;
    let mut answer = vec![0; DATAGRAM];
    loop {
        let read = socket.recv(&mut answer).await?;
        match anew.heard(answer.get(..read).unwrap_or_default(), asked) {
            // The right one may still come.
            Heard::Other => {}
            heard @ (Heard::Answer(_) | Heard::Cut) => return Ok(heard),
        }
    }
}

/// The one answer that there is.
async fn by_stream(anew: &Anew, asked: &Asked) -> io::Result<Heard> {
    let mut stream = TcpStream::connect((OWNERS_RESOLVER, PORT)).await?;
    write_one(&mut stream, &anew.message).await?;
    Ok(anew.heard(&read_one(&mut stream).await?, asked))
}

async fn read_one(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut message = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

async fn write_one(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), message].concat()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_without_end_takes_their_own_share_and_nobody_elses() {
        let room = Arc::new(Room::of(6, 4));
        let [one, another, third] = [1, 2, 3].map(|last| IpAddr::from([192, 0, 0, 130 + last]));

        let mut taken: Vec<_> = (0..100).filter_map(|_| room.place(one)).collect();
        assert_eq!(taken.len(), 4);
        let others = room.place(another).unwrap();
        taken.pop();
        let again = room.place(one).unwrap();
        let last = room.place(third).unwrap();
        assert!(room.place(third).is_none(), "there is none left");

        drop((taken, again, others, last));
        assert!(room.taken.lock().unwrap().is_empty(), "nobody is remembered");
        assert_eq!(room.all.available_permits(), 6);
    }
}
