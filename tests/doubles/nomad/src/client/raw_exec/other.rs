use std::process::ExitCode;

use super::{Exit, Handle, Launch};

pub(crate) const DETECTED: bool = false;

const NONE: &str = "the raw_exec driver of this double runs on Linux only";

pub(crate) fn plugin(_args: &[String]) -> Option<ExitCode> {
    None
}

pub(crate) async fn start(_launch: &Launch) -> Result<Handle, String> {
    Err(NONE.into())
}

pub(crate) async fn is_alive(_handle: &Handle) -> bool {
    false
}

pub(crate) async fn wait(_handle: &Handle) -> Result<Exit, String> {
    Err(NONE.into())
}

pub(crate) async fn signal(_handle: &Handle, _name: &str) {}

pub(crate) async fn finish(_handle: &Handle) {}

pub(crate) async fn end_logmon(_handle: &Handle) {}
