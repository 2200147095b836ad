//! Takes over what the agent and its jobs write into files of their own.
//!
//! Each foreign log is a series of files, of which the last is being written. What has been read is appended to a
//! stream of ours, and how far that went is saved before the stream's file is closed and after a new one is begun; so a
//! restart cuts the stream's open file back to what is known and reads on, and no line is lost or doubled.

mod memory;
mod series;
mod stream;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::Limits;
use crate::names::{Clock, Names, object_part};
use crate::platform::Folder;
use crate::redact::Redactor;
use crate::roll::Roll;
use memory::Memory;
use stream::Stream;

/// More streams of one allocation are not taken over: a job can make files without end.
const MAX_STREAMS: usize = 64;
const AGENT: &str = "agent";

/// Where the foreign logs lie.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The folder of the agent's `client.log` and its predecessors, `client-<unix nanoseconds>.log`.
    pub agent: PathBuf,
    /// Nomad's allocations: `ALLOC/alloc/logs/TASK.{stdout,stderr}.N` lie below it.
    pub allocations: PathBuf,
}

pub(crate) struct Follow {
    sources: Sources,
    kit: Kit,
    memory: Memory,
    streams: BTreeMap<String, Stream>,
}

/// What every stream is made of.
struct Kit {
    logs: PathBuf,
    names: Arc<Names>,
    limits: Limits,
    clock: Clock,
}

impl Follow {
    pub(crate) fn new(
        sources: Sources,
        logs: PathBuf,
        names: Arc<Names>,
        limits: Limits,
        clock: Clock,
    ) -> Self {
        let memory = Memory::load(logs.join("follow.json"));
        Self { sources, kit: Kit { logs, names, limits, clock }, memory, streams: BTreeMap::new() }
    }

    /// Reads what is new. True when there is more than one turn's worth.
    pub(crate) fn poll(&mut self) -> io::Result<bool> {
        let mut result = self.poll_agent();
        let mut alive = BTreeSet::new();
        for (allocation, folder) in self.allocations() {
            for (file, numbers) in series::job_series(&folder).into_iter().take(MAX_STREAMS) {
                let name = format!("jobs/{allocation}/{}", object_part(&file));
                result = worse(result, self.poll_job(&name, &folder, &file, &numbers));
                alive.insert(name);
            }
        }
        for name in self.gone(&alive) {
            result = worse(result, self.end(&name).map(|()| false));
        }
        result = worse(result, self.close_old().map(|()| false));
        worse(result, self.memory.save().map(|()| false))
    }

    /// Closes every stream's open file.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        let mut result = Ok(());
        for (name, stream) in &mut self.streams {
            result = result.and(stream.close(name, &mut self.memory));
        }
        result
    }

    fn poll_agent(&mut self) -> io::Result<bool> {
        let Ok(folder) = Folder::open(&self.sources.agent) else { return Ok(false) };
        let stream = match self.streams.entry(AGENT.to_owned()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                new.insert(self.kit.stream(AGENT, Some(Redactor::of_this_pc()), &mut self.memory)?)
            }
        };
        stream.poll_agent(AGENT, &folder, &mut self.memory)
    }

    fn poll_job(&mut self, name: &str, folder: &Folder, log: &str, numbers: &[u64]) -> io::Result<bool> {
        let stream = match self.streams.entry(name.to_owned()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(self.kit.stream(name, None, &mut self.memory)?),
        };
        stream.poll_job(name, folder, log, numbers, &mut self.memory)
    }

    /// The allocations that have logs.
    fn allocations(&self) -> Vec<(String, Folder)> {
        let Ok(root) = Folder::open(&self.sources.allocations) else { return Vec::new() };
        let is_id = |name: &String| {
            name.len() == 36
                && name
                    .bytes()
                    .all(|byte| byte == b'-' || byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        };
        let logs = |id: &str| root.folder(id)?.folder("alloc")?.folder("logs");
        let ids = root.names().unwrap_or_default().into_iter().filter(is_id);
        ids.filter_map(|id| logs(&id).ok().map(|folder| (id, folder))).collect()
    }

    /// Streams of jobs whose files are no longer there, of this life or an earlier one.
    fn gone(&self, alive: &BTreeSet<String>) -> Vec<String> {
        let known: BTreeSet<_> = self.memory.names().chain(self.streams.keys()).cloned().collect();
        known.into_iter().filter(|name| name != AGENT && !alive.contains(name)).collect()
    }

    /// Reads the last of a file that is deleted but still held, and closes the stream for good.
    fn end(&mut self, name: &str) -> io::Result<()> {
        if self.memory.get(name).is_some() && !self.streams.contains_key(name) {
            // Its source went while this program did not run: what was copied beyond the mark cannot be read again.
            self.kit.roll(name).close()?;
        } else if let Some(stream) = self.streams.get_mut(name) {
            stream.finish(name, &mut self.memory)?;
        }
        self.streams.remove(name);
        self.memory.forget(name);
        Ok(())
    }

    fn close_old(&mut self) -> io::Result<()> {
        let now = self.kit.clock.now();
        let mut result = Ok(());
        for (name, stream) in self.streams.iter_mut().filter(|(_, stream)| stream.is_old(now)) {
            result = result.and(stream.close(name, &mut self.memory));
        }
        result
    }
}

impl Kit {
    fn stream(&self, name: &str, redactor: Option<Redactor>, memory: &mut Memory) -> io::Result<Stream> {
        Stream::new(name, self.roll(name), redactor, self.clock.clone(), memory)
    }

    fn roll(&self, name: &str) -> Roll {
        Roll::new(self.logs.join(name), self.names.clone(), self.limits)
    }
}

/// Goes on with the others, but tells the first failure.
fn worse(first: io::Result<bool>, second: io::Result<bool>) -> io::Result<bool> {
    match (first, second) {
        (Ok(a), Ok(b)) => Ok(a || b),
        (Err(error), _) | (Ok(_), Err(error)) => Err(error),
    }
}
