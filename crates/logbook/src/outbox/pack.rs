//! From a stream's folder into the outbox, compressed.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::JOBS;
use crate::platform;
use crate::roll::CLOSED;
use crate::tail::Stop;

/// In the same folder tree, so that the rename cannot cross a file system.
pub(super) const PART: &str = "packing.part";
/// `jobs/<alloc>/<task>.stdout` is the deepest stream.
const DEPTH: usize = 4;
/// Packed between two looks at whether to leave off.
const PIECE: usize = 64 << 10;

/// A closed file that is not packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Closed {
    pub(super) path: PathBuf,
    pub(super) stream: String,
    pub(super) bytes: u64,
}

/// All of them, oldest first.
pub(super) fn closed(logs: &Path) -> Vec<Closed> {
    let mut found = Vec::new();
    for top in ["app", "agent", "jobs"] {
        walk(&logs.join(top), top, &mut |path, stream, name| {
            if name.starts_with(CLOSED) {
                let bytes = path.metadata().map_or(0, |metadata| metadata.len());
                found.push(Closed { path, stream: stream.to_owned(), bytes });
            }
        });
    }
    found.sort_by_key(|closed| closed.path.file_name().map(ToOwned::to_owned));
    found
}

/// Returns the packed file's name and size.
pub(super) fn one(logs: &Path, closed: &Closed, stop: &Stop) -> io::Result<(String, u64)> {
    let Closed { path, stream, .. } = closed;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = format!("{stream}/{}.gz", name.trim_start_matches(CLOSED));
    let target = logs.join("outbox").join(&name);
    let part = logs.join(PART);
    let packed = compress(path, &part, stop).and_then(|bytes| {
        ionet_private::folder(target.parent().unwrap_or(logs))?;
        fs::rename(&part, &target)?;
        Ok(bytes)
    });
    if packed.is_err() {
        let _ = fs::remove_file(&part);
    }
    let bytes = packed?;
    fs::remove_file(path)?;
    if stream.starts_with(JOBS) {
        // Streams of jobs come and go; a folder that still holds something stays.
        path.ancestors().skip(1).take(2).for_each(|folder| drop(fs::remove_dir(folder)));
    }
    Ok((name, bytes))
}

/// Calls `with(path, stream, file name)` for every regular file; links are not followed.
pub(super) fn walk(folder: &Path, stream: &str, with: &mut dyn FnMut(PathBuf, &str, &str)) {
    walk_to(folder, stream, DEPTH, with);
}

fn walk_to(folder: &Path, stream: &str, depth: usize, with: &mut dyn FnMut(PathBuf, &str, &str)) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (Ok(kind), Ok(name)) = (entry.file_type(), entry.file_name().into_string()) else { continue };
        if kind.is_file() {
            with(entry.path(), stream, &name);
        } else if kind.is_dir() && depth > 0 {
            let below = if stream.is_empty() { name } else { format!("{stream}/{name}") };
            walk_to(&entry.path(), &below, depth - 1, with);
        }
    }
}

/// The same bytes give the same file: the header holds neither time nor name.
fn compress(from: &Path, to: &Path, stop: &Stop) -> io::Result<u64> {
    let mut source = File::open(from)?;
    ionet_private::make_way(to)?;
    let mut packer = GzEncoder::new(platform::create(to)?, Compression::default());
    let mut piece = vec![0; PIECE];
    loop {
        if stop.is_asked() {
            return Err(io::Error::from(io::ErrorKind::Interrupted));
        }
        match source.read(&mut piece)? {
            0 => break,
            read => packer.write_all(&piece[..read])?,
        }
    }
    let mut file = packer.finish()?;
    file.flush()?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}
