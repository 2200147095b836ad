//! The holder's side: starts the moat and what belongs to it, in the order in which nothing is ever without its wall.

use std::ffi::OsString;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::network;
use super::said::pass_on;
use super::share;
use super::talk::Talk;
use super::way;
use crate::fault::Fault;
use crate::filter::Wall;
use crate::linux::control::{Ask, Groups, Plan, Say};
use crate::linux::disk::Disk;
use crate::linux::disk::filled::Filled;
use crate::linux::groups::delegation;
use crate::linux::ids;
use crate::linux::tools::OWN_PROGRAM;
use crate::place::{Around, Capsule, Ended, Hold, Jobs, Place, Spec, Used, Way};

/// A moat whose capsule did not begin.
const ENDS_WITHIN: Duration = Duration::from_secs(15);

/// In the run folder: which control group an ordinary user's holder has found, for whoever clears away after it.
const GROUP: &str = "group";

/// Namespaces on this PC.
#[derive(Debug, Clone)]
pub struct Here {
    pub way: Way,
    /// Where this program lies. The moat and the capsule's first process are it again, also where another lies there by now.
    pub program: PathBuf,
    /// A folder for what lives as long as a capsule: private, not in memory of others.
    pub run: PathBuf,
    /// The control group that was delegated to an ordinary user, below each hierarchy's top; none: see [`Here::settle`].
    pub delegated: Option<PathBuf>,
}

#[async_trait]
impl Place for Here {
    async fn start(&self, spec: &Spec) -> Result<Capsule, Fault> {
        way::possible(self.way)?;
        let groups = Groups::of(&spec.name, self.delegated.as_deref())?;
        if groups.populated() {
            return Err(Fault::Busy);
        }
        let disk = Disk::open(self.way, &spec.folder, spec.wish.disk)?;
        groups
            .make(Some(spec.wish.memory.unwrap_or_else(share::of_memory)))
            .map_err(|error| Fault::at("control groups", error))?;
        let begun = self.begin(spec, groups, disk).await;
        if begun.is_err() {
            // Nothing of it is left.
            let _ = self.sweep(&spec.name).await;
        }
        begun
    }

    async fn sweep(&self, name: &str) -> Result<(), Fault> {
        let Some(groups) = self.left(name)? else { return Ok(()) };
        let (mut talk, _stream, _moat, _) = self.moat().await?;
        talk.ask(&Ask::Sweep(groups)).await?;
        talk.done("sweep").await
    }
}

impl Here {
    /// An ordinary user's holder that was given no control group finds one of its own, once.
    ///
    /// # Errors
    /// What is missing for one, or what an earlier one has left.
    pub async fn settle(&mut self, name: &str) -> Result<(), Fault> {
        if self.way == Way::Service || self.delegated.is_some() {
            return Ok(());
        }
        // What an earlier holder has left lies in that one's.
        self.sweep(name).await?;
        let group = delegation::of_user(name).await?;
        fs::create_dir_all(&self.run)
            .and_then(|()| fs::write(self.run.join(GROUP), group.as_os_str().as_bytes()))
            .map_err(|error| Fault::at("run folder", error))?;
        self.delegated = Some(group);
        Ok(())
    }

    /// The groups of a capsule of that name that are still there.
    fn left(&self, name: &str) -> Result<Option<Groups>, Fault> {
        let noted = || fs::read(self.run.join(GROUP)).ok().map(|group| OsString::from_vec(group).into());
        let delegated = self.delegated.clone().or_else(noted);
        let found_one = self.delegated.is_some() || self.way == Way::Service;
        match Groups::of(name, delegated.as_deref()) {
            Ok(groups) => Ok(groups.above.iter().any(|above| above.exists()).then_some(groups)),
            // It has gone with the scope that it was, or there never was one.
            Err(_) if !found_one => Ok(None),
            Err(missing) => Err(missing.into()),
        }
    }

    async fn begin(&self, spec: &Spec, groups: Groups, disk: Disk) -> Result<Capsule, Fault> {
        let root = self.run.join("root");
        fs::create_dir_all(&root).map_err(|error| Fault::at("run folder", error))?;
        let (mut talk, stream, mut moat, pid) = self.moat().await?;
        let network = network::start(self.way, pid, &self.run).await?;
        let wall = Wall { own: network::own_networks(), granted: spec.wish.granted.clone() };
        let plan = Plan {
            root,
            data: disk.path().to_owned(),
            agent: spec.programs.agent.clone(),
            rules: wall.rules(),
            beside: spec.programs.beside.clone(),
            led: spec.wish.led.clone(),
            rate: spec.wish.rate,
            groups: groups.clone(),
        };
        talk.ask(&Ask::Build(Box::new(plan))).await?;
        let inside = talk.hear("capsule", |say| matches!(say, Say::Inside).then_some(())).await;
        if let Err(fault) = inside {
            let _ = timeout(ENDS_WITHIN, moat.wait()).await;
            return Err(fault);
        }
        let (here, name, granted) = (self.clone(), spec.name.clone(), spec.wish.granted.clone());
        let measured = (here.clone(), disk.path().to_owned());
        let filled = disk.size().map(|size| {
            Filled::of(size, move || {
                let (here, folder) = measured.clone();
                async move { here.measured(&folder).await }
            })
        });
        let hold = Held { filled, here, name, talk, moat, network, wall, granted, groups, disk };
        Ok(Capsule { stream: Box::new(stream), hold: Box::new(hold) })
    }

