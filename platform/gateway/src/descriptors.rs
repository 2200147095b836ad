//! The system's limit on open files, of which every connection is one.

/// The limit, raised to what this process may have; none where the system has no such thing.
#[cfg(unix)]
pub(crate) fn limit() -> Option<usize> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // The soft limit is low for the sake of programs that use `select`; this one does not.
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).map(|()| maximum);
    raised.unwrap_or(current).map(|files| usize::try_from(files).unwrap_or(usize::MAX))
}

/// The limit; none where the system has no such thing.
#[cfg(not(unix))]
pub(crate) fn limit() -> Option<usize> {
    None
}
