//! Who answers for names: a small process in the moat, between the capsule and the owner's resolver.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::tools::ended;
use crate::filter::{OWNERS_RESOLVER, RESOLVER};
use crate::names::{may_be_asked, may_be_told, unknown};

const PORT: u16 = 53;
/// Whoever asks more at once waits.
const AT_ONCE: usize = 256;
const PATIENCE: Duration = Duration::from_secs(5);
const LONGEST: usize = 65_535;

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
    let room = Arc::new(Semaphore::new(AT_ONCE));
    tokio::try_join!(by_datagrams(Arc::new(datagrams), Arc::clone(&room)), by_streams(streams, room))
        .map(drop)
}

async fn by_datagrams(socket: Arc<UdpSocket>, room: Arc<Semaphore>) -> io::Result<()> {
    let mut query = vec![0; LONGEST];
    loop {
        let taken = Arc::clone(&room).acquire_owned().await.map_err(io::Error::other)?;
        // The last answer may have found nobody: that is said here, and is no end.
        let Ok((read, from)) = socket.recv_from(&mut query).await else { continue };
        let query = query.get(..read).unwrap_or_default().to_vec();
        let socket = Arc::clone(&socket);
        tokio::spawn(async move {
            let _taken = taken;
            if let Some(answer) = answered(&query, asked_by_datagram(&query)).await {
                let _ = socket.send_to(&answer, from).await;
            }
        });
    }
}

async fn by_streams(listener: TcpListener, room: Arc<Semaphore>) -> io::Result<()> {
    loop {
        let taken = Arc::clone(&room).acquire_owned().await.map_err(io::Error::other)?;
        let Ok((mut stream, _)) = listener.accept().await else { continue };
        tokio::spawn(async move {
            let _taken = taken;
            while let Ok(Ok(query)) = timeout(PATIENCE, read_one(&mut stream)).await {
                let Some(answer) = answered(&query, asked_by_stream(&query)).await else { return };
                if !matches!(timeout(PATIENCE, write_one(&mut stream, &answer)).await, Ok(Ok(()))) {
                    return;
                }
            }
        });
    }
}

/// Nothing where the owner's resolver says nothing: whoever asks will ask again.
async fn answered(query: &[u8], asked: impl Future<Output = io::Result<Vec<u8>>>) -> Option<Vec<u8>> {
    if !may_be_asked(query) {
        return unknown(query);
    }
    let answer = timeout(PATIENCE, asked).await.ok()?.ok()?;
    if may_be_told(&answer) { Some(answer) } else { unknown(query) }
}

async fn asked_by_datagram(query: &[u8]) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind("0.0.0.0:0").await?;
    socket.connect((OWNERS_RESOLVER, PORT)).await?;
    socket.send(query).await?;
    let mut answer = vec![0; LONGEST];
    let read = socket.recv(&mut answer).await?;
    answer.truncate(read);
    Ok(answer)
}

async fn asked_by_stream(query: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect((OWNERS_RESOLVER, PORT)).await?;
    write_one(&mut stream, query).await?;
    read_one(&mut stream).await
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
