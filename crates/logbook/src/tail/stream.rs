//! One foreign log on its way into a stream of ours.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::time::SystemTime;

use super::memory::{Mark, Memory};
use super::series::{Head, agent_newest, agent_series};
use crate::names::Clock;
use crate::platform::Folder;
use crate::redact::Redactor;
use crate::roll::Roll;

/// Read at once. A line longer than this is redacted in pieces.
const PIECE: usize = 256 << 10;
/// Read of one log in one turn, so that a loud one leaves the others their time.
const TURN: u64 = 4 << 20;

pub(crate) struct Stream {
    roll: Roll,
    /// `None`: the bytes are passed on as they are.
    redactor: Option<Redactor>,
    clock: Clock,
    mark: Mark,
    /// The file being read. Held, it can be read to its end after it was deleted.
    held: Option<File>,
}

/// How far reading one file came.
#[derive(PartialEq, Eq)]
enum Came {
    ToTheEnd,
    /// This turn is over.
    Far(u64),
}

impl Stream {
    /// With a mark of an earlier life it goes on where that one was; without, a leftover file is closed as it is.
    pub(crate) fn new(
        name: &str,
        mut roll: Roll,
        redactor: Option<Redactor>,
        clock: Clock,
        memory: &mut Memory,
    ) -> io::Result<Self> {
        let mut mark = memory.get(name).cloned().unwrap_or_default();
        let open = if memory.get(name).is_some() { roll.resume(mark.written, clock.now())? } else { 0 };
        if open == 0 {
            roll.close()?;
        }
        if open != mark.written {
            // It was closed just before the end, and the mark could not be saved any more.
            mark.written = open;
            memory.set(name, &mark);
            memory.save()?;
        }
        Ok(Self { roll, redactor, clock, mark, held: None })
    }

    pub(crate) fn is_old(&self, now: SystemTime) -> bool {
        self.roll.is_due(0, now)
    }

    /// A job's files keep their names: `log.N`, then `log.N+1`.
    pub(crate) fn poll_job(
        &mut self,
        name: &str,
        folder: &Folder,
        log: &str,
        numbers: &[u64],
        memory: &mut Memory,
    ) -> io::Result<bool> {
        if self.held.is_some() && !numbers.contains(&self.mark.number) {
            self.read_held(name, true, memory)?;
            self.held = None;
        }
        let last = numbers.last().copied().unwrap_or_default();
        let (mut left, first) = (TURN, self.mark.number);
        for number in numbers.iter().copied().filter(|number| *number >= first) {
            if number != self.mark.number {
                self.begin(Mark { number, head: None, offset: 0, written: self.mark.written });
            }
            if self.held.is_none() {
                // A link or a pipe in a log's place, or a file that went just now.
                let Ok(file) = folder.file(&format!("{log}.{number}")) else { continue };
                self.held = Some(file);
            }
            match self.read(name, number != last, left, memory)? {
                Came::ToTheEnd => {}
                Came::Far(read) if read < left => left -= read,
                Came::Far(_) => return Ok(true),
            }
            if number != last {
                self.held = None;
            }
        }
        Ok(false)
    }

