//! A process in namespaces of its own. The library calls that start one know no such flags.

use std::io;

use rustix::process::Pid;
use rustix::thread::UnshareFlags;

/// The new process goes on where this one stands; none in it, its number in this one. Its namespaces are those of a user namespace of
/// its own, whose ids are still to be mapped.
///
/// # Safety
/// The calling process has one thread: another's locks would stay locked in the new one for ever.
pub(crate) unsafe fn into_new_namespaces() -> io::Result<Option<Pid>> {
    let flags = libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::SIGCHLD;
    // SAFETY: without a stack and without CLONE_VM this is a fork, which the caller answers for.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(Pid::from_raw(pid as i32)),
    }
}

/// Leaves those namespaces for ones of its own.
pub(crate) fn leave(what: UnshareFlags) -> io::Result<()> {
    // SAFETY: no table of open files is left, which is all that other threads could miss.
    unsafe { rustix::thread::unshare_unsafe(what.difference(UnshareFlags::FILES)) }.map_err(Into::into)
}
