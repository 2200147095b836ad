//! Whoever asks beyond a door. What is said there is believed of their own files, and of nothing else.

use std::collections::HashSet;
use std::io;
use std::mem::{self, Discriminant};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use crate::line::Line;
use crate::words::{Answer, Ask, Done, Hello, NAMES, Question, VERSION, hear, say};
use crate::{LENGTH, Next, PIECE, Root, Seen, plain};

/// Told with one question; the others wait for the next.
const MOST_CLOSED: usize = 256;

/// How long somebody beyond is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// One answer, whole.
    pub answer: Duration,
    /// After so long no further question is asked until the door is answered again.
    pub turn: Duration,
}

impl Default for Waits {
    /// Together shorter than the owner waits for logs at a pause.
    fn default() -> Self {
        Self { answer: Duration::from_millis(200), turn: Duration::from_millis(200) }
    }
}

/// Why something beyond was not to be had. It stands in an [`io::Error`], and is never a fault of this PC's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unheard {
    /// Nobody answers now; nothing is known of what was asked for.
    #[error("nobody answers beyond the door")]
    Away,
    #[error("it is not to be had beyond the door")]
    No,
}

impl Unheard {
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl From<Unheard> for io::Error {
    fn from(unheard: Unheard) -> Self {
        Self::other(unheard)
    }
}

/// None where something cannot be had; whoever is away may have it all the same.
///
/// # Errors
/// Nobody answers.
pub fn unless_away<T>(asked: io::Result<T>) -> io::Result<Option<T>> {
    match asked {
        Ok(had) => Ok(Some(had)),
        Err(error) if Unheard::of(&error) == Some(Unheard::Away) => Err(error),
        Err(_) => Ok(None),
    }
}

/// Who answers at a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// The same as before: what is open stays open.
    AsBefore,
    /// In a new conversation: what was open is no more.
    Anew,
    Nobody,
}

/// A socket beyond which somebody may answer. They come and go.
#[derive(Debug, Clone)]
pub struct Door(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    socket: PathBuf,
    waits: Waits,
    talk: Option<Shared>,
    /// How conversations ended, as far as that was told.
    told: HashSet<Discriminant<Ended>>,
}

type Shared = Arc<Mutex<Talk>>;

impl Door {
    pub fn at(socket: impl Into<PathBuf>) -> Self {
        Self::with(socket, Waits::default())
    }

    pub fn with(socket: impl Into<PathBuf>, waits: Waits) -> Self {
        Self(Arc::new(Mutex::new(State { socket: socket.into(), waits, talk: None, told: HashSet::new() })))
    }

    /// Goes on with the conversation or begins one. Questions are good until this turn's time is over.
    pub fn knock(&self) -> Answered {
        let mut state = lock(&self.0);
        if let Some(talk) = state.talk.take() {
            let ended = match lock(&talk).go_on() {
                Ok(()) => {
                    state.talk = Some(talk.clone());
                    return Answered::AsBefore;
                }
                Err(ended) => ended,
            };
            state.tell(ended);
        }
        match Talk::begin(&state.socket, state.waits) {
            Ok(talk) => {
                state.talk = Some(Arc::new(Mutex::new(talk)));
                Answered::Anew
            }
            Err(ended) => {
                state.tell(ended);
                Answered::Nobody
            }
        }
    }

    /// The conversation has not ended, though this turn's time may be over.
    pub fn is_heard(&self) -> bool {
        lock(&self.0).talk.as_ref().is_some_and(|talk| lock(talk).line.is_ok())
    }

    pub(crate) fn root(&self, root: Root) -> io::Result<Folder> {
        let talk = lock(&self.0).talk.clone().ok_or(Unheard::Away)?;
        Handle::open(&talk, |number| Question::Root { root, number }).map(Folder)
    }
}

impl State {
    /// Each once: it may happen at every turn. That they have gone is nothing to tell.
    fn tell(&mut self, ended: Ended) {
        if !self.told.insert(mem::discriminant(&ended)) {
            return;
        }
        match ended {
            Ended::Gone => {}
            Ended::Slow => tracing::debug!("whoever answers for the capsule's logs is too slow"),
            Ended::Nonsense => tracing::warn!("what is said of the capsule's logs makes no sense"),
            Ended::Version(version) => tracing::warn!(
                version,
                "the capsule's logs are told in the words of another version: they are taken over from its next start on"
            ),
        }
    }
}

/// How a conversation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Gone,
    Slow,
    /// An answer did not fit its question.
    Nonsense,
    Version(u32),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::TimedOut {
            Self::Slow
        } else if error.kind() == io::ErrorKind::InvalidData {
            Self::Nonsense
        } else {
            Self::Gone
        }
    }
}

#[derive(Debug)]
struct Talk {
    line: Result<Line, Ended>,
    waits: Waits,
    /// When this turn's time is over.
    over: Instant,
    /// Numbers given to what was opened.
    given: u64,
    closed: Vec<u64>,
}

impl Talk {
    fn begin(socket: &Path, waits: Waits) -> Result<Self, Ended> {
        let now = Instant::now();
        let mut line = Line::to(socket)?;
        say(&mut line, &Hello { version: VERSION }, &[], now + waits.answer)?;
        let hello: Hello = hear(&mut line, now + waits.answer)?;
        if hello.version != VERSION {
            return Err(Ended::Version(hello.version));
        }
        Ok(Self { line: Ok(line), waits, over: now + waits.turn, given: 0, closed: Vec::new() })
    }

    /// Nobody says anything unasked: what has come since is no answer, or the end.
    fn go_on(&mut self) -> Result<(), Ended> {
        self.over = Instant::now() + self.waits.turn;
        match &self.line {
            Ok(line) if line.is_quiet() => Ok(()),
            Ok(_) => Err(Ended::Gone),
            Err(ended) => Err(*ended),
        }
    }

