//! Secrets by their names: `password=…`, `"token":"…"`, `--api-key …`, `<secret>…</secret>`.

use crate::REDACTED;
use crate::spans::{Span, is_name};
use crate::values::{self, Extent, Reach, Value};

/// What the word says about the value behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// May hold spaces: without quotes it goes on to the end of the line or the next `name=`.
    Wide,
    /// A header's value, which goes on to the end of the line and has signs of its own.
    Header,
    /// One word.
    Narrow,
    /// An everyday word. Counts when it stands alone in its name, and with `=` or a quoted value only.
    Everyday,
    /// Counts in a query only: `?code=`, `&sig=`.
    Query,
    /// Counts in a name of capitals, as of an environment variable: `LICENSE_KEY`.
    Capitals,
}

/// What may follow the word and still be that secret.
const SUFFIXES: [&str; 12] =
    ["_value", "_b64", "_base64", "_raw", "_plain", "_old", "_new", "_v1", "_v2", "_hash", "_data", "value"];

/// The piece that holds the value, when `line[start..end]` is a name's last word and a value follows.
pub(crate) fn secret(line: &[u8], start: usize, end: usize, kind: Kind) -> Option<Span> {
    let end = end + suffix(&line[end..]);
    if line.get(end).is_some_and(|next| is_name(*next)) || !fits(line, start, end, kind) {
        return None;
    }
    let value = behind(line, start, end)?;
    let reach = match kind {
        Kind::Wide => Reach::NextName,
        Kind::Header => Reach::Line,
        Kind::Narrow | Kind::Everyday | Kind::Query | Kind::Capitals => Reach::Word,
    };
    let Extent { start, end: to, quoted, bare } = values::extent(line, value, reach)?;
    if kind == Kind::Everyday && value.colon && !value.quoted_name && !quoted {
        return None;
    }
    let text = &line[start..to];
    if text.is_empty() || matches!(text, b"true" | b"false" | b"null" | b"None" | b"nil") {
        return None;
    }
    if bare {
        // What JSON writes without quotes is a number or a list: a short number is a count, a long one may be a code.
        let in_text = line[end] == b'\\';
        let with = if in_text { REDACTED } else { "\"[redacted]\"" };
        return (text[0] == b'[' || text.len() > 5).then(|| Span::new(start, to, with));
    }
    Some(Span::new(start + scheme(text), to, REDACTED))
}

fn suffix(rest: &[u8]) -> usize {
    let known = SUFFIXES.iter().find(|suffix| {
        rest.get(..suffix.len()).is_some_and(|start| start.eq_ignore_ascii_case(suffix.as_bytes()))
    });
    let length = known.map_or(0, |suffix| suffix.len());
    length + rest[length..].iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn fits(line: &[u8], start: usize, end: usize, kind: Kind) -> bool {
    let before = start.checked_sub(1).map(|place| line[place]);
    match kind {
        Kind::Wide | Kind::Header | Kind::Narrow => true,
        Kind::Everyday => before.is_none_or(|before| {
            let hump = before.is_ascii_lowercase() && line[start].is_ascii_uppercase();
            !before.is_ascii_alphanumeric() || hump
        }),
        Kind::Query => {
            matches!(before, Some(b'?' | b'&' | b';' | b'#')) || line[..start].ends_with(b"\\u0026")
        }
        Kind::Capitals => {
            let name = line[..end].iter().rev().take_while(|byte| is_name(**byte));
            name.clone().count() > 4 && !name.clone().any(u8::is_ascii_lowercase)
        }
    }
}

/// Where the value begins that belongs to the name that ends at `end`.
fn behind(line: &[u8], start: usize, end: usize) -> Option<Value> {
    let marks =
        line[end..].iter().take_while(|byte| matches!(byte, b'"' | b'\'' | b'\\' | b'`' | b']')).count();
    let quoted_name = marks > 0;
    let at = values::skip_space(line, end + marks);
    let rest = &line[at..];
    let begun =
        |length: usize, colon| Some(Value { at: values::skip_space(line, at + length), quoted_name, colon });
    match rest {
        [b'=', b'>' | b'=', ..] | [b':', b'=', ..] => begun(2, false),
        [b'=', ..] => begun(1, false),
        [b':', ..] => begun(1, true),
        [b'%', b'3', b'D' | b'd', ..] => begun(3, false),
        // `"PASSWORD","value":"…"`, `("authorization", "…")`, `["--password", "…"]`
        [b',', ..] if quoted_name => pair(line, at + 1),
        [b'>', ..] if !quoted_name && is_tag(line, start) => begun(1, false),
        [_, ..] if at > end && !quoted_name && is_flag(line, start) => {
            Some(Value { at, quoted_name, colon: false })
        }
        _ => None,
    }
}

fn pair(line: &[u8], at: usize) -> Option<Value> {
    let at = values::skip_space(line, at);
    let marks = line[at..].iter().take_while(|byte| matches!(byte, b'"' | b'\\')).count();
    if marks == 0 {
        return None;
    }
    let word = &line[at + marks..];
    let value = word.get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"value"));
    let colon = values::skip_marks(line, at + marks + 5);
    if value && line.get(colon) == Some(&b':') {
        return Some(Value { at: values::skip_space(line, colon + 1), quoted_name: true, colon: true });
    }
    Some(Value { at, quoted_name: true, colon: false })
}

fn name_start(line: &[u8], start: usize) -> usize {
    start - line[..start].iter().rev().take_while(|byte| is_name(**byte) || **byte == b'.').count()
}

fn is_flag(line: &[u8], start: usize) -> bool {
    line[name_start(line, start)..].starts_with(b"-")
}

fn is_tag(line: &[u8], start: usize) -> bool {
    let name =
        line[..start].iter().rev().take_while(|byte| is_name(**byte) || matches!(byte, b':' | b'.')).count();
    line[..start - name].ends_with(b"<")
}

/// How long the word is that says of what kind a header's credential is.
fn scheme(value: &[u8]) -> usize {
    const SCHEMES: [&str; 7] =
        ["bearer", "basic", "dpop", "token", "negotiate", "digest", "aws4-hmac-sha256"];
    let space = value.iter().take_while(|byte| **byte != b' ' && **byte != b'%').count();
    let named = SCHEMES.iter().any(|scheme| value[..space].eq_ignore_ascii_case(scheme.as_bytes()));
    let gap = if value[space..].starts_with(b"%20") {
        3
    } else {
        value[space..].iter().take_while(|byte| **byte == b' ').count()
    };
    if named && gap > 0 && space + gap < value.len() { space + gap } else { 0 }
}
