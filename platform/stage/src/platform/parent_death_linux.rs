use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// The child gets SIGTERM when the thread that spawned it ends, however it ends: a stage that is killed leaves no orphans.
pub(super) fn follow(command: &mut Command) {
    let ask = || {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
        Ok(())
    };
    // SAFETY: between fork and exec this makes one system call and allocates nothing.
    unsafe { command.pre_exec(ask) };
}