    /// The answer, with its raw bytes in `room`. One that does not fit its question, or does not come, ends the conversation.
    fn ask<T: DeserializeOwned>(
        &mut self,
        question: Question,
        room: &mut [u8],
        fits: impl FnOnce(&T, usize) -> bool,
    ) -> io::Result<(T, usize)> {
        let now = Instant::now();
        let Ok(line) = self.line.as_mut().map_err(|ended| *ended) else { return Err(Unheard::Away.into()) };
        if now >= self.over {
            return Err(Unheard::Away.into());
        }
        let close = self.closed.split_off(self.closed.len().saturating_sub(MOST_CLOSED));
        match exchange(line, &Ask { close, question }, room, now + self.waits.answer) {
            Ok(Answer { said: Some(said), bytes }) if fits(&said, bytes) => Ok((said, bytes)),
            Ok(Answer { said: None, bytes: 0 }) => Err(Unheard::No.into()),
            Ok(_) => Err(self.end(Ended::Nonsense)),
            Err(error) => Err(self.end(error.into())),
        }
    }

    fn end(&mut self, ended: Ended) -> io::Error {
        self.line = Err(ended);
        Unheard::Away.into()
    }
}

fn exchange<T: DeserializeOwned>(
    line: &mut Line,
    ask: &Ask,
    room: &mut [u8],
    until: Instant,
) -> io::Result<Answer<T>> {
    say(line, ask, &[], until)?;
    let answer: Answer<T> = hear(line, until)?;
    let bytes = room.get_mut(..answer.bytes).ok_or(io::ErrorKind::InvalidData)?;
    line.read(bytes, until)?;
    Ok(answer)
}

/// Something that is open beyond, by the number that it was given here.
#[derive(Debug)]
struct Handle {
    talk: Shared,
    number: u64,
}

impl Handle {
    fn open(talk: &Shared, question: impl FnOnce(u64) -> Question) -> io::Result<Self> {
        let mut open = lock(talk);
        open.given += 1;
        let number = open.given;
        open.ask(question(number), &mut [], nothing)?;
        drop(open);
        Ok(Self { talk: talk.clone(), number })
    }

    fn seen(&self) -> io::Result<Seen> {
        Ok(lock(&self.talk).ask(Question::Seen { of: self.number }, &mut [], makes_sense)?.0)
    }
}

impl Drop for Handle {
    /// Waits for nobody.
    fn drop(&mut self) {
        lock(&self.talk).closed.push(self.number);
    }
}

#[derive(Debug)]
pub(crate) struct Folder(Handle);

impl Folder {
    pub(crate) fn folder(&self, name: &str) -> io::Result<Self> {
        let (within, name) = (self.0.number, name.to_owned());
        Handle::open(&self.0.talk, |number| Question::Folder { within, name, number }).map(Self)
    }

    pub(crate) fn file(&self, name: &str) -> io::Result<File> {
        let (within, name) = (self.0.number, name.to_owned());
        Handle::open(&self.0.talk, |number| Question::File { within, name, number }).map(File)
    }

    pub(crate) fn look(&self, name: &str) -> io::Result<Seen> {
        let question = Question::Look { within: self.0.number, name: name.to_owned() };
        Ok(lock(&self.0.talk).ask(question, &mut [], makes_sense)?.0)
    }

    pub(crate) fn seen(&self) -> io::Result<Seen> {
        self.0.seen()
    }

    pub(crate) fn names(&self, most: usize) -> io::Result<Vec<String>> {
        let mut room = vec![0; NAMES];
        let mut talk = lock(&self.0.talk);
        let (Done {}, bytes) =
            talk.ask(Question::Names { within: self.0.number, most }, &mut room, |Done {}, _| true)?;
        names(&room[..bytes], most).ok_or_else(|| talk.end(Ended::Nonsense))
    }
}

#[derive(Debug)]
pub(crate) struct File(Handle);

impl File {
    pub(crate) fn seen(&self) -> io::Result<Seen> {
        self.0.seen()
    }

    pub(crate) fn next(&self, from: u64, piece: &mut [u8]) -> io::Result<Next> {
        let most = piece.len().min(PIECE);
        let fits = |next: &Next, read: usize| {
            let ends = next.at.map_or(Some(0), |at| at.checked_add(read as u64));
            let begins = next.at.map_or(read == 0, |at| at >= from);
            begins && next.length <= LENGTH && ends.is_some_and(|end| end <= LENGTH)
        };
        let question = Question::Next { of: self.0.number, from, most };
        let (next, read) = lock(&self.0.talk).ask(question, &mut piece[..most], fits)?;
        Ok(Next { read, ..next })
    }

    pub(crate) fn read_at(&self, from: u64, piece: &mut [u8]) -> io::Result<usize> {
        let most = piece.len().min(PIECE);
        let question = Question::Read { of: self.0.number, from, most };
        let (Done {}, read) = lock(&self.0.talk).ask(question, &mut piece[..most], |Done {}, _| true)?;
        Ok(read)
    }
}

fn nothing(Done {}: &Done, _bytes: usize) -> bool {
    true
}

fn makes_sense(seen: &Seen, _bytes: usize) -> bool {
    seen.length <= LENGTH
}

/// None where one of them is no name.
fn names(all: &[u8], most: usize) -> Option<Vec<String>> {
    let Some(all) = all.strip_suffix(&[0]) else { return all.is_empty().then(Vec::new) };
    let names = all.split(|byte| *byte == 0).take(most + 1);
    let names: Option<Vec<String>> =
        names.map(|name| Some(plain(str::from_utf8(name).ok()?).ok()?.to_owned())).collect();
    names.filter(|names| names.len() <= most)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
