//! One foreign log on its way into a stream of ours.

use std::io;

use ionet_foreign::{File, Folder, PIECE, Seen, unless_away};
use ionet_redact::Redactor;

use super::Kit;
use super::gap;
use super::memory::Mark;
use super::series::{Head, NEWEST, agent_newest, agent_series};
use super::share::{Hourly, Turn};
use crate::roll::Roll;

/// What is remembered of the end of what was read, to know a file that was written anew.
const TAIL: usize = 64;

pub(crate) struct Stream {
    name: String,
    roll: Roll,
    /// `None`: the bytes are passed on as they are.
    redactor: Option<Redactor>,
    mark: Mark,
    /// The file being read. Held, it can be read to its end after it was deleted.
    held: Option<Held>,
    hourly: Hourly,
}

struct Held {
    file: File,
    /// How it was when it had been read to its end.
    seen: Option<Seen>,
    tail: Vec<u8>,
}

/// How far reading one file came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    ToTheEnd,
    /// This turn is over.
    Far,
}

impl Stream {
    /// With a mark of an earlier life it goes on where that one was; without, a leftover file is closed as it is.
    pub(crate) fn new(
        name: &str,
        mut roll: Roll,
        redactor: Option<Redactor>,
        kit: &mut Kit,
    ) -> io::Result<Self> {
        let mut mark = kit.memory.get(name).cloned().unwrap_or_default();
        let open = if kit.memory.get(name).is_some() { roll.resume(mark.written)? } else { 0 };
        if open == 0 {
            roll.close()?;
        }
        if open != mark.written {
            // It was closed just before the end, and the mark could not be saved any more.
            mark.written = open;
            kit.memory.set(name, &mark);
            kit.memory.save()?;
        }
        let hourly = Hourly::new(kit.most_of_one(), kit.clock.elapsed());
        Ok(Self { name: name.to_owned(), roll, redactor, mark, held: None, hourly })
    }

    pub(crate) fn is_old(&self) -> bool {
        self.roll.is_due(0)
    }

    pub(crate) fn open_bytes(&self) -> u64 {
        self.roll.open_bytes()
    }

    /// The file being read has to be opened anew; it is known by its mark, as after a restart.
    pub(crate) fn let_go(&mut self) {
        self.held = None;
    }

    /// A job's files keep their names: `log.N`, then `log.N+1`.
    pub(crate) fn poll_job(
        &mut self,
        folder: &Folder,
        log: &str,
        numbers: &[u64],
        kit: &mut Kit,
        turn: &mut Turn<'_>,
    ) -> io::Result<Came> {
        let (before, known) = (self.mark.number, self.mark.head.is_some());
        if self.held.is_some() && !self.is_still_there(folder, log, numbers)? {
            if self.read(true, kit, turn)? == Came::Far {
                return Ok(Came::Far);
            }
            // Another file may have its name by now.
            self.begin(Mark { head: None, offset: 0, ..self.mark.clone() });
        }
        let last = numbers.last().copied().unwrap_or_default();
        let first = numbers.first().copied().unwrap_or_default();
        if known && first > before {
            self.mark.gap.files = self.mark.gap.files.saturating_add(first - before - 1);
        }
        for number in numbers.iter().copied().filter(|number| *number >= before) {
            if number != self.mark.number {
                self.begin(Mark { number, head: None, offset: 0, ..self.mark.clone() });
            }
            if self.held.is_none() {
                // A link or a pipe in a log's place, or a file that went just now.
                let Some(file) = unless_away(folder.file(&format!("{log}.{number}")))? else { continue };
                self.hold(file);
            }
            if self.read(number != last, kit, turn)? == Came::Far {
                return Ok(Came::Far);
            }
            if number != last {
                self.held = None;
            }
        }
        Ok(Came::ToTheEnd)
    }

    /// The agent's files are renamed as they age; they are known by how they begin.
    pub(crate) fn poll_agent(
        &mut self,
        folder: &Folder,
        kit: &mut Kit,
        turn: &mut Turn<'_>,
    ) -> io::Result<Came> {
        if self.agent_goes_on(folder)? {
            return self.read(false, kit, turn);
        }
        let files = agent_series(folder)?;
        let known = self.known_among(&files)?;
        if known.is_none() && self.held.is_some() && self.read(true, kit, turn)? == Came::Far {
            return Ok(Came::Far);
        }
        let count = files.len();
        for (place, file) in files.into_iter().enumerate().skip(known.unwrap_or_default()) {
            let Some(head) = Head::of(&file)? else { continue };
            if Some(place) != known {
                self.begin(Mark { head: Some(head), offset: 0, ..self.mark.clone() });
            }
            self.hold(file);
            if self.read(place + 1 < count, kit, turn)? == Came::Far {
                return Ok(Came::Far);
            }
        }
        Ok(Came::ToTheEnd)
    }

