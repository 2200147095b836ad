//! Takes over what the agent and its jobs write into files of their own.
//!
//! Each foreign log is a series of files, of which the last is being written. What has been read is appended to a
//! stream of ours, and how far that went is saved before the stream's file is closed and after a new one is begun; so a
//! restart cuts the stream's open file back to what is known and reads on, and no line is lost or doubled.
//!
//! They lie in folders of this PC, or in a capsule beyond a door. Where nobody answers there, nothing is known to be gone: all stays
//! as it is, and whoever answers anew is asked for each log by its mark, as after a restart of ours.
//!
//! A job may write whatever it likes. So everything has a limit: bytes in a turn and in an hour, logs at a time and new
//! ones in an hour, entries of a folder. What is left out is counted, and said in the stream where it is missing.

mod allocations;
mod gap;
mod memory;
mod series;
mod share;
mod stream;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ionet_foreign::{Answered, Door, Root, Source, Unheard};
use ionet_redact::Redactor;

use crate::Limits;
use crate::board::Board;
use crate::looks::Looks;
use crate::names::{Clock, Names, object_part};
use crate::roll::Roll;
use allocations::Allocations;
use memory::Memory;
use share::{Hourly, Turn};
use stream::{Came, Stream};

pub(crate) use share::Stop;

const AGENT: &str = "agent";
/// Streams of all jobs together.
const MOST_STREAMS: usize = 256;
/// New streams of one allocation in an hour.
const MOST_NEW_STREAMS: u64 = 128;

/// Where the foreign logs lie.
#[derive(Debug, Clone)]
pub enum Sources {
    /// In folders of this PC.
    Here {
        /// The folder of the agent's `client.log` and its predecessors, `client-<unix nanoseconds>.log`.
        agent: PathBuf,
        /// Nomad's allocations: `ALLOC/alloc/logs/TASK.{stdout,stderr}.N` lie below it.
        allocations: PathBuf,
    },
    /// The same two in a capsule, for as long as it lives.
    Beyond(Door),
}

pub(crate) struct Follow {
    /// Somebody has to answer here first.
    door: Option<Door>,
    agent: Source,
    allocations: Allocations,
    kit: Kit,
    streams: BTreeMap<String, Stream>,
    newcomers: BTreeMap<String, Hourly>,
    /// Where the next turn begins, so that each log has its turn.
    next: String,
    /// Allocations of which it was said that they have too many logs.
    crowded: BTreeSet<String>,
}

/// What every stream is made of and writes down.
pub(crate) struct Kit {
    logs: PathBuf,
    names: Arc<Names>,
    limits: Limits,
    clock: Clock,
    board: Arc<Board>,
    memory: Memory,
    jobs_hourly: Hourly,
}

/// What a turn of reading came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Followed {
    /// There is more than one turn's worth.
    pub(crate) more: bool,
    /// Something was there.
    pub(crate) news: bool,
}

impl Follow {
    pub(crate) fn new(sources: Sources, kit: Kit, looks: Looks) -> Self {
        kit.close_unmarked();
        let (door, agent, allocations) = match sources {
            Sources::Here { agent, allocations } => (None, Source::Here(agent), Source::Here(allocations)),
            Sources::Beyond(door) => {
                let beyond = |root| Source::Beyond(door.clone(), root);
                (Some(door.clone()), beyond(Root::Agent), beyond(Root::Allocations))
            }
        };
        Self {
            door,
            agent,
            allocations: Allocations::new(allocations, looks),
            kit,
            streams: BTreeMap::new(),
            newcomers: BTreeMap::new(),
            next: String::new(),
            crowded: BTreeSet::new(),
        }
    }

    /// Reads what is new, for one turn. Where nobody answers there is nothing to read, and all stays as it is.
    pub(crate) fn poll(&mut self, stop: &Stop) -> io::Result<Followed> {
        let mut turn = Turn::new(stop);
        let read = if self.is_answered() { self.read(&mut turn) } else { self.take_up() };
        let kept = self.close_old().and(self.close_largest()).and(self.kit.memory.save());
        let came = worse(read, kept.map(|()| Came::ToTheEnd))?;
        let heard = self.door.as_ref().is_none_or(Door::is_heard);
        Ok(Followed { more: came == Came::Far && heard, news: turn.news })
    }

