//! Closed files: packed, waiting, shipped, and forgotten when there are too many.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::platform;
use crate::roll::CLOSED;

/// `jobs/<alloc>/<task>.stdout` is the deepest stream.
const DEPTH: usize = 4;
/// Jobs' lines are their customer's, not the owner's: nothing of them is kept once it is shipped.
const JOBS: &str = "jobs/";

pub(crate) struct Outbox {
    logs: PathBuf,
    max_total_bytes: u64,
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
    pub(crate) fn new(logs: &Path, max_total_bytes: u64) -> io::Result<Self> {
        let outbox = Self { logs: logs.to_owned(), max_total_bytes };
        platform::make_private(&outbox.waiting_folder())?;
        platform::make_private(&outbox.logs.join("jobs"))?;
        Ok(outbox)
    }

    /// Packs every closed file; returns how many. One that cannot be packed stays and is tried again.
    ///
    /// Nothing is lost or doubled by a crash in between: a file is first complete in the outbox, then gone from its
    /// stream; packing it again gives the same name and the same bytes.
    pub(crate) fn pack(&self) -> io::Result<u32> {
        let mut packed = 0;
        let mut result = Ok(());
        for (path, stream) in self.closed() {
            match self.pack_one(&path, &stream) {
                Ok(()) => packed += 1,
                Err(error) => result = Err(error),
            }
        }
        result.map(|()| packed)
    }

    /// Oldest first, whatever the stream.
    pub(crate) fn waiting(&self) -> Vec<Parcel> {
        parcels(&self.waiting_folder())
    }

    pub(crate) fn has(&self, parcel: &Parcel) -> bool {
        parcel.path.exists()
    }

    /// The store has it.
    pub(crate) fn shipped(&self, parcel: &Parcel) -> io::Result<()> {
        if parcel.name.starts_with(JOBS) {
            fs::remove_file(&parcel.path)?;
        } else {
            let kept = self.shipped_folder().join(&parcel.name);
            platform::make_private(kept.parent().unwrap_or(&self.logs))?;
            fs::rename(&parcel.path, kept)?;
        }
        let folders = parcel.path.ancestors().skip(1).take_while(|folder| *folder != self.waiting_folder());
        for folder in folders {
            let _ = fs::remove_dir(folder);
        }
        Ok(())
    }

    /// Keeps within the limit: the oldest shipped files go first, then the oldest waiting ones.
    pub(crate) fn trim(&self) -> Lost {
        let (shipped, waiting) = (parcels(&self.shipped_folder()), self.waiting());
        let mut total: u64 = shipped.iter().chain(&waiting).map(|parcel| parcel.bytes).sum();
        total += self
            .closed()
            .iter()
            .filter_map(|(path, _)| path.metadata().ok())
            .map(|data| data.len())
            .sum::<u64>();
        for parcel in &shipped {
            if total > self.max_total_bytes && fs::remove_file(&parcel.path).is_ok() {
                total -= parcel.bytes;
            }
        }
        let mut lost = Lost::default();
        for parcel in &waiting {
            if total > self.max_total_bytes && fs::remove_file(&parcel.path).is_ok() {
                total -= parcel.bytes;
                lost = Lost { files: lost.files + 1, bytes: lost.bytes + parcel.bytes };
            }
        }
        lost
    }

    /// Makes room on a full disk: what is shipped already is only a copy.
    pub(crate) fn forget_shipped(&self) {
        for parcel in parcels(&self.shipped_folder()) {
            let _ = fs::remove_file(parcel.path);
        }
    }

    /// Closed files that are not packed, each with its stream.
    fn closed(&self) -> Vec<(PathBuf, String)> {
        let mut found = Vec::new();
        for top in ["app", "agent", "jobs"] {
            walk(&self.logs.join(top), top, DEPTH, &mut |path, stream, name| {
                if name.starts_with(CLOSED) {
                    found.push((path, stream.to_owned()));
                }
            });
        }
        found.sort();
        found
    }

    fn pack_one(&self, closed: &Path, stream: &str) -> io::Result<()> {
        let name = closed.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let target =
            self.waiting_folder().join(stream).join(format!("{}.gz", name.trim_start_matches(CLOSED)));
        // In the same folder tree, so that the rename cannot cross a file system.
        let part = self.logs.join("packing.part");
        let packed = compress(closed, &part).and_then(|()| {
            platform::make_private(target.parent().unwrap_or(&self.logs))?;
            fs::rename(&part, &target)
        });
        if let Err(error) = packed {
            let _ = fs::remove_file(&part);
            return Err(error);
        }
        fs::remove_file(closed)?;
        if stream.starts_with(JOBS) {
            // Streams of jobs come and go; a folder that still holds something stays.
            closed.ancestors().skip(1).take(2).for_each(|folder| drop(fs::remove_dir(folder)));
        }
        Ok(())
    }

    fn waiting_folder(&self) -> PathBuf {
        self.logs.join("outbox")
    }

    fn shipped_folder(&self) -> PathBuf {
        self.logs.join("shipped")
    }
}

/// The same bytes give the same file: the header holds neither time nor name.
fn compress(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut packer = GzEncoder::new(platform::create(to)?, Compression::default());
    io::copy(&mut source, &mut packer)?;
    let mut file = packer.finish()?;
    file.flush()?;
    file.sync_all()
}

fn parcels(folder: &Path) -> Vec<Parcel> {
    let mut found = Vec::new();
    walk(folder, "", DEPTH, &mut |path, stream, name| {
        if name.ends_with(".gz")
            && let Ok(metadata) = path.metadata()
        {
            found.push(Parcel { path, name: format!("{stream}/{name}"), bytes: metadata.len() });
        }
    });
    let age = |parcel: &Parcel| parcel.path.file_name().map(ToOwned::to_owned);
    found.sort_by(|a, b| (age(a), &a.name).cmp(&(age(b), &b.name)));
    found
}

/// Calls `with(path, stream, file name)` for every regular file; links are not followed.
fn walk(folder: &Path, stream: &str, depth: usize, with: &mut dyn FnMut(PathBuf, &str, &str)) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (Ok(kind), Ok(name)) = (entry.file_type(), entry.file_name().into_string()) else { continue };
        if kind.is_file() {
            with(entry.path(), stream, &name);
        } else if kind.is_dir() && depth > 0 {
            let below = if stream.is_empty() { name } else { format!("{stream}/{name}") };
            walk(&entry.path(), &below, depth - 1, with);
        }
    }
}
