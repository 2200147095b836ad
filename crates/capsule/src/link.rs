//! The one byte stream between a capsule and whoever holds it, with any number of conversations on it. Each begins with the name of a
//! door at the other end, in a line; the answer is `ok`, or why not.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

use futures_util::future::poll_fn;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt as _, TokioAsyncReadCompatExt as _};
use yamux::{Config, Connection, Mode};

/// One conversation.
pub type Conversation = Compat<yamux::Stream>;

/// Which end of the stream this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Holder,
    Capsule,
}

/// A door's name and its answer are no longer than this.
const LINE: usize = 512;
/// Conversations at once; jobs cannot open any.
const AT_ONCE: usize = 256;

type Opening = oneshot::Sender<io::Result<Conversation>>;

/// To the other end.
#[derive(Debug, Clone)]
pub struct Link {
    open: mpsc::Sender<Opening>,
}

impl Link {
    /// Over this stream. `begun` gets each conversation that the other end begins: see [`asked`]. The future moves all bytes, and ends
    /// with the stream.
    pub fn over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        end: End,
        begun: impl FnMut(Conversation) + Send,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (open, asked) = mpsc::channel(16);
        let mode = if end == End::Holder { Mode::Client } else { Mode::Server };
        let mut config = Config::default();
        config.set_max_num_streams(AT_ONCE);
        let connection = Connection::new(stream.compat(), config, mode);
        let mut moved = Moved { connection, asked: Some(asked), waiting: None, begun };
        (Self { open }, async move { poll_fn(|cx| moved.poll(cx)).await })
    }

    /// A conversation with whoever is behind that door.
    ///
    /// # Errors
    /// The other end is gone, or nobody is behind that door.
    pub async fn door(&self, name: &str) -> io::Result<Conversation> {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        let (say, heard) = oneshot::channel();
        self.open.send(say).await.map_err(|_| gone())?;
        let mut talk = heard.await.map_err(|_| gone())??;
        talk.write_all(format!("{name}\n").as_bytes()).await?;
        talk.flush().await?;
        match line(&mut talk).await?.as_str() {
            "ok" => Ok(talk),
            why => Err(io::Error::new(io::ErrorKind::ConnectionRefused, format!("{name}: {why}"))),
        }
    }

    /// Leads whoever has come to that door, until both have said all. One that is not opened to them hears nothing.
    pub async fn lead(self, name: String, from: impl AsyncRead + AsyncWrite + Unpin) {
        if let Ok(talk) = self.door(&name).await {
            // Either may break off; nobody else is concerned.
            let _ = carry(talk, from).await;
        }
    }
}

/// Which door is asked for; [`answer`] says whether it is open.
///
/// # Errors
/// The stream's.
pub async fn asked(talk: &mut Conversation) -> io::Result<String> {
    line(talk).await
}

/// Says that the door is open, and carries the conversation to and from whoever is behind it until both have said all; or why
/// nobody is.
///
/// # Errors
/// One of the two broke off.
pub async fn answer(
    mut talk: Conversation,
    behind: io::Result<impl AsyncRead + AsyncWrite + Unpin>,
) -> io::Result<()> {
    let said = match &behind {
        Ok(_) => "ok".to_owned(),
        Err(why) => why.to_string().chars().filter(|letter| !letter.is_control()).take(LINE / 4).collect(),
    };
    talk.write_all(format!("{said}\n").as_bytes()).await?;
    talk.flush().await?;
    match behind {
        Ok(behind) => carry(talk, behind).await,
        Err(_) => Ok(()),
    }
}

async fn carry(mut talk: Conversation, with: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut with = pin!(with);
    tokio::io::copy_bidirectional(&mut talk, &mut with).await.map(drop)
}

/// What moves the bytes.
struct Moved<S, B> {
    connection: Connection<Compat<S>>,
    /// None once nobody can ask any more.
    asked: Option<mpsc::Receiver<Opening>>,
    waiting: Option<Opening>,
    begun: B,
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin, B: FnMut(Conversation)> Moved<S, B> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.open(cx);
        loop {
            match self.connection.poll_next_inbound(cx) {
                Poll::Ready(Some(Ok(stream))) => (self.begun)(stream.compat()),
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn open(&mut self, cx: &mut Context<'_>) {
        loop {
            if self.waiting.is_none() {
                match self.asked.as_mut().map(|asked| asked.poll_recv(cx)) {
                    Some(Poll::Ready(Some(next))) => self.waiting = Some(next),
                    Some(Poll::Ready(None)) => self.asked = None,
                    Some(Poll::Pending) | None => {}
                }
            }
            let Some(next) = self.waiting.take() else { return };
            match self.connection.poll_new_outbound(cx) {
                Poll::Ready(Ok(stream)) => drop(next.send(Ok(stream.compat()))),
                Poll::Ready(Err(error)) => drop(next.send(Err(io::Error::other(error)))),
                Poll::Pending => {
                    self.waiting = Some(next);
                    return;
                }
            }
        }
    }
}

/// Without its end.
async fn line(from: &mut Conversation) -> io::Result<String> {
    let mut line = Vec::new();
    loop {
        match from.read_u8().await? {
            b'\n' => break,
            _ if line.len() >= LINE => return Err(io::ErrorKind::InvalidData.into()),
            byte => line.push(byte),
        }
    }
    String::from_utf8(line).map_err(|_| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn conversations_go_beside_one_another_and_a_closed_door_says_why() {
        let (ours, theirs) = tokio::io::duplex(4096);
        let (link, over) = Link::over(ours, End::Holder, drop);
        tokio::spawn(over);
        let (back, capsule) = Link::over(theirs, End::Capsule, |mut talk| {
            tokio::spawn(async move {
                match asked(&mut talk).await.unwrap().as_str() {
                    "echo" => {
                        let (near, far) = tokio::io::duplex(64);
                        let (mut read, mut write) = tokio::io::split(far);
                        tokio::spawn(async move { tokio::io::copy(&mut read, &mut write).await });
                        let _ = answer(talk, Ok(near)).await;
                    }
                    other => {
                        let nobody = io::Error::other(format!("no {other}\nhere"));
                        answer(talk, Err::<tokio::io::DuplexStream, _>(nobody)).await.unwrap();
                    }
                }
            });
        });
        let capsule = tokio::spawn(capsule);

        let mut first = link.door("echo").await.unwrap();
        let mut second = link.door("echo").await.unwrap();
        for (talk, said) in [(&mut second, b"two"), (&mut first, b"one")] {
            talk.write_all(said).await.unwrap();
            talk.flush().await.unwrap();
            let mut heard = [0; 3];
            talk.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard, said);
        }
        let closed = link.door("engine").await.unwrap_err();
        assert_eq!(closed.to_string(), "engine: no enginehere");

        let unasked = back.door("owner").await.unwrap_err();
        assert_eq!(
            unasked.kind(),
            io::ErrorKind::UnexpectedEof,
            "a holder that opens nothing drops what is asked"
        );
        drop((first, second, link));
        capsule.abort();
    }

    #[tokio::test]
    async fn a_capsule_that_is_gone_is_a_broken_pipe_and_no_wait() {
        let (ours, theirs) = tokio::io::duplex(4096);
        let (link, over) = Link::over(ours, End::Holder, drop);
        drop(theirs);
        over.await;

        let gone = link.door("engine").await.unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::BrokenPipe);
    }
}
