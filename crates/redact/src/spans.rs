//! Pieces of a line and what stands in their place.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) with: &'static str,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize, with: &'static str) -> Self {
        Self { start, end, with }
    }
}

/// Of names of any kind: variables, fields, options.
pub(crate) fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// Replaces the pieces. Where some overlap, all that they cover goes, by the word of the first.
pub(crate) fn apply(line: &[u8], mut spans: Vec<Span>) -> Vec<u8> {
    spans.sort_by_key(|span| (span.start, std::cmp::Reverse(span.end)));
    let mut clean = Vec::with_capacity(line.len());
    let mut done = 0;
    for span in spans {
        if span.start >= done {
            clean.extend_from_slice(&line[done..span.start]);
            clean.extend_from_slice(span.with.as_bytes());
        }
        done = done.max(span.end);
    }
    clean.extend_from_slice(&line[done..]);
    clean
}
