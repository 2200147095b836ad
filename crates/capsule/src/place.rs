//! Where a capsule can live.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::fault::Fault;

/// What whoever lends this PC wants of a capsule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// What its disk may hold, in bytes; none: as it is, at first a third of what the drive has free, and at most 60 GB.
    pub disk: Option<u64>,
    /// Memory that all of it together may take, in bytes; none: all but a quarter of this PC's, and but 2 GiB at least.
    pub memory: Option<u64>,
    /// The owner's link, in bits per second each way; none: no cap.
    pub rate: Option<u64>,
    /// Whom it may reach although the filter closes all networks of their kind: a region's server in a private network.
    pub granted: Vec<SocketAddr>,
    /// Ports of this PC's loopback that the agent finds on its own: where a rehearsal's servers are. Nothing else ever leads back.
    pub led: Vec<u16>,
}

/// What is brought into a capsule that is opened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Programs {
    /// The Nomad program, outside.
    pub agent: Option<PathBuf>,
    /// Small files that are laid beside the agent, by their names there.
    pub beside: BTreeMap<PathBuf, PathBuf>,
}

/// All that a capsule is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Tells it from others of this PC: ASCII letters, digits and `-`.
    pub name: String,
    /// Where its disk lies, on the drive that the owner chose.
    pub folder: PathBuf,
    pub programs: Programs,
    pub wish: Wish,
}

/// As whom a capsule is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// By root, as a system service: a disk image, a control group of its own making.
    Service,
    /// By an ordinary user: `newuidmap`, a delegated control group, a folder.
    User,
}

/// A byte stream into a capsule.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A capsule that lives.
pub struct Capsule {
    /// Its end is the end of the first process inside. Others may still stand frozen then: the hold ends them.
    pub stream: Box<dyn Stream>,
    pub hold: Box<dyn Hold>,
}

/// A place for capsules: namespaces on Linux, a distribution on Windows.
#[async_trait]
pub trait Place: Send + Sync {
    /// Starts one. When this returns its first process runs and listens to the stream; the engine may be coming up.
    ///
    /// # Errors
    /// What is missing here, or what failed; nothing of it is left then.
    async fn start(&self, spec: &Spec) -> Result<Capsule, Fault>;

    /// Clears away what a capsule of that name has left that was ended by force: frozen tasks, control groups.
    ///
    /// # Errors
    /// What could not be removed.
    async fn sweep(&self, name: &str) -> Result<(), Fault>;
}

/// Whom a freeze or a thaw is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Jobs {
    /// Whoever runs, and whoever starts meanwhile.
    All,
    /// Those of one allocation.
    Of(Vec<Container>),
}

/// A container by its engine's id, which is its control group's name too: 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Container(String);

impl Container {
    pub fn id(&self) -> &str {
        &self.0
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a container's id has 64 hexadecimal digits")]
pub struct NoContainer;

impl FromStr for Container {
    type Err = NoContainer;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        let is_id = id.len() == 64 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_id { Ok(Self(id.to_owned())) } else { Err(NoContainer) }
    }
}

impl TryFrom<String> for Container {
    type Error = NoContainer;

    fn try_from(id: String) -> Result<Self, Self::Error> {
        id.parse()
    }
}

impl From<Container> for String {
    fn from(container: Container) -> Self {
        container.0
    }
}

/// How a capsule ended, seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub why: String,
    /// It had to: its disk held more than its size.
    pub full: bool,
}

/// The hold on a capsule. Dropping it ends the capsule.
#[async_trait]
pub trait Hold: Send {
    /// Stops jobs where they stand; agent and engine go on. The engine's start, stop and exec hang meanwhile.
    ///
    /// # Errors
    /// What the kernel says, or that one of those who are named is not there.
    async fn freeze(&mut self, jobs: &Jobs) -> Result<(), Fault>;

    /// Lets them go on.
    ///
    /// # Errors
    /// What the kernel says.
    async fn thaw(&mut self, jobs: &Jobs) -> Result<(), Fault>;

    /// Waits until the capsule has ended by itself; [`Hold::end`] then clears away after it.
    async fn ended(&mut self) -> Ended;

    /// Looks again what of this PC the wall has to keep from the capsule: its addresses change with the networks that it is in.
    ///
    /// # Errors
    /// What the filter says; the wall before stands.
    async fn look_again(&mut self) -> Result<(), Fault>;

    /// Ends it, and everything inside with it; returns when nothing of it is left.
    ///
    /// # Errors
    /// What is left after that time.
    async fn end(self: Box<Self>, within: Duration) -> Result<(), Fault>;

    /// What it takes now, and what the wall has let through and refused until now.
    ///
    /// # Errors
    /// What the filter says instead.
    async fn used(&mut self) -> Result<Used, Fault>;

    /// Where in this PC's networks it stands.
    fn around(&self) -> Around;
}

/// What whoever tries the wall from inside cannot know by himself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Around {
    /// This PC's own addresses.
    pub this_pc: Vec<Ipv4Addr>,
    /// Others in its network.
    pub home: Vec<Ipv4Addr>,
    /// `host:port` of whom a job may reach.
    pub internet: Vec<String>,
}

/// What a capsule takes of this PC now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Used {
    pub counted: Counted,
    /// Bytes that its disk holds, and how many it may hold; none where a folder among the owner's was not measured yet.
    pub disk: Option<(u64, u64)>,
    /// Bytes of memory.
    pub memory: u64,
    /// Processes of all jobs.
    #[serde(default)]
    pub jobs: u64,
}

/// Bytes and packets at the moat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counted {
    /// Bytes from the capsule to the internet.
    pub sent: u64,
    /// Bytes from the internet.
    pub received: u64,
    /// Packets that were refused.
    pub refused: u64,
}
