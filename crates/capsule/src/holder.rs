//! The holder as the resident program finds it: a process of its own that holds one capsule and does with it what its owner asks, over a
//! socket in its folder. Beside that socket lie those that lead inside: see [`DOORS`].
//!
//! One question a conversation, one JSON object a line. A capsule goes on while its owner's program is started anew: it ends when it is
//! asked to, or when nobody has spoken with the guard in it for [`ALONE`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ionet_core::wall::{Saw, Sight};
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::place::{Jobs, Programs, Used, Wish};

/// Doors of the capsule that stand open in the holder's folder, each as `NAME.sock`.
pub const DOORS: [&str; 3] = ["guard", "engine", "files"];
/// The guard inside waits ten seconds for a next resident program, then leaves nothing running by itself, and lets go last of whom it
/// spoke with. Whoever waits for it knocks again and again.
pub const ALONE: Duration = Duration::from_secs(5);

/// What is asked of a holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// A capsule like this: the one that is there, if it is one; else a new one in its place. No programs: those that the holder was
    /// started with, as with the system's service, of which nobody else may name any.
    Open {
        wish: Wish,
        programs: Option<Programs>,
    },
    /// Stop jobs where they stand; all of them: also whatever starts until a thaw.
    Freeze {
        jobs: Jobs,
    },
    Thaw {
        jobs: Jobs,
    },
    /// What it takes now.
    Use,
    /// Try the wall from inside; a job may reach these, `host:port`.
    Probe {
        internet: Vec<String>,
    },
    /// End the capsule and everything in it; without one, clear away what an earlier one has left.
    End,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum Say {
    Done,
    Use(Used),
    Seen { seen: Seen },
    Failed(Fault),
}

/// What came of a try of the wall.
pub type Seen = BTreeMap<Sight, Saw>;

/// Where a holder is spoken with.
pub fn socket(run: &Path) -> PathBuf {
    run.join("hold.sock")
}

#[cfg(unix)]
pub use client::Holder;
#[cfg(not(unix))]
pub use nobody::Holder;

/// No capsule lives here yet.
#[cfg(not(unix))]
mod nobody {
    use tokio::process::Command;

    use super::*;

    #[derive(Debug, Clone)]
    pub struct Holder;

    impl Holder {
        pub fn at(_run: &Path) -> Self {
            Self
        }

        /// # Errors
        /// `Elsewhere`, always.
        pub async fn open(
            &self,
            _wish: &Wish,
            _programs: Option<&Programs>,
            _starts: impl Fn() -> Option<Command>,
        ) -> Result<(), Fault> {
            Err(Fault::Elsewhere)
        }

        /// Nothing is there to end.
        ///
        /// # Errors
        /// None.
        pub async fn end(&self, _sweeps: impl FnOnce() -> Option<Command>) -> Result<(), Fault> {
            Ok(())
        }

        /// # Errors
        /// `Elsewhere`, always.
        pub async fn freeze(&self, _jobs: &Jobs) -> Result<(), Fault> {
            Err(Fault::Elsewhere)
        }

        /// # Errors
        /// `Elsewhere`, always.
        pub async fn thaw(&self, _jobs: &Jobs) -> Result<(), Fault> {
            Err(Fault::Elsewhere)
        }

        /// # Errors
        /// `Elsewhere`, always.
        pub async fn used(&self) -> Result<Used, Fault> {
            Err(Fault::Elsewhere)
        }

        /// # Errors
        /// `Elsewhere`, always.
        pub async fn probe(&self, _internet: Vec<String>) -> Result<Seen, Fault> {
            Err(Fault::Elsewhere)
        }

        /// Whether anybody is there.
        pub async fn is_there(&self) -> bool {
            false
        }
    }
}

#[cfg(unix)]
mod client {
    use std::io;

    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::UnixStream;
    use tokio::process::{Child, Command};
    use tokio::time::{Instant, sleep, timeout};

    use super::*;

    /// A capsule is started within it, or not at all.
    const OPENED_WITHIN: Duration = Duration::from_secs(30);
    /// The kernel does it at once; a holder that is just opening another capsule hears it late.
    const FROZEN_WITHIN: Duration = Duration::from_secs(2);
    const ENDED_WITHIN: Duration = Duration::from_secs(15);
    /// Some of whom it asks do not answer.
    const PROBED_WITHIN: Duration = Duration::from_secs(8);
    /// One that is just ending holds its folder for as long.
    const REACHED_WITHIN: Duration = Duration::from_secs(10);
    const TRIES: usize = 3;
    /// An answer is a line, and no longer than this.
    const LONGEST: u64 = 64 * 1024;

    /// A holder by its folder. Nobody may be there.
    #[derive(Debug, Clone)]
    pub struct Holder {
        run: PathBuf,
    }

    impl Holder {
        pub fn at(run: &Path) -> Self {
            Self { run: run.to_owned() }
        }

        /// Has it open a capsule; where there is no holder, by starting one with that command.
        ///
        /// # Errors
        /// Why there is no capsule.
        pub async fn open(
            &self,
            wish: &Wish,
            programs: Option<&Programs>,
            starts: impl Fn() -> Option<Command>,
        ) -> Result<(), Fault> {
            let ask = Ask::Open { wish: wish.clone(), programs: programs.cloned() };
            for again in 0..TRIES {
                if again > 1 {
                    // One of another version takes this word at least.
                    let _ = self.ask(&Ask::End).await;
                }
                let stream = self.reach(&starts).await?;
                // One that was just about to end has said nothing.
                if let Ok(said) = timeout(OPENED_WITHIN, answer(stream, &ask)).await.map_err(|_| silent())? {
                    return done(said);
                }
            }
            Err(silent())
        }

