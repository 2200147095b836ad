//! The engine's list of containers, read as it comes. With each stands whatever its job and its image wrote into their
//! descriptions, and no length of that may keep the owner from what runs: one element is held at a time, and none of
//! its texts that is longer than any path or id.

use memchr::memchr2;

/// Longer than any path, with each of its letters written as six.
const LONGEST: usize = 32 * 1024;

/// A JSON list, cut into its elements, all of which are objects.
#[derive(Debug, Default)]
pub(super) struct Elements {
    element: Vec<u8>,
    depth: usize,
    text: Option<Text>,
    is_over: bool,
}

/// One that has begun and not ended.
#[derive(Debug, Clone, Copy)]
struct Text {
    /// Where it begins in its element.
    start: usize,
    /// Its next letter follows a backslash.
    is_escaped: bool,
    /// It is too long, and left empty.
    is_left_out: bool,
}

impl Elements {
    /// Hands each element on that is complete by now. Whether this may still be a list.
    pub(super) fn take(&mut self, mut piece: &[u8], each: &mut impl FnMut(&[u8]) -> bool) -> bool {
        while let Some((byte, rest)) = piece.split_first() {
            if let Some(text) = self.text {
                piece = self.letters(text, piece);
            } else if self.sign(*byte, each) {
                piece = rest;
            } else {
                return false;
            }
        }
        true
    }

    /// Whether the list came to its end.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Up to and with the next one that means something. What is left.
    fn letters<'a>(&mut self, mut text: Text, piece: &'a [u8]) -> &'a [u8] {
        let next = if text.is_escaped { Some(0) } else { memchr2(b'"', b'\\', piece) };
        let (letters, rest) = piece.split_at(next.map_or(piece.len(), |at| at + 1));
        let last = next.map(|at| piece[at]);
        let ends = last == Some(b'"') && !text.is_escaped;
        if !text.is_left_out && self.element.len() - text.start + letters.len() > LONGEST {
            self.element.truncate(text.start);
            text.is_left_out = true;
        }
        if !text.is_left_out {
            self.element.extend_from_slice(letters);
        } else if ends {
            self.element.push(b'"');
        }
        text.is_escaped = last == Some(b'\\') && !text.is_escaped;
        self.text = (!ends).then_some(text);
        rest
    }

    fn sign(&mut self, byte: u8, each: &mut impl FnMut(&[u8]) -> bool) -> bool {
        match (byte, self.depth) {
            (b' ' | b'\t' | b'\r' | b'\n', _) => return true,
            _ if self.is_over => return false,
            (b'[', 0) => self.depth = 1,
            (b']', 1) => (self.depth, self.is_over) = (0, true),
            (b',', 1) => {}
            (b'{', 1) => self.inner(byte, 2),
            (b'}', 2) => {
                self.inner(byte, 1);
                return each(&std::mem::take(&mut self.element));
            }
            (_, 0 | 1) => return false,
            (b'{' | b'[', depth) => self.inner(byte, depth + 1),
            (b'}' | b']', depth) => self.inner(byte, depth - 1),
            (b'"', depth) => {
                self.inner(byte, depth);
                self.text = Some(Text { start: self.element.len(), is_escaped: false, is_left_out: false });
            }
            (_, depth) => self.inner(byte, depth),
        }
        true
    }

    fn inner(&mut self, byte: u8, depth: usize) {
        self.element.push(byte);
        self.depth = depth;
    }
}
