//! The one byte stream between a capsule and whoever holds it, with any number of conversations on it. Each begins with the name of a
//! door inside, in a line; the answer is `ok`, or why not.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::Poll;

use futures_util::future::poll_fn;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt as _, TokioAsyncReadCompatExt as _};
use yamux::{Config, Connection, Mode};

/// One conversation.
pub type Conversation = Compat<yamux::Stream>;

/// A door's name and its answer are no longer than this.
const LINE: usize = 512;
/// Conversations at once; jobs cannot open any.
const AT_ONCE: usize = 256;

/// The holder's end.
#[derive(Debug, Clone)]
pub struct Link {
    open: mpsc::Sender<oneshot::Sender<io::Result<Conversation>>>,
}

impl Link {
    /// Over this stream. Its end is the end of `over`.
    pub fn over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (open, asked) = mpsc::channel(16);
        let connection = Connection::new(stream.compat(), config(), Mode::Client);
        (Self { open }, outside(connection, asked))
    }

    /// A conversation with whoever is behind that door.
    ///
    /// # Errors
    /// The capsule is gone, or nobody is behind that door.
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
}

/// The capsule's end: each conversation as it begins, until the stream is over.
pub async fn inside(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    mut begun: impl FnMut(Conversation),
) {
    let mut connection = Connection::new(stream.compat(), config(), Mode::Server);
    while let Some(Ok(stream)) = poll_fn(|cx| connection.poll_next_inbound(cx)).await {
        begun(stream.compat());
    }
}

/// Which door is asked for; [`opened`] or [`closed`] answers.
///
/// # Errors
/// The stream's.
pub async fn asked(talk: &mut Conversation) -> io::Result<String> {
    line(talk).await
}

/// # Errors
/// The stream's.
pub async fn opened(talk: &mut Conversation) -> io::Result<()> {
    talk.write_all(b"ok\n").await?;
    talk.flush().await
}

/// # Errors
/// The stream's.
pub async fn closed(talk: &mut Conversation, why: &str) -> io::Result<()> {
    let why: String = why.chars().filter(|letter| !letter.is_control()).take(LINE / 4).collect();
    talk.write_all(format!("{why}\n").as_bytes()).await?;
    talk.flush().await
}

fn config() -> Config {
    let mut config = Config::default();
    config.set_max_num_streams(AT_ONCE);
    config
}

/// Opens what is asked for, and moves the stream's bytes on. Nothing is opened from inside.
async fn outside<S>(
    mut connection: Connection<Compat<S>>,
    mut asked: mpsc::Receiver<oneshot::Sender<io::Result<Conversation>>>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let mut waiting: Option<oneshot::Sender<io::Result<Conversation>>> = None;
    let mut over = false;
    poll_fn(|cx| {
        loop {
            if waiting.is_none() && !over {
                match asked.poll_recv(cx) {
                    Poll::Ready(Some(next)) => waiting = Some(next),
                    Poll::Ready(None) => over = true,
                    Poll::Pending => {}
                }
            }
            let Some(next) = waiting.take() else { break };
            match connection.poll_new_outbound(cx) {
                Poll::Ready(Ok(stream)) => drop(next.send(Ok(stream.compat()))),
                Poll::Ready(Err(error)) => drop(next.send(Err(io::Error::other(error)))),
                Poll::Pending => {
                    waiting = Some(next);
                    break;
                }
            }
        }
        match connection.poll_next_inbound(cx) {
            // What the capsule opens unasked is dropped.
            Poll::Ready(Some(Ok(_))) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(Some(Err(_)) | None) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
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

/// Carries a conversation to and from somebody else until both have said all.
///
/// # Errors
/// One of the two broke off.
pub async fn carry(mut talk: Conversation, with: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut with = pin!(with);
    tokio::io::copy_bidirectional(&mut talk, &mut with).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn conversations_go_beside_one_another_and_a_closed_door_says_why() {
        let (ours, theirs) = tokio::io::duplex(4096);
        let (link, over) = Link::over(ours);
        tokio::spawn(over);
        let capsule = tokio::spawn(inside(theirs, |mut talk| {
            tokio::spawn(async move {
                match asked(&mut talk).await.unwrap().as_str() {
                    "echo" => {
                        opened(&mut talk).await.unwrap();
                        let (mut read, mut write) = tokio::io::split(talk);
                        let _ = tokio::io::copy(&mut read, &mut write).await;
                    }
                    other => closed(&mut talk, &format!("no {other}\nhere")).await.unwrap(),
                }
            });
        }));

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

        drop((first, second, link));
        capsule.abort();
    }

    #[tokio::test]
    async fn a_capsule_that_is_gone_is_a_broken_pipe_and_no_wait() {
        let (ours, theirs) = tokio::io::duplex(4096);
        let (link, over) = Link::over(ours);
        drop(theirs);
        over.await;

        let gone = link.door("engine").await.unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::BrokenPipe);
    }
}
