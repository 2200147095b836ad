//! Reading a whole folder.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use flate2::read::GzDecoder;

/// Every regular file below `folder`, sorted. What goes away while it is looked at is left out.
pub fn below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => found.push(entry.path()),
                Ok(_) | Err(_) => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The files below `folder` that hold `needle`.
pub fn containing(folder: &Path, needle: &[u8]) -> Result<Vec<PathBuf>> {
    let holds = |file: &PathBuf| std::fs::read(file).is_ok_and(|bytes| has(&bytes, needle));
    Ok(below(folder)?.into_iter().filter(holds).collect())
}

pub fn has(bytes: &[u8], needle: &[u8]) -> bool {
    !needle.is_empty() && bytes.windows(needle.len()).any(|window| window == needle)
}

/// What a gzip file holds. Its checksum is part of the format, so a changed byte is an error.
pub fn unpacked(packed: &[u8]) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_needle_is_found_however_deep_it_lies() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join("c"), "hay needle hay").unwrap();
        std::fs::write(folder.path().join("d"), "hay").unwrap();

        let found = containing(folder.path(), b"needle").unwrap();

        assert_eq!(found, [deep.join("c")]);
    }
}
