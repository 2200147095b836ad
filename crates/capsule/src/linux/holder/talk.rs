//! The holder's end of what it and the moat say to each other.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use crate::fault::Fault;
use crate::linux::control::{Ask, Say, UNASKED};

/// A step of a start, or an answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15);

pub(crate) struct Talk {
    lines: Lines<BufReader<OwnedReadHalf>>,
    write: OwnedWriteHalf,
    /// The number of what was asked last.
    asked: u64,
}

impl Talk {
    pub(crate) fn over(control: UnixStream) -> Self {
        let (read, write) = control.into_split();
        Self { lines: BufReader::new(read).lines(), write, asked: UNASKED }
    }

    pub(crate) async fn ask(&mut self, ask: &Ask) -> Result<(), Fault> {
        let wrong = |why: &dyn std::fmt::Display| Fault::at("moat", why);
        self.asked += 1;
        let mut line = serde_json::to_vec(&(self.asked, ask)).map_err(|error| wrong(&error))?;
        line.push(b'\n');
        self.write.write_all(&line).await.map_err(|error| wrong(&error))
    }

    /// What is taken from the moat's answer to what was asked last.
    pub(crate) async fn hear<T>(&mut self, step: &str, of: impl Fn(&Say) -> Option<T>) -> Result<T, Fault> {
        let say = timeout(ANSWERED_WITHIN, self.answer()).await;
        let say = say.map_err(|_| Fault::at(step, "no answer"))?.map_err(|error| Fault::at(step, error))?;
        if let Say::Failed(fault) = say {
            return Err(fault);
        }
        of(&say).ok_or_else(|| Fault::at(step, format!("it said {say:?}")))
    }

    /// Those that come too late are left out.
    async fn answer(&mut self) -> std::io::Result<Say> {
        loop {
            let line = self.lines.next_line().await?;
            let line = line.ok_or_else(|| std::io::Error::other("it ended"))?;
            let (number, say): (u64, Say) = serde_json::from_str(&line)?;
            if number == self.asked || number == UNASKED {
                return Ok(say);
            }
        }
    }

    pub(crate) async fn done(&mut self, step: &str) -> Result<(), Fault> {
        self.hear(step, |say| matches!(say, Say::Done).then_some(())).await
    }

    pub(crate) async fn unshared(&mut self) -> Result<(), Fault> {
        self.hear("moat", |say| matches!(say, Say::Unshared).then_some(())).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::control::Moat;
    use crate::place::Jobs;

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_comes_too_late_is_not_taken_for_the_next_ones() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut talk = Talk::over(ours);
        let theirs = theirs.into_std().unwrap();
        theirs.set_nonblocking(false).unwrap();
        let mut moat = Moat::over(theirs).unwrap();
        moat.say(&Say::Unshared).unwrap();
        talk.unshared().await.unwrap();

        talk.ask(&Ask::Freeze { jobs: Jobs::All }).await.unwrap();
        assert!(talk.done("freeze").await.is_err(), "nobody answers in time");
        talk.ask(&Ask::Thaw { jobs: Jobs::All }).await.unwrap();
        assert!(matches!(moat.hear(), Some(Ask::Freeze { .. })));
        moat.say(&Say::Done).unwrap();
        assert!(matches!(moat.hear(), Some(Ask::Thaw { .. })));
        moat.say(&Say::Failed(Fault::Busy)).unwrap();
        assert_eq!(talk.done("thaw").await, Err(Fault::Busy));

        talk.ask(&Ask::Count).await.unwrap();
        moat.say_unasked(&Say::Ended { why: "by itself".to_owned() }).unwrap();
        let ended = talk.done("count").await.unwrap_err().to_string();
        assert!(ended.contains("by itself"), "{ended}");
    }
}
