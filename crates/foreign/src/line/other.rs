//! Systems on which no capsule lives yet.

use std::io;
use std::path::Path;
use std::time::Instant;

/// There is none.
#[derive(Debug)]
pub(crate) enum Line {}

impl Line {
    pub(crate) fn to(_socket: &Path) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn read(&mut self, _into: &mut [u8], _until: Instant) -> io::Result<()> {
        match *self {}
    }

    pub(crate) fn write(&mut self, _from: &[u8], _until: Instant) -> io::Result<()> {
        match *self {}
    }

    pub(crate) fn is_quiet(&self) -> bool {
        match *self {}
    }
}
