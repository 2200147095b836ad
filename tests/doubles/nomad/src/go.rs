//! Go's words for what an operating system refuses.

use std::io::{Error, ErrorKind};

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
