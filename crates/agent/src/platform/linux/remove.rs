//! Removes whatever a job left in its folder. How deep that goes and what it is named was the job's to choose, so that
//! neither the descriptors nor the memory that this takes may grow with it.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, chmod, openat, renameat, unlinkat};
use rustix::io::{Errno, Result};

/// So many folders are open at a time. What lies deeper is moved up first.
const DEEP: usize = 64;

pub(super) const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// `go_on` is asked before and after each file: `TIMEDOUT` where it says no. Follows no link, also not one that is put in a
/// folder's place meanwhile: what a job has linked to is not its own.
pub(super) fn remove_at(parent: BorrowedFd<'_>, name: &CStr, go_on: &dyn Fn() -> bool) -> Result<()> {
    let proceed = || if go_on() { Ok(()) } else { Err(Errno::TIMEDOUT) };
    proceed()?;
    let Some(top) = enter(parent, name)? else { return Ok(()) };
    let mut open = Open { folders: vec![top], moved: 0 };
    while let Some(folder) = open.folders.last_mut() {
        // Also where the next one is yet to be found.
        proceed()?;
        let entry = folder.next();
        proceed()?;
        match entry {
            Some(entry) => open.remove(&entry),
            None => {
                if let Some(removed) = open.close(parent) {
                    return removed;
                }
            }
        }
    }
    Ok(())
}

struct Folder {
    name: CString,
    entries: Dir,
    /// What this user may not remove (a container's, of another one) keeps nothing else.
    all: Result<()>,
    /// Something was moved here that the look under way may have missed.
    again: bool,
}

impl Folder {
    fn next(&mut self) -> Option<CString> {
        loop {
            match self.entries.read() {
                Some(Ok(entry)) if [c".", c".."].contains(&entry.file_name()) => {}
                Some(Ok(entry)) => return Some(entry.file_name().to_owned()),
                Some(Err(error)) => {
                    self.all = Err(error);
                    return None;
                }
                None if self.again => {
                    (self.again, self.all) = (false, Ok(()));
                    self.entries.rewind();
                }
                None => return None,
            }
        }
    }
}

/// Each is in the one before it.
struct Open {
    folders: Vec<Folder>,
    moved: u64,
}

impl Open {
    fn remove(&mut self, name: &CStr) {
        let deep = self.folders.len() == DEEP;
        let Some(folder) = self.folders.last_mut() else { return };
        let entered = folder.entries.fd().and_then(|at| enter(at, name));
        match entered {
            Ok(Some(_)) if deep => self.move_up(name),
            Ok(Some(entered)) => self.folders.push(entered),
            Ok(None) => {}
            Err(error) => folder.all = Err(error),
        }
    }

    /// To the highest folder that this user may write to, under a name that is free there.
    fn move_up(&mut self, name: &CStr) {
        let Some((from, above)) = self.folders.split_last_mut() else { return };
        let mut moved = Err(Errno::ACCESS);
        for to in above {
            moved = move_to(&from.entries, name, &to.entries, &mut self.moved);
            if moved.is_ok() {
                to.again = true;
                return;
            }
        }
        from.all = moved;
    }

    /// How the removal ended, with the first.
    fn close(&mut self, parent: BorrowedFd<'_>) -> Option<Result<()>> {
        let closed = self.folders.pop()?;
        let at = self.folders.last().map_or(Ok(parent), |above| above.entries.fd());
        let removed = match closed.all.and(at).and_then(|at| unlinkat(at, &closed.name, AtFlags::REMOVEDIR)) {
            Err(Errno::NOENT) => Ok(()),
            removed => removed,
        };
        let Some(above) = self.folders.last_mut() else { return Some(removed) };
        above.all = above.all.and(removed);
        None
    }
}

/// The folder of that name, to be emptied. None where there was something else, or nothing: then it is gone.
fn enter(parent: BorrowedFd<'_>, name: &CStr) -> Result<Option<Folder>> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => {}
        Ok(()) | Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error),
    }
    let entries = Dir::new(open_up(parent, name)?)?;
    Ok(Some(Folder { name: name.to_owned(), entries, all: Ok(()), again: false }))
}

/// A job may have taken its own rights to its folder away: this user gives them back to itself.
fn open_up(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    let place = openat(parent, name, FOLDER | OFlags::PATH, Mode::empty())?;
    let _ = chmod(format!("/proc/self/fd/{}", place.as_raw_fd()), Mode::RWXU);
    openat(parent, name, FOLDER | OFlags::RDONLY, Mode::empty())
}

/// What is named like it there already stays, but for an empty folder: that goes, as all does.
fn move_to(from: &Dir, name: &CStr, to: &Dir, moved: &mut u64) -> Result<()> {
    loop {
        *moved += 1;
        match renameat(from.fd()?, name, to.fd()?, format!("moved-{moved}")) {
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
            result => return result,
        }
    }
}
