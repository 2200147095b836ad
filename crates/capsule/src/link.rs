//! The one byte stream between a capsule and whoever holds it, with any number of conversations on it. Each begins with the name of a
//! door at the other end, in a line; the answer is `ok`, or why not.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::poll_fn;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt as _, TokioAsyncReadCompatExt as _};
use yamux::{Config, Connection, Mode};

/// One conversation. It has a place of its end's, until it is dropped.
#[derive(Debug)]
pub struct Conversation {
    stream: Compat<yamux::Stream>,
    _place: OwnedSemaphorePermit,
}

/// Which end of the stream this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Holder,
    Capsule,
}

/// A door's name and its answer are no longer than this.
const LINE: usize = 512;
/// Conversations at once that one end may begin; the next one it refuses itself.
const AT_ONCE: usize = 256;
/// As many as it takes of the other end's: one that is given up is over here a moment later. Beyond them it drops what is begun.
const TAKEN: usize = 2 * AT_ONCE;
/// So many in all would end the stream.
const ROOM: usize = 2 * TAKEN;

type Opening = oneshot::Sender<io::Result<Compat<yamux::Stream>>>;

/// To the other end.
#[derive(Debug, Clone)]
pub struct Link {
    open: mpsc::Sender<Opening>,
    places: Arc<Semaphore>,
}

impl Link {
    /// Over this stream. `begun` gets each conversation that the other end begins: see [`asked`]. The future moves all bytes, and ends
    /// with the stream.
    pub fn over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        end: End,
        begun: impl FnMut(Conversation) + Send,
    ) -> (Self, impl Future<Output = ()> + Send) {
        Self::with_places(AT_ONCE, stream, end, begun)
    }

    fn with_places(
        own: usize,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        end: End,
        begun: impl FnMut(Conversation) + Send,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (open, asked) = mpsc::channel(16);
        let mode = if end == End::Holder { Mode::Client } else { Mode::Server };
        let mut config = Config::default();
        config.set_max_num_streams(ROOM);
        let connection = Connection::new(stream.compat(), config, mode);
        let places = Arc::new(Semaphore::new(TAKEN));
        let mut moved = Moved { connection, asked: Some(asked), waiting: None, begun, places };
        let link = Self { open, places: Arc::new(Semaphore::new(own)) };
        (link, async move { poll_fn(|cx| moved.poll(cx)).await })
    }

    /// A conversation with whoever is behind that door.
    ///
    /// # Errors
    /// The other end is gone, nobody is behind that door, or there are too many conversations already.
    pub async fn door(&self, name: &str) -> io::Result<Conversation> {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| io::Error::from(io::ErrorKind::ResourceBusy))?;
        let (say, heard) = oneshot::channel();
        self.open.send(say).await.map_err(|_| gone())?;
        let stream = heard.await.map_err(|_| gone())??;
        let mut talk = Conversation { stream, _place: place };
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

impl AsyncRead for Conversation {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Conversation {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, some: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, some)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// What moves the bytes.
struct Moved<S, B> {
    connection: Connection<Compat<S>>,
    /// None once nobody can ask any more.
    asked: Option<mpsc::Receiver<Opening>>,
    waiting: Option<Opening>,
    begun: B,
    /// For those that the other end begins.
    places: Arc<Semaphore>,
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin, B: FnMut(Conversation)> Moved<S, B> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.open(cx);
        loop {
            match self.connection.poll_next_inbound(cx) {
                Poll::Ready(Some(Ok(stream))) => {
                    // Without a place it is dropped, which the other end hears.
                    if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                        (self.begun)(Conversation { stream: stream.compat(), _place: place });
                    }
                }
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

    /// Whoever asks for it hears what they have said.
    fn echo(mut talk: Conversation) {
        tokio::spawn(async move {
            match asked(&mut talk).await.unwrap_or_default().as_str() {
                "echo" => {
                    let (near, far) = tokio::io::duplex(64);
                    let (mut read, mut write) = tokio::io::split(far);
                    tokio::spawn(async move { tokio::io::copy(&mut read, &mut write).await });
                    let _ = answer(talk, Ok(near)).await;
                }
                other => {
                    let nobody = io::Error::other(format!("no {other}\nhere"));
                    let _ = answer(talk, Err::<tokio::io::DuplexStream, _>(nobody)).await;
                }
            }
        });
    }

    async fn hears_itself(talk: &mut Conversation, said: &[u8; 3]) {
        talk.write_all(said).await.unwrap();
        talk.flush().await.unwrap();
        let mut heard = [0; 3];
        talk.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, said);
    }

    #[tokio::test]
    async fn conversations_go_beside_one_another_and_a_closed_door_says_why() {
        let (ours, theirs) = tokio::io::duplex(4096);
        let (link, over) = Link::over(ours, End::Holder, drop);
        tokio::spawn(over);
        let (back, capsule) = Link::over(theirs, End::Capsule, echo);
        let capsule = tokio::spawn(capsule);

        let mut first = link.door("echo").await.unwrap();
        let mut second = link.door("echo").await.unwrap();
        for (talk, said) in [(&mut second, b"two"), (&mut first, b"one")] {
            hears_itself(talk, said).await;
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
    async fn one_conversation_too_many_is_refused_and_ends_nothing() {
        let (ours, theirs) = tokio::io::duplex(4096);
        let (link, over) = Link::over(ours, End::Holder, drop);
        tokio::spawn(over);
        tokio::spawn(Link::over(theirs, End::Capsule, echo).1);
        for _ in 0..3 {
            let mut all = Vec::new();
            while all.len() < AT_ONCE {
                all.push(link.door("echo").await.unwrap());
            }

            assert_eq!(link.door("echo").await.unwrap_err().kind(), io::ErrorKind::ResourceBusy);
            hears_itself(&mut all[0], b"yes").await;
        }
    }

    #[tokio::test]
    async fn an_end_that_knows_no_measure_has_as_many_as_it_may_and_ends_nothing() {
        let (ours, theirs) = tokio::io::duplex(4096);
        let (link, over) = Link::with_places(ROOM, ours, End::Capsule, drop);
        tokio::spawn(over);
        tokio::spawn(Link::over(theirs, End::Holder, echo).1);
        let (mut let_in, mut refused) = (Vec::new(), 0);
        for _ in 0..ROOM {
            match link.door("echo").await {
                Ok(talk) => let_in.push(talk),
                Err(_) => refused += 1,
            }
        }

        assert_eq!((let_in.len(), refused), (TAKEN, ROOM - TAKEN));
        for talk in &mut let_in {
            hears_itself(talk, b"yes").await;
        }
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