        /// Ends the capsule; where nobody holds one, clears away with that command what one has left that was ended by force.
        ///
        /// # Errors
        /// What is left.
        pub async fn end(&self, sweeps: impl FnOnce() -> Option<Command>) -> Result<(), Fault> {
            if let Ok(stream) = self.connect().await {
                return done(self.asked(stream, &Ask::End, ENDED_WITHIN).await?);
            }
            let Some(mut sweep) = sweeps() else { return Ok(()) };
            match timeout(ENDED_WITHIN, sweep.kill_on_drop(true).status()).await {
                Ok(Ok(ended)) if ended.success() => Ok(()),
                Ok(Ok(ended)) => Err(Fault::at("sweep", ended)),
                Ok(Err(error)) => Err(Fault::at("sweep", error)),
                Err(_) => Err(Fault::at("sweep", "it does not end")),
            }
        }

        /// # Errors
        /// What the kernel says, or that nobody is there.
        pub async fn freeze(&self, jobs: &Jobs) -> Result<(), Fault> {
            done(self.ask(&Ask::Freeze { jobs: jobs.clone() }).await?)
        }

        /// # Errors
        /// As above.
        pub async fn thaw(&self, jobs: &Jobs) -> Result<(), Fault> {
            done(self.ask(&Ask::Thaw { jobs: jobs.clone() }).await?)
        }

        /// # Errors
        /// As above.
        pub async fn used(&self) -> Result<Used, Fault> {
            match self.ask(&Ask::Use).await? {
                Say::Use(used) => Ok(used),
                Say::Failed(fault) => Err(fault),
                Say::Done | Say::Seen { .. } => Err(senseless()),
            }
        }

        /// What can be seen and reached from inside, tried now.
        ///
        /// # Errors
        /// As above.
        pub async fn probe(&self, internet: Vec<String>) -> Result<Seen, Fault> {
            let stream = self.connect().await.map_err(|error| Fault::at("holder", error))?;
            match self.asked(stream, &Ask::Probe { internet }, PROBED_WITHIN).await? {
                Say::Seen { seen } => Ok(seen),
                Say::Failed(fault) => Err(fault),
                Say::Done | Say::Use(_) => Err(senseless()),
            }
        }

        /// Whether anybody is there.
        pub async fn is_there(&self) -> bool {
            self.connect().await.is_ok()
        }

        async fn ask(&self, ask: &Ask) -> Result<Say, Fault> {
            let stream = self.connect().await.map_err(|error| Fault::at("holder", error))?;
            self.asked(stream, ask, FROZEN_WITHIN).await
        }

        async fn asked(&self, stream: UnixStream, ask: &Ask, within: Duration) -> Result<Say, Fault> {
            let wrong = |error: io::Error| Fault::at("holder", error);
            timeout(within, answer(stream, ask)).await.map_err(|_| silent())?.map_err(wrong)
        }

        async fn connect(&self) -> io::Result<UnixStream> {
            let stream = UnixStream::connect(socket(&self.run)).await?;
            let peer = stream.peer_cred()?.uid();
            // The system's service is root's.
            let ours = peer == rustix::process::geteuid().as_raw() || peer == 0;
            if ours { Ok(stream) } else { Err(io::ErrorKind::PermissionDenied.into()) }
        }

        async fn reach(&self, starts: &impl Fn() -> Option<Command>) -> Result<UnixStream, Fault> {
            let deadline = Instant::now() + REACHED_WITHIN;
            let mut started: Option<Child> = None;
            loop {
                if let Ok(stream) = self.connect().await {
                    if let Some(mut child) = started {
                        tokio::spawn(async move { child.wait().await });
                    }
                    return Ok(stream);
                }
                if Instant::now() >= deadline {
                    return Err(silent());
                }
                // One that ended at once has met another that was about to end.
                if started.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None))) {
                    let nobody = || Fault::at("holder", "nobody is there");
                    let mut command = starts().ok_or_else(nobody)?;
                    started = Some(command.spawn().map_err(|error| Fault::at("holder", error))?);
                }
                sleep(Duration::from_millis(5)).await;
            }
        }
    }

    async fn answer(mut stream: UnixStream, ask: &Ask) -> io::Result<Say> {
        let mut line = serde_json::to_vec(ask)?;
        line.push(b'\n');
        stream.write_all(&line).await?;
        let mut said = String::new();
        BufReader::new(stream.take(LONGEST)).read_line(&mut said).await?;
        Ok(serde_json::from_str(&said)?)
    }

    fn senseless() -> Fault {
        Fault::at("holder", "its answer makes no sense")
    }

    fn silent() -> Fault {
        Fault::at("holder", "it does not answer")
    }

    fn done(said: Say) -> Result<(), Fault> {
        match said {
            Say::Failed(fault) => Err(fault),
            Say::Done | Say::Use(_) | Say::Seen { .. } => Ok(()),
        }
    }
}
