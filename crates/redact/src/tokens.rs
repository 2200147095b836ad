//! Secrets by their own form: well-known prefixes, JSON web tokens, keys, addresses that carry a password.

use crate::REDACTED;
use crate::spans::Span;

/// `[A-Za-z0-9_-]` and what else such a token holds.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

fn begins_a_word(line: &[u8], start: usize) -> bool {
    start == 0 || !line[start - 1].is_ascii_alphanumeric() || after_escape(&line[..start])
}

/// `\n`, `\t` and `%3D` end in letters that belong to no word.
fn after_escape(before: &[u8]) -> bool {
    matches!(before, [.., b'\\', b'n' | b'r' | b't'])
        || matches!(before, [.., b'%', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
        || matches!(before, [.., b'\\', b'u', b'0', b'0', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

/// A token that its maker begins with `line[start..end]`, as it is spelled, and goes on for `least` characters, one of
/// them a digit.
pub(crate) fn prefixed(line: &[u8], start: usize, end: usize, spelled: &str, least: usize) -> Option<Span> {
    if line[start..end] != *spelled.as_bytes() || !begins_a_word(line, start) {
        return None;
    }
    let rest = &line[end..];
    let length = rest.iter().take_while(|byte| is_token(**byte)).count();
    let digits = rest[..length].iter().any(u8::is_ascii_digit);
    (length >= least && digits).then(|| Span::new(start, end + length, REDACTED))
}

/// Vault's older tokens, `s.` and 24 letters and digits: too short a beginning for anything looser.
pub(crate) fn vault(line: &[u8], start: usize, end: usize) -> Option<Span> {
    let joined = start > 0 && (is_token(line[start - 1]) || line[start - 1] == b'/');
    let free = !joined || after_escape(&line[..start]);
    let rest = &line[end..];
    let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let mixed =
        rest[..length].iter().any(u8::is_ascii_digit) && rest[..length].iter().any(u8::is_ascii_alphabetic);
    (free && line[start].is_ascii_lowercase() && length >= 24 && mixed)
        .then(|| Span::new(start, end + length, REDACTED))
}

pub(crate) fn json_web_token(line: &[u8], start: usize) -> Option<Span> {
    if !line[start..].starts_with(b"eyJ") || !begins_a_word(line, start) {
        return None;
    }
    let length = line[start..].iter().take_while(|byte| is_token(**byte)).count();
    (length >= 16).then(|| Span::new(start, start + length, REDACTED))
}

/// `Bearer …` without the header's name. In prose the next word is plain and short.
pub(crate) fn scheme(line: &[u8], start: usize, end: usize) -> Option<Span> {
    let rest = &line[end..];
    let gap = match rest {
        [b'%', b'2', b'0', ..] => 3,
        _ => rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count(),
    };
    if gap == 0 || !begins_a_word(line, start) {
        return None;
    }
    let value = rest[gap..].iter().take_while(|byte| is_token(**byte) || b"~+/=".contains(byte));
    let length = value.clone().count();
    let plain = value.clone().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'.' | b'-'));
    (length >= 20 || length >= 8 && !plain).then(|| Span::new(end + gap, end + gap + length, REDACTED))
}

/// A private key's inside, from the marker that begins it. Whether it goes on in the next line.
pub(crate) fn private_key(line: &[u8], start: usize) -> Option<(Span, bool)> {
    let from = marker(line, start, b"-----BEGIN ")?;
    if let Some((to, _)) = key_end(line, from) {
        return Some((Span::new(from, to, REDACTED), false));
    }
    // Cut off within a quoted text: the quote is its end.
    match memchr::memchr(b'"', &line[from..]) {
        Some(quote) => Some((Span::new(from, from + quote, REDACTED), false)),
        None => Some((Span::new(from, line.len(), REDACTED), true)),
    }
}

/// Where a private key's last marker begins and ends.
pub(crate) fn key_end(line: &[u8], from: usize) -> Option<(usize, usize)> {
    memchr::memmem::find_iter(&line[from..], b"-----END ")
        .find_map(|place| Some((from + place, marker(line, from + place, b"-----END ")?)))
}

/// The end of `-----BEGIN … PRIVATE KEY …-----`.
fn marker(line: &[u8], start: usize, begin: &[u8]) -> Option<usize> {
    let rest = &line[start..];
    let after = rest.get(begin.len()..).filter(|_| rest[..begin.len()].eq_ignore_ascii_case(begin))?;
    let label = after.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b' ').count();
    let private = memchr::memmem::find(&after[..label], b"PRIVATE KEY").is_some();
    (private && after[label..].starts_with(b"-----")).then_some(start + begin.len() + label + 5)
}

/// `user:password@` or `token@` after `://`.
pub(crate) fn user_info(line: &[u8], end: usize) -> Option<Span> {
    let rest = &line[end..];
    let ends = |byte: &&u8| !(byte.is_ascii_whitespace() || b"\"'\\<>`".contains(byte));
    let address = &rest[..rest.iter().take_while(ends).count()];
    let authority = &address[..address.iter().take_while(|byte| !b"/?#".contains(byte)).count()];
    let at = match memchr::memrchr(b'@', authority) {
        Some(at) => at,
        // A password with a slash in it, as people write them.
        None if has_password(authority) => memchr::memchr(b'@', address)?,
        None => return None,
    };
    (at > 0 && &address[..at] != b"git").then(|| Span::new(end, end + at, REDACTED))
}

/// Something after the colon that is no port.
fn has_password(authority: &[u8]) -> bool {
    let Some(colon) = memchr::memchr(b':', authority).filter(|_| !authority.starts_with(b"[")) else {
        return false;
    };
    !authority[colon + 1..].iter().all(u8::is_ascii_digit)
}

/// The query of a presigned request, also where JSON has written `&` as `\u0026`.
pub(crate) fn signed_query(line: &[u8], start: usize) -> Option<Span> {
    let ends = |byte: u8| byte.is_ascii_whitespace() || b"\"'<>`".contains(&byte);
    let query = line[..start]
        .iter()
        .rposition(|byte| *byte == b'?' || ends(*byte))
        .filter(|place| line[*place] == b'?')?;
    let mut end = query + 1;
    while end < line.len() && !ends(line[end]) {
        if line[end] == b'\\' && !line[end..].starts_with(b"\\u0026") {
            break;
        }
        end += 1;
    }
    Some(Span::new(query + 1, end, REDACTED))
}

/// `name@host.tld`.
pub(crate) fn mail(line: &[u8], start: usize, end: usize) -> Option<Span> {
    let is_local = |byte: &u8| byte.is_ascii_alphanumeric() || b"._%+-".contains(byte);
    let local = line[..start].iter().rev().take_while(|byte| is_local(byte)).count();
    let is_host = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let host = line[end..].iter().take_while(|byte| is_host(byte)).count();
    let mut host = &line[end..end + host];
    while let [short @ .., b'.' | b'-'] = host {
        host = short;
    }
    let dot = memchr::memrchr(b'.', host)?;
    let top = host[dot + 1..].iter().all(u8::is_ascii_alphabetic) && host.len() - dot > 2;
    let service = &line[start - local..start] == b"git";
    (local > 0 && !service && dot > 0 && top).then(|| Span::new(start - local, end + host.len(), "[e-mail]"))
}

/// The owner's name, after the folder of all owners.
pub(crate) fn home(line: &[u8], end: usize) -> Option<Span> {
    let slashes = line[end..].iter().take_while(|byte| **byte == b'\\').count();
    let start = end + slashes;
    let ends = |byte: &&u8| !(byte.is_ascii_whitespace() || b"/\\\"':,;<>".contains(byte));
    let name = line[start..].iter().take_while(ends).count();
    (name > 0).then(|| Span::new(start, start + name, "[owner]"))
}
