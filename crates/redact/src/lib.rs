//! Takes out of lines what nobody else may read: credentials, keys, addresses, the owner's name, and of an agent's lines
//! what a customer has put into a task.
//!
//! One automaton looks for the words that a secret can begin with (`token`, `://`, `AKIA`, …); at each find a small rule
//! reads how far the secret goes. So a line is walked once, and the whole set takes some tens of KiB, for ever.

mod agent;
mod names;
mod spans;
mod terminal;
mod tokens;
mod triggers;
mod values;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use memchr::memmem;

use spans::{Span, apply};

pub use terminal::printable;

/// A private key of any kind is shorter; a `BEGIN` without an `END` must not swallow the log.
const LONGEST_KEY_LINES: u32 = 120;

const REDACTED: &str = "[redacted]";

/// Redacts line by line and remembers whether it is inside a private key that goes over several lines.
#[derive(Debug, Clone)]
pub struct Redactor {
    owner: Option<Arc<Owner>>,
    /// The lines are an agent's, and may speak of what runs in a task.
    of_agent: bool,
    key_lines_left: u32,
}

/// How the owner is called on this PC: the last part of the home folder's path, where that lies elsewhere than usual.
#[derive(Debug)]
struct Owner {
    above: Vec<u8>,
    name: Vec<u8>,
}

impl Redactor {
    pub fn new(home: Option<&Path>) -> Self {
        Self { owner: home.and_then(Owner::of).map(Arc::new), of_agent: false, key_lines_left: 0 }
    }

    /// For this PC's owner.
    pub fn of_this_pc() -> Self {
        Self::new(std::env::home_dir().as_deref())
    }

    /// For the agent's lines also takes out the environment, the command line and whatever else a task brought.
    #[must_use]
    pub fn of_agent(self) -> Self {
        Self { of_agent: true, ..self }
    }

    /// `text` is one or more lines; the result has as many.
    pub fn redact(&mut self, text: &[u8]) -> Vec<u8> {
        let mut clean = Vec::with_capacity(text.len());
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let (line, end) = match line.strip_suffix(b"\n") {
                Some(line) => (line, &b"\n"[..]),
                None => (line, &b""[..]),
            };
            clean.extend_from_slice(&self.line(line));
            clean.extend_from_slice(end);
        }
        clean
    }

    fn line<'a>(&mut self, line: &'a [u8]) -> Cow<'a, [u8]> {
        if self.key_lines_left > 0 {
            return self.inside_a_key(line);
        }
        let line = if self.of_agent { agent::cut(line) } else { Cow::Borrowed(line) };
        let mut found = Vec::new();
        let key_goes_on = triggers::find(&line, &mut found);
        if let Some(owner) = &self.owner {
            owner.find(&line, &mut found);
        }
        self.key_lines_left = if key_goes_on { LONGEST_KEY_LINES } else { 0 };
        if found.is_empty() { line } else { Cow::Owned(apply(&line, found)) }
    }

    fn inside_a_key(&mut self, line: &[u8]) -> Cow<'static, [u8]> {
        match tokens::key_end(line, 0) {
            Some((_, end)) => {
                self.key_lines_left = 0;
                let rest = self.line(&line[end..]).into_owned();
                Cow::Owned([REDACTED.as_bytes(), &rest].concat())
            }
            None => {
                self.key_lines_left -= 1;
                Cow::Borrowed(REDACTED.as_bytes())
            }
        }
    }
}

impl Owner {
    fn of(home: &Path) -> Option<Self> {
        let name = home.file_name()?.to_str()?;
        let above = home.parent()?.to_str()?;
        let usual = name == "root" || above.len() < 2;
        (!usual).then(|| Self { above: above.into(), name: name.into() })
    }

    fn find(&self, line: &[u8], found: &mut Vec<Span>) {
        for start in memmem::find_iter(line, &self.name) {
            let end = start + self.name.len();
            let before = &line[..start];
            let slashes = before.iter().rev().take_while(|byte| matches!(byte, b'/' | b'\\')).count();
            let whole = line.get(end).is_none_or(|next| !next.is_ascii_alphanumeric() && *next != b'_');
            if slashes > 0 && whole && before[..start - slashes].ends_with(&self.above) {
                found.push(Span::new(start, end, "[owner]"));
            }
        }
    }
}

#[cfg(test)]
mod tests;
