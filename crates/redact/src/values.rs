//! How far a value goes.

/// Where a name's value begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value {
    pub(crate) at: usize,
    pub(crate) quoted_name: bool,
    /// After a colon, as in prose.
    pub(crate) colon: bool,
}

/// How far a value without quotes goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    Word,
    /// With its spaces, to the next `name=` or the end of the text.
    NextName,
    /// To the end of the text.
    Line,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) quoted: bool,
    /// Neither quoted nor text: a number or a list as JSON writes them.
    pub(crate) bare: bool,
}

/// The value at `at`; `None` where there is none or an object whose parts have names of their own.
pub(crate) fn extent(line: &[u8], value: Value, reach: Reach) -> Option<Extent> {
    let at = skip_wrapper(line, value.at);
    let slashes = line[at..].iter().take_while(|byte| **byte == b'\\').count();
    let text = |start, end| Some(Extent { start, end, quoted: true, bare: false });
    match line.get(at + slashes)? {
        b'"' if slashes == 0 => text(at + 1, end_of_quote(line, at + 1, b'"').unwrap_or(line.len())),
        b'"' => {
            let start = at + slashes + 1;
            text(start, end_of_escaped(line, start, slashes).unwrap_or(line.len()))
        }
        quote @ (b'\'' | b'`') => match end_of_quote(line, at + slashes + 1, *quote) {
            Some(end) => text(at + slashes + 1, end),
            None => unquoted(line, at + slashes + 1, reach, false),
        },
        b'{' => None,
        b'[' => {
            Some(Extent { start: at, end: end_of_list(line, at), quoted: false, bare: value.quoted_name })
        }
        _ => unquoted(line, at, reach, value.quoted_name),
    }
}

/// The end of a JSON-like list or object that begins at `at`.
pub(crate) fn end_of_list(line: &[u8], at: usize) -> usize {
    let mut depth = 0_u32;
    let mut place = at;
    while let Some(byte) = line.get(place) {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => {
                depth -= 1;
                if depth == 0 {
                    return place + 1;
                }
            }
            b'"' => place = end_of_quote(line, place + 1, b'"').unwrap_or(line.len()),
            _ => {}
        }
        place += 1;
    }
    line.len()
}

pub(crate) fn end_of_quote(line: &[u8], mut at: usize, quote: u8) -> Option<usize> {
    while let Some(byte) = line.get(at) {
        match byte {
            b'\\' => at += 1,
            byte if *byte == quote => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

pub(crate) fn skip_space(line: &[u8], at: usize) -> usize {
    let at = at.min(line.len());
    at + line[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

/// Skips quotes, their backslashes, and space.
pub(crate) fn skip_marks(line: &[u8], at: usize) -> usize {
    let at = at.min(line.len());
    let marks = line[at..].iter().take_while(|byte| matches!(byte, b'"' | b'\'' | b'\\')).count();
    skip_space(line, at + marks)
}

/// The quote of a string within a string has as many backslashes at its end as at its beginning; one within has more.
fn end_of_escaped(line: &[u8], start: usize, slashes: usize) -> Option<usize> {
    let mut run = 0;
    for (place, byte) in line.iter().enumerate().skip(start) {
        match byte {
            b'\\' => run += 1,
            b'"' if run <= slashes => return Some(place - run),
            _ => run = 0,
        }
    }
    None
}

/// `Some("…")`, `Secret("…")`, `b"…"`: the value is what they hold.
fn skip_wrapper(line: &[u8], at: usize) -> usize {
    let word = line[at..].iter().take(16).take_while(|byte| byte.is_ascii_alphabetic()).count();
    let rest = &line[at + word..];
    match rest {
        [b'(', b'"' | b'\'' | b'\\', ..] if word > 0 => at + word + 1,
        [b'(', ..] if &line[at..at + word] == b"Some" => at + word + 1,
        [b'"' | b'\'', ..] if word == 1 => at + word,
        _ => at,
    }
}

fn unquoted(line: &[u8], start: usize, reach: Reach, quoted_name: bool) -> Option<Extent> {
    let word = line[start..].iter().take_while(|byte| !matches!(byte, b',' | b'}' | b']' | b' ')).count();
    let number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E');
    let value = &line[start..start + word];
    if quoted_name && word > 0 && (value.iter().all(number) || matches!(value, b"true" | b"false" | b"null"))
    {
        return Some(Extent { start, end: start + word, quoted: false, bare: true });
    }
    let over = |place: usize| match line[place] {
        b'\r' => true,
        byte => match reach {
            Reach::Line => ends_text(line, place, byte),
            Reach::NextName => ends_text(line, place, byte) || ends_before_name(line, place, byte),
            Reach::Word => ends_word(byte),
        },
    };
    let end = (start..line.len()).find(|place| over(*place)).unwrap_or(line.len());
    (end > start).then_some(Extent { start, end, quoted: false, bare: false })
}

fn ends_word(byte: u8) -> bool {
    byte.is_ascii_whitespace() || b"\"'\\&,;(){}[]<>".contains(&byte)
}

/// The quote, or an escape, of the text around it.
fn ends_text(line: &[u8], place: usize, byte: u8) -> bool {
    match byte {
        b'"' | b'<' => true,
        b'\\' => matches!(line.get(place + 1), Some(b'"' | b'n' | b'r' | b't' | b'u')),
        _ => false,
    }
}

fn ends_before_name(line: &[u8], place: usize, byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b',' | b';' | b'&') && next_pair(line, place + 1)
}

/// Whether another `name=` or `name: ` begins here.
fn next_pair(line: &[u8], at: usize) -> bool {
    let at = skip_marks(line, skip_space(line, at));
    let name = line[at..].iter().take_while(|byte| crate::spans::is_name(**byte) || **byte == b'.').count();
    if name == 0 {
        return false;
    }
    let after = skip_marks(line, at + name);
    match line.get(after) {
        Some(b'=') => after == at + name || line.get(after.wrapping_sub(1)) != Some(&b' '),
        Some(b':') => matches!(line.get(after + 1), Some(b' ' | b'"')),
        _ => false,
    }
}
