//! Closed files: packed, waiting, shipped, and forgotten when there are too many.

mod index;
mod pack;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::looks::Looks;
use crate::names::number_of;
use crate::tail::Stop;
use index::{Index, Owner};
use pack::Closed;

/// Jobs' lines are their customer's, not the owner's: nothing of them is kept once it is shipped.
const JOBS: &str = "jobs/";
/// More files of one owner do not wait, however small they are: weeks of the app's own.
const MOST_FILES: usize = 4000;
/// More of what is shipped is not kept.
const MOST_SHIPPED: usize = 500;

pub(crate) struct Outbox {
    logs: PathBuf,
    max_total_bytes: u64,
    index: Mutex<Index>,
    looks: Looks,
}

/// A packed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parcel {
    pub(crate) path: PathBuf,
    /// `<stream>/<UTC time>-<seq>.log.gz`.
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

/// What had to be deleted before it was shipped.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) files: u32,
    pub(crate) bytes: u64,
}

impl Outbox {
    /// Finds what an earlier life left. From then on the folders are its own, and are not gone through again.
    pub(crate) fn new(logs: &Path, max_total_bytes: u64, looks: Looks) -> Self {
        let _ = fs::remove_file(logs.join(pack::PART));
        for folder in ["outbox", "jobs"] {
            // Where the disk does not let it, each is made when it is needed.
            let _ = ionet_private::folder(&logs.join(folder));
        }
        looks.count();
        let index = Index::load(&logs.join("outbox"), &logs.join("shipped"));
        Self { logs: logs.to_owned(), max_total_bytes, index: Mutex::new(index), looks }
    }

    /// The highest number that a file of an earlier life has.
    pub(crate) fn last_number(&self) -> u64 {
        let index = self.index();
        let packed = index.waiting.last_key_value().into_iter().chain(index.shipped.last_key_value());
        let packed = packed.map(|((number, _), _)| *number).max().unwrap_or_default();
        let closed = pack::closed(&self.logs);
        closed.iter().map(|closed| number_of(&closed.path.to_string_lossy())).fold(packed, u64::max)
    }

    /// Packs every closed file; returns how many. One that cannot be packed stays and is tried again.
    ///
    /// Nothing is lost or doubled by a crash in between: a file is first complete in the outbox, then gone from its
    /// stream; packing it again gives the same name and the same bytes.
    pub(crate) fn pack(&self, stop: &Stop) -> io::Result<u32> {
        self.looks.count();
        let mut packed = 0;
        let mut result = Ok(());
        let mut left = Vec::new();
        for closed in pack::closed(&self.logs) {
            match pack::one(&self.logs, &closed, stop) {
                Ok((name, bytes)) => {
                    packed += 1;
                    self.index().waiting.insert(index::key(name), bytes);
                }
                Err(error) => {
                    result = Err(error);
                    left.push(closed);
                }
            }
        }
        self.index().raw = left;
        result.map(|()| packed)
    }

    /// Oldest first, whatever the stream.
    pub(crate) fn waiting(&self) -> Vec<Parcel> {
        let folder = self.waiting_folder();
        let parcel = |((_, name), bytes): (&(u64, String), &u64)| Parcel {
            path: folder.join(name),
            name: name.clone(),
            bytes: *bytes,
        };
        self.index().waiting.iter().map(parcel).collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.index().waiting.len()
    }

    pub(crate) fn oldest(&self) -> Option<String> {
        self.index().waiting.first_key_value().map(|((_, name), _)| name.clone())
    }

    pub(crate) fn has(&self, parcel: &Parcel) -> bool {
        parcel.path.exists()
    }

    /// Somebody else has deleted it.
    pub(crate) fn forget(&self, parcel: &Parcel) {
        self.index().waiting.remove(&index::key(parcel.name.clone()));
    }