    /// The agent's files are renamed as they age; they are known by how they begin.
    pub(crate) fn poll_agent(
        &mut self,
        name: &str,
        folder: &Folder,
        memory: &mut Memory,
    ) -> io::Result<bool> {
        if let (Some(newest), Some(head)) = (agent_newest(folder), &self.mark.head)
            && head.is_of(&newest)
        {
            self.held = Some(newest);
            return Ok(self.read_turn(name, false, memory)? != Came::ToTheEnd);
        }
        let files = agent_series(folder)?;
        let known = self.mark.head.as_ref().and_then(|head| files.iter().position(|file| head.is_of(file)));
        if known.is_none() && self.held.is_some() {
            self.read_held(name, true, memory)?;
        }
        let count = files.len();
        for (place, file) in files.into_iter().enumerate().skip(known.unwrap_or_default()) {
            let Some(head) = Head::of(&file)? else { continue };
            if Some(place) != known {
                self.begin(Mark { number: 0, head: Some(head), offset: 0, written: self.mark.written });
            }
            self.held = Some(file);
            if self.read_turn(name, place + 1 < count, memory)? != Came::ToTheEnd {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What is still to be had of the file that is held, then the end.
    pub(crate) fn finish(&mut self, name: &str, memory: &mut Memory) -> io::Result<()> {
        self.read_held(name, true, memory)?;
        self.close(name, memory)
    }

    /// The mark is saved on both sides of the close: a restart must not take the new file for the old one.
    pub(crate) fn close(&mut self, name: &str, memory: &mut Memory) -> io::Result<()> {
        if self.mark.written == 0 {
            return self.roll.close();
        }
        memory.set(name, &self.mark);
        memory.save()?;
        self.roll.close()?;
        self.mark.written = 0;
        memory.set(name, &self.mark);
        memory.save()
    }

    fn begin(&mut self, mark: Mark) {
        self.mark = mark;
        self.held = None;
    }

    fn read_held(&mut self, name: &str, complete: bool, memory: &mut Memory) -> io::Result<()> {
        if self.held.is_some() {
            while self.read_turn(name, complete, memory)? != Came::ToTheEnd {}
        }
        Ok(())
    }

    fn read_turn(&mut self, name: &str, complete: bool, memory: &mut Memory) -> io::Result<Came> {
        match self.read(name, complete, TURN, memory)? {
            Came::Far(read) if read < TURN => Ok(Came::ToTheEnd),
            came @ (Came::Far(_) | Came::ToTheEnd) => Ok(came),
        }
    }

    /// Reads the held file to its end, or until `limit` bytes were read. `complete`: nobody writes to it any more.
    fn read(&mut self, name: &str, complete: bool, limit: u64, memory: &mut Memory) -> io::Result<Came> {
        let Some(file) = self.held.take() else { return Ok(Came::ToTheEnd) };
        let came = self.copy(name, &file, complete, limit, memory);
        if self.redactor.is_some() && self.mark.head.as_ref().is_some_and(|head| !head.is_whole()) {
            self.mark.head = Head::of(&file)?;
        }
        memory.set(name, &self.mark);
        self.held = Some(file);
        came
    }

    fn copy(
        &mut self,
        name: &str,
        mut file: &File,
        complete: bool,
        limit: u64,
        memory: &mut Memory,
    ) -> io::Result<Came> {
        if file.metadata()?.len() < self.mark.offset {
            // Cut short by its writer: what is there now is new.
            self.mark.offset = 0;
        }
        let mut read = 0;
        let mut piece = vec![0; PIECE];
        while read < limit {
            file.seek(SeekFrom::Start(self.mark.offset))?;
            let length = fill(file, &mut piece)?;
            let whole = self.whole(&piece[..length], complete);
            if whole == 0 {
                return Ok(Came::ToTheEnd);
            }
            self.deliver(name, &piece[..whole], memory)?;
            read += whole as u64;
        }
        Ok(Came::Far(read))
    }

    /// How much can be passed on: lines that are to be redacted must be whole.
    fn whole(&self, piece: &[u8], complete: bool) -> usize {
        let last_end = piece.iter().rposition(|byte| *byte == b'\n').map(|place| place + 1);
        match last_end {
            _ if self.redactor.is_none() => piece.len(),
            _ if complete && piece.len() < PIECE => piece.len(),
            Some(end) => end,
            None if piece.len() == PIECE => PIECE,
            None => 0,
        }
    }

    fn deliver(&mut self, name: &str, piece: &[u8], memory: &mut Memory) -> io::Result<()> {
        let mut redactor = self.redactor.clone();
        let clean = redactor.as_mut().map(|redactor| redactor.redact(piece));
        let text = clean.as_deref().unwrap_or(piece);
        let now = self.clock.now();
        if self.roll.is_due(text.len(), now) {
            self.close(name, memory)?;
        }
        self.roll.append(text, now)?;
        self.redactor = redactor;
        self.mark.offset += piece.len() as u64;
        self.mark.written += text.len() as u64;
        Ok(())
    }
}

fn fill(mut file: &File, piece: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < piece.len() {
        match file.read(&mut piece[length..])? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}
