//! Go's words for what an operating system refuses, and for how long something takes.

use std::{
    io::{Error, ErrorKind},
    time::Duration,
};

const WORDS: [(ErrorKind, &str); 9] = [
    (ErrorKind::NotFound, "no such file or directory"),
    (ErrorKind::PermissionDenied, "permission denied"),
    (ErrorKind::NotADirectory, "not a directory"),
    (ErrorKind::AlreadyExists, "not a directory"),
    (ErrorKind::ReadOnlyFilesystem, "read-only file system"),
    (ErrorKind::AddrInUse, "address already in use"),
    (ErrorKind::AddrNotAvailable, "cannot assign requested address"),
    (ErrorKind::ConnectionRefused, "connection refused"),
    (ErrorKind::NetworkUnreachable, "network is unreachable"),
];

pub(crate) fn words(error: &Error) -> String {
    let known = WORDS.iter().find(|(kind, _)| *kind == error.kind());
    known.map_or_else(|| error.to_string(), |(_, words)| (*words).to_owned())
}

/// A Go duration such as `1h30m`, `250ms` or `-1s` (which reads as zero).
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('-').map_or(text, |_| "0");
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut total, mut rest) = (0.0, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |n| digits + n);
        total += number
            * match &rest[digits..unit_end] {
                "ns" => 1e-9,
                "us" | "µs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return None,
            };
        rest = &rest[unit_end..];
    }
    (!text.is_empty()).then(|| Duration::from_secs_f64(total))
}

/// A duration as Go prints it, such as `1m30s`.
pub(crate) fn duration_text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, duration.as_secs_f64() % 60.0) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s}s"),
        (h, m, s) => format!("{h}h{m}m{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        assert_eq!(duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("nope"), None);
    }
}