    /// What is still to be had of the file that is held, then the end. `Far`: not yet.
    pub(crate) fn finish(&mut self, kit: &mut Kit, turn: &mut Turn<'_>) -> io::Result<Came> {
        if self.read(true, kit, turn)? == Came::Far {
            return Ok(Came::Far);
        }
        self.close(kit)?;
        Ok(Came::ToTheEnd)
    }

    /// The mark is saved on both sides of the close: a restart must not take the new file for the old one.
    pub(crate) fn close(&mut self, kit: &mut Kit) -> io::Result<()> {
        self.say_gap(kit)?;
        if self.mark.written == 0 {
            return self.roll.close();
        }
        kit.memory.set(&self.name, &self.mark);
        kit.memory.save()?;
        self.roll.close()?;
        self.mark.written = 0;
        kit.memory.set(&self.name, &self.mark);
        kit.memory.save()
    }

    fn begin(&mut self, mark: Mark) {
        self.mark = mark;
        self.held = None;
    }

    fn hold(&mut self, file: File) {
        self.held = Some(Held { file, seen: None, tail: Vec::new() });
    }

    /// Whether the held file still has its name.
    fn is_still_there(&self, folder: &Folder, log: &str, numbers: &[u64]) -> io::Result<bool> {
        let Some(held) = self.held.as_ref().filter(|_| numbers.contains(&self.mark.number)) else {
            return Ok(false);
        };
        let there = unless_away(folder.look(&format!("{log}.{}", self.mark.number)))?;
        let held = unless_away(held.file.seen())?;
        Ok(there.is_some_and(|there| held.is_some_and(|held| held.id == there.id)))
    }

    fn agent_goes_on(&mut self, folder: &Folder) -> io::Result<bool> {
        let Some(held) = &self.held else {
            let Some(newest) = agent_newest(folder)? else { return Ok(false) };
            let goes_on = self.begins_as_known(&newest)?;
            if goes_on {
                self.hold(newest);
            }
            return Ok(goes_on);
        };
        let Some(there) = unless_away(folder.look(NEWEST))? else { return Ok(false) };
        if there.id.is_none() {
            return agent_newest(folder)?.map_or(Ok(false), |newest| self.begins_as_known(&newest));
        }
        if held.seen == Some(there) {
            return Ok(true);
        }
        let same = unless_away(held.file.seen())?.is_some_and(|held| held.id == there.id);
        Ok(same && self.begins_as_known(&held.file)?)
    }

    fn begins_as_known(&self, file: &File) -> io::Result<bool> {
        self.mark.head.as_ref().map_or(Ok(false), |head| head.is_of(file))
    }

