//! Foreign text on a screen.

use std::borrow::Cow;

/// `text` without what a terminal would obey: escape sequences with all they hold, control characters other than the end
/// of a line and the tab, and the marks that turn the direction of writing.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_command) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\x1b' => match rest.next() {
                Some('[') => skip_until(&mut rest, |c| ('\x40'..='\x7e').contains(&c)),
                // A title, a link, a clipboard: up to the bell or the terminator.
                Some(']' | 'P' | 'X' | '^' | '_') => skip_string(&mut rest),
                // One that chooses a character set has one more.
                Some('(' | ')' | '*' | '+' | '#' | '%' | ' ') => drop(rest.next()),
                Some(_) | None => {}
            },
            '\u{9b}' => skip_until(&mut rest, |c| ('\x40'..='\x7e').contains(&c)),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => skip_string(&mut rest),
            c if is_command(c) => {}
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

fn is_command(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// A sequence that never ends stops at the line's end, so that it takes nothing of the next line along.
fn skip_until(rest: &mut Rest<'_>, last: impl Fn(char) -> bool) {
    while let Some(c) = rest.next_if(|c| *c != '\n') {
        if last(c) {
            return;
        }
    }
}

fn skip_string(rest: &mut Rest<'_>) {
    while let Some(c) = rest.next_if(|c| *c != '\n') {
        if c == '\x07' || c == '\u{9c}' {
            return;
        }
        if c == '\x1b' && rest.next_if_eq(&'\\').is_some() {
            return;
        }
    }
}