    /// What an earlier life left open gets as old as anything else, though nobody comes who could go on with it.
    fn take_up(&mut self) -> io::Result<Came> {
        let known: Vec<_> = self.kit.memory.names().cloned().collect();
        for name in known {
            if let Entry::Vacant(new) = self.streams.entry(name) {
                let stream = self.kit.stream(new.key())?;
                new.insert(stream);
            }
        }
        Ok(Came::ToTheEnd)
    }

    /// Whoever answers anew has nothing open; each log goes on by its mark.
    fn is_answered(&mut self) -> bool {
        let answered = self.door.as_ref().map_or(Answered::AsBefore, Door::knock);
        if answered == Answered::Anew {
            self.allocations.let_go();
            self.streams.values_mut().for_each(Stream::let_go);
        }
        answered != Answered::Nobody
    }

    /// One log that fails does not keep the others back.
    fn read(&mut self, turn: &mut Turn<'_>) -> io::Result<Came> {
        let mut result = worse(Ok(Came::ToTheEnd), self.poll_agent(turn));
        if self.allocations.look().is_err() {
            return worse(result, Ok(Came::Far));
        }
        self.say_crowded();
        let logs = self.in_turn();
        for (name, id, log) in &logs {
            if turn.is_over() {
                self.next.clone_from(name);
                result = worse(result, Ok(Came::Far));
                break;
            }
            let came = self.poll_job(name, id, log, turn);
            if came.as_ref().is_err_and(|error| Unheard::of(error) == Some(Unheard::Away)) {
                self.next.clone_from(name);
                return worse(result, came);
            }
            result = worse(result, came);
        }
        let alive: BTreeSet<_> = logs.into_iter().map(|(name, _, _)| name).collect();
        for name in self.gone(&alive) {
            result = worse(result, self.end(&name, turn));
        }
        result
    }

    /// Closes every stream's open file.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        let mut result = Ok(());
        for stream in self.streams.values_mut() {
            result = result.and(stream.close(&mut self.kit));
        }
        result
    }

    fn poll_agent(&mut self, turn: &mut Turn<'_>) -> io::Result<Came> {
        let Ok(folder) = self.agent.open() else { return Ok(Came::ToTheEnd) };
        let stream = match self.streams.entry(AGENT.to_owned()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(self.kit.stream(AGENT)?),
        };
        stream.poll_agent(&folder, &mut self.kit, turn)
    }

    fn poll_job(&mut self, name: &str, id: &str, log: &str, turn: &mut Turn<'_>) -> io::Result<Came> {
        let Some((folder, numbers)) = self.allocations.files(id, log) else { return Ok(Came::ToTheEnd) };
        if !self.streams.contains_key(name) {
            let now = self.kit.clock.elapsed();
            let newcomers = || Hourly::new(MOST_NEW_STREAMS, now);
            let hourly = self.newcomers.entry(id.to_owned()).or_insert_with(newcomers);
            if self.streams.len() > MOST_STREAMS || hourly.left(now) == 0 {
                return Ok(Came::ToTheEnd);
            }
            hourly.take(1);
            self.streams.insert(name.to_owned(), self.kit.stream(name)?);
        }
        let Some(stream) = self.streams.get_mut(name) else { return Ok(Came::ToTheEnd) };
        stream.poll_job(folder, log, numbers, &mut self.kit, turn)
    }

    /// Each log with its stream's name, its allocation and its own name, whose turn it is first.
    fn in_turn(&mut self) -> Vec<(String, String, String)> {
        let logs = self.allocations.logs();
        let mut logs: Vec<_> = logs
            .map(|(id, log)| (format!("jobs/{id}/{}", object_part(log)), id.to_owned(), log.to_owned()))
            .collect();
        logs.sort();
        let first = logs.partition_point(|(name, _, _)| *name < self.next);
        if first < logs.len() {
            logs.rotate_left(first);
        }
        logs
    }

    /// Streams of jobs whose files are no longer there, of this life or an earlier one.
    fn gone(&self, alive: &BTreeSet<String>) -> Vec<String> {
        let known: BTreeSet<_> = self.kit.memory.names().chain(self.streams.keys()).cloned().collect();
        known.into_iter().filter(|name| name != AGENT && !alive.contains(name)).collect()
    }

    /// Reads the last of a file that is deleted but still held, and closes the stream for good.
    fn end(&mut self, name: &str, turn: &mut Turn<'_>) -> io::Result<Came> {
        if let Some(stream) = self.streams.get_mut(name) {
            if stream.finish(&mut self.kit, turn)? == Came::Far {
                return Ok(Came::Far);
            }
        } else {
            // Its source went while this program did not run: what was copied beyond the mark cannot be read again.
            self.kit.roll(name).close()?;
        }
        self.streams.remove(name);
        self.kit.memory.forget(name);
        let now = self.kit.clock.elapsed();
        self.newcomers.retain(|_, hourly| hourly.left(now) < MOST_NEW_STREAMS);
        Ok(Came::ToTheEnd)
    }

    fn close_old(&mut self) -> io::Result<()> {
        let mut result = Ok(());
        for stream in self.streams.values_mut().filter(|stream| stream.is_old()) {
            result = result.and(stream.close(&mut self.kit));
        }
        result
    }

    /// Many open files must not take more of the disk together than their share.
    fn close_largest(&mut self) -> io::Result<()> {
        let mut open: u64 = self.streams.values().map(Stream::open_bytes).sum();
        while open > self.kit.limits.max_total_bytes / 16 {
            let Some(largest) = self.streams.values_mut().max_by_key(|stream| stream.open_bytes()) else {
                break;
            };
            open -= largest.open_bytes();
            largest.close(&mut self.kit)?;
        }
        Ok(())
    }

    fn say_crowded(&mut self) {
        for (id, more) in self.allocations.crowded() {
            if self.crowded.len() < MOST_STREAMS && self.crowded.insert(id.clone()) {
                tracing::warn!(allocation = id, logs = more, "a job has more logs than are taken over");
            }
        }
    }
}