    /// What a capsule's folder holds, in bytes.
    pub(crate) async fn measured(&self, folder: &Path) -> Result<u64, Fault> {
        let (mut talk, _stream, _moat, _) = self.moat().await?;
        talk.ask(&Ask::Measure { folder: folder.to_owned() }).await?;
        talk.hear("measure", |say| if let Say::Measured { bytes } = say { Some(*bytes) } else { None }).await
    }

    /// The process with its ids mapped, its number, what is spoken with it, and the capsule's stream, whose other end it has.
    async fn moat(&self) -> Result<(Talk, UnixStream, Child, i32), Fault> {
        let wrong = |error: std::io::Error| Fault::at("moat", error);
        let pair = || -> std::io::Result<(UnixStream, OwnedFd)> {
            let (ours, theirs) = StdStream::pair()?;
            ours.set_nonblocking(true)?;
            Ok((UnixStream::from_std(ours)?, theirs.into()))
        };
        let (control, theirs) = pair().map_err(wrong)?;
        let (stream, inner) = pair().map_err(wrong)?;
        let mut moat = Command::new(OWN_PROGRAM)
            .arg("moat")
            .env_clear()
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::from(inner))
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(wrong)?;
        if let Some(said) = moat.stderr.take() {
            tokio::spawn(pass_on(said));
        }
        let mut talk = Talk::over(control);
        talk.unshared().await?;
        let pid = moat.id().ok_or_else(|| Fault::at("moat", "it ended at once"))? as i32;
        ids::map(self.way, pid)?;
        Ok((talk, stream, moat, pid))
    }
}

struct Held {
    here: Here,
    name: String,
    talk: Talk,
    moat: Child,
    /// Without a way out there is no capsule: a wall that nobody watches is none.
    network: Child,
    wall: Wall,
    granted: Vec<std::net::SocketAddr>,
    groups: Groups,
    /// Of a folder, which nothing else keeps to its size.
    filled: Option<Filled>,
    disk: Disk,
}

impl Held {
    async fn done(&mut self, ask: Ask) -> Result<(), Fault> {
        self.talk.ask(&ask).await?;
        self.talk.done("moat").await
    }

    /// This PC's addresses change with the networks that it is in.
    async fn walled(&mut self) -> Result<(), Fault> {
        let wall = Wall { own: network::own_networks(), granted: self.granted.clone() };
        if wall == self.wall {
            return Ok(());
        }
        self.done(Ask::Wall { rules: wall.rules() }).await?;
        self.wall = wall;
        Ok(())
    }
}

#[async_trait]
impl Hold for Held {
    async fn freeze(&mut self, jobs: &Jobs) -> Result<(), Fault> {
        self.done(Ask::Freeze { jobs: jobs.clone() }).await
    }

    async fn thaw(&mut self, jobs: &Jobs) -> Result<(), Fault> {
        self.done(Ask::Thaw { jobs: jobs.clone() }).await
    }

    async fn ended(&mut self) -> Ended {
        let filled = &mut self.filled;
        let over = async move {
            match filled {
                Some(filled) => filled.over().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = self.moat.wait() => Ended { why: format!("the moat ended: {ended:?}"), full: false },
            ended = self.network.wait() => Ended { why: format!("its way out ended: {ended:?}"), full: false },
            () = over => Ended { why: Fault::Full.to_string(), full: true },
        }
    }

    async fn look_again(&mut self) -> Result<(), Fault> {
        self.walled().await
    }

    async fn end(mut self: Box<Self>, within: Duration) -> Result<(), Fault> {
        let asked = timeout(within, self.done(Ask::End)).await;
        for child in [&mut self.moat, &mut self.network] {
            let _ = child.start_kill();
            let _ = timeout(within, child.wait()).await;
        }
        match asked {
            Ok(Ok(())) => Ok(()),
            // It was ended by force, or does not answer: another clears away.
            Ok(Err(_)) | Err(_) => self.here.sweep(&self.name).await,
        }
    }

    async fn used(&mut self) -> Result<Used, Fault> {
        self.talk.ask(&Ask::Count).await?;
        let counted = |say: &Say| if let Say::Counted(counted) = say { Some(*counted) } else { None };
        let counted = self.talk.hear("moat", counted).await?;
        Ok(Used {
            counted,
            disk: self.filled.as_ref().map_or_else(|| self.disk.taken(), Filled::taken),
            memory: self.groups.memory().unwrap_or_default(),
            jobs: self.groups.jobs().unwrap_or_default(),
        })
    }

    fn around(&self) -> Around {
        network::around()
    }
}