    fn known_among(&self, files: &[File]) -> io::Result<Option<usize>> {
        for (place, file) in files.iter().enumerate() {
            if self.begins_as_known(file)? {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    /// Reads the held file to its end, or until the turn is over. `complete`: nobody writes to it any more.
    fn read(&mut self, complete: bool, kit: &mut Kit, turn: &mut Turn<'_>) -> io::Result<Came> {
        let Some(mut held) = self.held.take() else { return Ok(Came::ToTheEnd) };
        let came = self.read_on(&mut held, complete, kit, turn);
        self.held = Some(held);
        kit.memory.set(&self.name, &self.mark);
        came
    }

    fn read_on(
        &mut self,
        held: &mut Held,
        complete: bool,
        kit: &mut Kit,
        turn: &mut Turn<'_>,
    ) -> io::Result<Came> {
        // A file that cannot be read is its writer's affair: it is tried again when it changes, and no fault of our disk.
        let Some(seen) = unless_away(held.file.seen())? else { return Ok(Came::ToTheEnd) };
        if !complete && held.seen == Some(seen) {
            return Ok(Came::ToTheEnd);
        }
        if self.mark.offset > 0 && self.is_anew(held, seen)? {
            (self.mark.offset, self.mark.in_long_line) = (0, false);
        }
        if self.mark.offset == 0 || self.mark.head.as_ref().is_none_or(|head| !head.is_whole()) {
            self.mark.head = unless_away(Head::of(&held.file))?.flatten();
        }
        let mut left = turn.part();
        while left > 0 && !turn.is_over() {
            if self.step(held, complete, kit, turn, &mut left)? == Came::ToTheEnd {
                held.seen = Some(seen);
                return Ok(Came::ToTheEnd);
            }
        }
        Ok(Came::Far)
    }

    /// Cut short, or written anew, by its writer: what is there now is new.
    fn is_anew(&self, held: &Held, seen: Seen) -> io::Result<bool> {
        if seen.length < self.mark.offset
            || (self.mark.head.is_some() && !self.begins_as_known(&held.file)?)
        {
            return Ok(true);
        }
        let mut tail = vec![0; held.tail.len()];
        let at = self.mark.offset - tail.len() as u64;
        let read = unless_away(held.file.read_at(at, &mut tail))?;
        Ok(read.is_some_and(|read| read < tail.len() || tail != held.tail))
    }

    /// One piece, or past what is left out.
    fn step(
        &mut self,
        held: &mut Held,
        complete: bool,
        kit: &mut Kit,
        turn: &mut Turn<'_>,
        left: &mut u64,
    ) -> io::Result<Came> {
        let mut piece = vec![0; PIECE];
        let next = unless_away(held.file.next(self.mark.offset, &mut piece))?.unwrap_or_default();
        let behind = next.length.saturating_sub(self.mark.offset);
        let Some(at) = next.at.filter(|_| behind > 0) else {
            // A hole at the end may be filled yet.
            self.skip(held, if complete { behind } else { 0 }, |gap| &mut gap.empty, kit);
            return Ok(Came::ToTheEnd);
        };
        self.skip(held, at.saturating_sub(self.mark.offset), |gap| &mut gap.empty, kit);
        let now = kit.clock.elapsed();
        let share = self.hourly.left(now).min(kit.share_of(&self.name, now));
        if share == 0 {
            self.skip(held, next.length.saturating_sub(self.mark.offset), |gap| &mut gap.beyond, kit);
            // Whatever comes next may be the rest of a line.
            self.mark.in_long_line = self.redactor.is_some();
            return Ok(Came::ToTheEnd);
        }
        piece.truncate(next.read);
        let counts = if next.read == 0 { 0 } else { turn.read(next.read as u64) };
        *left = left.saturating_sub(counts);
        self.take(held, &piece, complete, kit)
    }

    fn take(&mut self, held: &mut Held, piece: &[u8], complete: bool, kit: &mut Kit) -> io::Result<Came> {
        if piece.len() == PIECE && piece.iter().all(|byte| *byte == 0) {
            self.charge(PIECE as u64, kit);
            self.skip(held, PIECE as u64, |gap| &mut gap.empty, kit);
            return Ok(Came::Far);
        }
        if self.mark.in_long_line {
            let end = memchr(b'\n', piece);
            let rest = end.map_or(piece.len(), |end| end + 1);
            self.skip(held, rest as u64, |gap| &mut gap.beyond, kit);
            self.mark.in_long_line = end.is_none();
            return Ok(if rest == 0 { Came::ToTheEnd } else { Came::Far });
        }
        let whole = self.whole(piece, complete);
        if whole == 0 {
            return Ok(Came::ToTheEnd);
        }
        self.deliver(&piece[..whole], kit)?;
        held.tail = piece[whole.saturating_sub(TAIL)..whole].to_owned();
        Ok(Came::Far)
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

    fn deliver(&mut self, piece: &[u8], kit: &mut Kit) -> io::Result<()> {
        let mut redactor = self.redactor.clone();
        let mut clean = redactor.as_mut().map(|redactor| redactor.redact(piece));
        let cut_off = redactor.is_some() && piece.len() == PIECE && !piece.ends_with(b"\n");
        if let Some(clean) = clean.as_mut().filter(|_| cut_off) {
            clean.push(b'\n');
        }
        let text = clean.as_deref().unwrap_or(piece);
        if self.roll.is_due(text.len()) {
            self.close(kit)?;
        }
        self.say_gap(kit)?;
        self.roll.append(text)?;
        self.redactor = redactor;
        self.mark.in_long_line = cut_off;
        self.mark.offset += piece.len() as u64;
        self.mark.written += text.len() as u64;
        self.charge(piece.len() as u64, kit);
        Ok(())
    }

    fn charge(&mut self, bytes: u64, kit: &mut Kit) {
        self.hourly.take(bytes);
        kit.charge(&self.name, bytes);
    }

    fn skip(&mut self, held: &mut Held, bytes: u64, why: impl Fn(&mut gap::Gap) -> &mut u64, kit: &Kit) {
        if bytes > 0 {
            held.tail.clear();
            self.mark.offset += bytes;
            let left_out = why(&mut self.mark.gap);
            *left_out = left_out.saturating_add(bytes);
            kit.board.left_out(bytes);
        }
    }

    /// Says in the stream itself what is missing here.
    fn say_gap(&mut self, kit: &Kit) -> io::Result<()> {
        if let Some(line) = gap::line(self.mark.gap, self.redactor.is_some(), kit.clock.now()) {
            self.roll.append(&line)?;
            self.mark.gap = gap::Gap::default();
            self.mark.written += line.len() as u64;
        }
        Ok(())
    }
}

fn memchr(byte: u8, text: &[u8]) -> Option<usize> {
    text.iter().position(|other| *other == byte)
}