    /// The store has it: it is not sent again, whatever becomes of the copy.
    pub(crate) fn shipped(&self, parcel: &Parcel) -> io::Result<()> {
        let key = index::key(parcel.name.clone());
        self.index().waiting.remove(&key);
        let kept = if parcel.name.starts_with(JOBS) {
            fs::remove_file(&parcel.path)
        } else {
            self.keep(parcel, key).inspect_err(|_| drop(fs::remove_file(&parcel.path)))
        };
        self.tidy(&parcel.path);
        kept
    }

    fn keep(&self, parcel: &Parcel, key: index::Key) -> io::Result<()> {
        let kept = self.shipped_folder().join(&parcel.name);
        ionet_private::folder(kept.parent().unwrap_or(&self.logs))?;
        fs::rename(&parcel.path, kept)?;
        self.index().shipped.insert(key, parcel.bytes);
        Ok(())
    }

    /// Keeps within the limits. Jobs have one half of the room and the agent a quarter at the most, so that neither ever
    /// takes the app's own. Whatever the owner: shipped files are only copies and go first; then jobs' go, of the
    /// allocation that takes the most its oldest, then the agent's, then the app's.
    pub(crate) fn trim(&self) -> Lost {
        let mut lost = Lost::default();
        let half = self.max_total_bytes / 2;
        for (owner, most) in
            [(Owner::Jobs, half), (Owner::Agent, half / 2), (Owner::App, self.max_total_bytes)]
        {
            let too_much =
                || self.index().bytes_of(owner) > most || self.index().count_of(owner) > MOST_FILES;
            while too_much() && self.drop_oldest(owner, &mut lost) {}
        }
        while self.index().shipped.len() > MOST_SHIPPED && self.forget_oldest_shipped() {}
        while self.index().bytes() > self.max_total_bytes && self.forget_oldest_shipped() {}
        for owner in [Owner::Jobs, Owner::Agent, Owner::App] {
            while self.index().bytes() > self.max_total_bytes && self.drop_oldest(owner, &mut lost) {}
        }
        lost
    }

    /// Makes room on a full disk: what is shipped already is only a copy.
    pub(crate) fn forget_shipped(&self) {
        while self.forget_oldest_shipped() {}
    }

    /// Makes room on a disk that is so full that nothing can be packed: jobs' raw files go, which nobody can send.
    pub(crate) fn forget_raw(&self) -> Lost {
        let mut lost = Lost::default();
        self.index().raw.retain(|closed| {
            let goes = closed.stream.starts_with(JOBS) && fs::remove_file(&closed.path).is_ok();
            if goes {
                lost = Lost { files: lost.files + 1, bytes: lost.bytes + closed.bytes };
            }
            !goes
        });
        lost
    }

    fn forget_oldest_shipped(&self) -> bool {
        let Some(((_, name), _)) = self.index().shipped.pop_first() else { return false };
        let _ = fs::remove_file(self.shipped_folder().join(name));
        true
    }

    /// Also one that cannot be deleted is not counted on: a disk that fails must not keep this going for ever.
    fn drop_oldest(&self, owner: Owner, lost: &mut Lost) -> bool {
        if let Some(Closed { path, bytes, .. }) = self.index().take_raw(owner) {
            let _ = fs::remove_file(path);
            *lost = Lost { files: lost.files + 1, bytes: lost.bytes + bytes };
            return true;
        }
        let Some((name, bytes)) = self.index().take_oldest(owner) else { return false };
        let path = self.waiting_folder().join(name);
        if fs::remove_file(&path).is_ok() {
            *lost = Lost { files: lost.files + 1, bytes: lost.bytes + bytes };
            self.tidy(&path);
        }
        true
    }

    /// Folders of streams come and go; one that still holds something stays.
    fn tidy(&self, path: &Path) {
        let top = self.waiting_folder();
        for folder in path.ancestors().skip(1).take_while(|folder| *folder != top) {
            let _ = fs::remove_dir(folder);
        }
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting_folder(&self) -> PathBuf {
        self.logs.join("outbox")
    }

    fn shipped_folder(&self) -> PathBuf {
        self.logs.join("shipped")
    }
}
