//! What differs between systems.

use std::process::Child;
use std::time::Duration;

/// A thousand devices are more connections than the usual soft limit on open files.
#[cfg(unix)]
pub(crate) fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where it may not, the connections that fail say so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

#[cfg(not(unix))]
pub(crate) fn raise_open_files() {}

/// Ends a program in its own good order, or after fifteen seconds in any.
pub(crate) fn end(mut program: Child) {
    ask_to_end(&program);
    for _ in 0..150 {
        if program.try_wait().is_ok_and(|ended| ended.is_some()) {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let _ = program.kill();
    let _ = program.wait();
}

#[cfg(unix)]
fn ask_to_end(program: &Child) {
    use rustix::process::{Pid, Signal, kill_process};
    if let Some(pid) = i32::try_from(program.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::TERM);
    }
}

#[cfg(not(unix))]
fn ask_to_end(_: &Child) {}