impl Kit {
    pub(crate) fn new(
        logs: PathBuf,
        names: Arc<Names>,
        limits: Limits,
        clock: Clock,
        board: Arc<Board>,
    ) -> Self {
        let memory = Memory::load(logs.join("follow.json"));
        let jobs_hourly = Hourly::new(limits.max_total_bytes / 2, clock.elapsed());
        Self { logs, names, limits, clock, board, memory, jobs_hourly }
    }

    /// What an earlier life took over of jobs and has no mark of: nobody goes on with it, and only what is closed is sent.
    fn close_unmarked(&self) {
        let below = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
        for log in below(&self.logs.join("jobs")).flat_map(|allocation| below(&allocation.path())) {
            let path = log.path();
            let name = path.strip_prefix(&self.logs).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            if self.memory.get(&name).is_none()
                && let Err(error) = self.roll(&name).close()
            {
                tracing::warn!(name, %error, "what an earlier life took over of a job cannot be closed");
            }
        }
    }

    /// What is taken over of one log in an hour.
    fn most_of_one(&self) -> u64 {
        self.limits.max_total_bytes / 8
    }

    /// What may still be taken over this hour, whatever the one log's own share.
    fn share_of(&mut self, name: &str, now: Duration) -> u64 {
        if name == AGENT { u64::MAX } else { self.jobs_hourly.left(now) }
    }

    fn charge(&mut self, name: &str, bytes: u64) {
        if name != AGENT {
            self.jobs_hourly.take(bytes);
        }
    }

    fn stream(&mut self, name: &str) -> io::Result<Stream> {
        let redactor = (name == AGENT).then(|| Redactor::of_this_pc().of_agent());
        Stream::new(name, self.roll(name), redactor, self)
    }

    fn roll(&self, name: &str) -> Roll {
        Roll::new(self.logs.join(name), self.names.clone(), self.clock.clone(), self.limits)
    }
}

/// Goes on with the others, but tells the first failure. What somebody beyond has not said is none: their turn comes again.
fn worse(first: io::Result<Came>, second: io::Result<Came>) -> io::Result<Came> {
    let second = second.or_else(|error| match Unheard::of(&error) {
        Some(Unheard::Away) => Ok(Came::Far),
        Some(Unheard::No) => Ok(Came::ToTheEnd),
        None => Err(error),
    });
    match (first, second) {
        (Ok(Came::ToTheEnd), Ok(Came::ToTheEnd)) => Ok(Came::ToTheEnd),
        (Ok(_), Ok(_)) => Ok(Came::Far),
        (Err(error), _) | (Ok(_), Err(error)) => Err(error),
    }
}
