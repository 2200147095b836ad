//! Who answers for files behind a door: one thread, one conversation, two trees, to read alone. Whoever comes last is answered: who came
//! before has gone, or would not come again.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use serde::Serialize;
use serde_json::Value;

use crate::here::{self, Folder};
use crate::line::Line;
use crate::words::{Answer, Ask, Done, Hello, MOST_OPEN, NAMES, Question, VERSION, hear, say};
use crate::{PIECE, Root, plain};

/// Whoever has begun a word ends it by then, and takes its answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Names of one folder.
const MOST_NAMES: usize = 20_000;

/// The trees that are served.
#[derive(Debug, Clone)]
pub struct Roots {
    pub agent: PathBuf,
    pub allocations: PathBuf,
}

impl Roots {
    fn path(&self, root: Root) -> &Path {
        match root {
            Root::Agent => &self.agent,
            Root::Allocations => &self.allocations,
        }
    }
}

/// Answers for as long as somebody can come.
///
/// # Errors
/// The listener's.
pub fn serve(listener: &UnixListener, roots: &Roots) -> io::Result<Infallible> {
    listener.set_nonblocking(true)?;
    let mut talk: Option<Conversation<'_>> = None;
    loop {
        if somebody_comes(listener, talk.as_ref())? {
            match listener.accept() {
                Ok((stream, _)) => talk = Line::over(stream).ok().map(|line| Conversation::new(line, roots)),
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        } else if talk.as_mut().is_some_and(|talk| talk.answer_one().is_err()) {
            talk = None;
        }
    }
}

/// Else the one who is there says something, or leaves.
fn somebody_comes(listener: &UnixListener, talk: Option<&Conversation<'_>>) -> io::Result<bool> {
    let mut fds = vec![PollFd::new(listener, PollFlags::IN)];
    fds.extend(talk.map(|talk| PollFd::new(&talk.line, PollFlags::IN)));
    match poll(&mut fds, None) {
        Ok(_) => {}
        Err(Errno::INTR) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    let listener = fds.first().map_or(PollFlags::empty(), PollFd::revents);
    // Nobody can come any more.
    if listener.intersects(PollFlags::HUP | PollFlags::ERR) {
        Err(io::ErrorKind::BrokenPipe.into())
    } else {
        Ok(!listener.is_empty())
    }
}

fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
    matches!(error.kind(), ConnectionAborted | Interrupted | WouldBlock)
}

struct Conversation<'a> {
    line: Line,
    roots: &'a Roots,
    /// It has said which words it speaks.
    greeted: bool,
    open: BTreeMap<u64, Open>,
}

enum Open {
    Folder(Folder),
    File(fs::File),
}

/// What is said, and the raw bytes after it.
type Said = (Value, Vec<u8>);

impl<'a> Conversation<'a> {
    fn new(line: Line, roots: &'a Roots) -> Self {
        Self { line, roots, greeted: false, open: BTreeMap::new() }
    }

    fn answer_one(&mut self) -> io::Result<()> {
        if self.line.is_quiet() {
            return Ok(());
        }
        let until = Instant::now() + PATIENCE;
        if !self.greeted {
            return self.greet(until);
        }
        let ask: Ask = hear(&mut self.line, until)?;
        for number in ask.close {
            self.open.remove(&number);
        }
        // What cannot be had is a no: why is nobody's concern outside.
        let (said, bytes) =
            self.answer(ask.question).map_or((None, Vec::new()), |(said, bytes)| (Some(said), bytes));
        say(&mut self.line, &Answer { said, bytes: bytes.len() }, &bytes, until)
    }

    fn greet(&mut self, until: Instant) -> io::Result<()> {
        let hello: Hello = hear(&mut self.line, until)?;
        say(&mut self.line, &Hello { version: VERSION }, &[], until)?;
        self.greeted = hello.version == VERSION;
        if self.greeted { Ok(()) } else { Err(io::ErrorKind::Unsupported.into()) }
    }

    fn answer(&mut self, question: Question) -> io::Result<Said> {
        match question {
            Question::Root { root, number } => {
                let folder = Folder::open(self.roots.path(root))?;
                self.keep(number, Open::Folder(folder))
            }
            Question::Folder { within, name, number } => {
                let folder = self.folder(within)?.folder(plain(&name)?)?;
                self.keep(number, Open::Folder(folder))
            }
            Question::File { within, name, number } => {
                let file = self.folder(within)?.file(plain(&name)?)?;
                self.keep(number, Open::File(file))
            }
            Question::Look { within, name } => said(self.folder(within)?.look(plain(&name)?)?, Vec::new()),
            Question::Seen { of } => match self.open(of)? {
                Open::Folder(folder) => said(folder.seen()?, Vec::new()),
                Open::File(file) => said(here::seen(file)?, Vec::new()),
            },
            Question::Names { within, most } => said(Done {}, names(self.folder(within)?, most)?),
            Question::Next { of, from, most } => {
                let mut piece = vec![0; most.min(PIECE)];
                let next = here::next(self.file(of)?, from, &mut piece)?;
                piece.truncate(next.read);
                said(next, piece)
            }
            Question::Read { of, from, most } => {
                let mut piece = vec![0; most.min(PIECE)];
                let read = here::read_at(self.file(of)?, from, &mut piece)?;
                piece.truncate(read);
                said(Done {}, piece)
            }
        }
    }

    fn keep(&mut self, number: u64, open: Open) -> io::Result<Said> {
        if self.open.len() >= MOST_OPEN {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        self.open.insert(number, open);
        said(Done {}, Vec::new())
    }

    fn open(&self, number: u64) -> io::Result<&Open> {
        self.open.get(&number).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn folder(&self, number: u64) -> io::Result<&Folder> {
        match self.open(number)? {
            Open::Folder(folder) => Ok(folder),
            Open::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn file(&self, number: u64) -> io::Result<&fs::File> {
        match self.open(number)? {
            Open::File(file) => Ok(file),
            Open::Folder(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }
}

fn said(what: impl Serialize, bytes: Vec<u8>) -> io::Result<Said> {
    Ok((serde_json::to_value(what)?, bytes))
}

/// Each with its end behind it: no name has such a byte.
fn names(folder: &Folder, most: usize) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    for name in folder.names(most.min(MOST_NAMES))? {
        if all.len() + name.len() < NAMES {
            all.extend_from_slice(name.as_bytes());
            all.push(0);
        }
    }
    Ok(all)
}
