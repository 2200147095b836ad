//! What of this PC a capsule gets where its owner has not said it.

use std::fs;
use std::io;
use std::path::Path;

const GIB: u64 = 1 << 30;
/// Of the drive: 60 GB, as the window counts them.
const MOST: u64 = 60 * GIB;

/// In bytes: a third of what is free, and no more than that.
pub(crate) fn of_drive(folder: &Path) -> io::Result<u64> {
    let drive = rustix::fs::statvfs(folder)?;
    // Whole mebibytes, as an image has them.
    Ok(((drive.f_bavail * drive.f_frsize) / 3).min(MOST) >> 20 << 20)
}

/// In bytes: a quarter of this PC's memory stays its owner's, and 2 GiB at least.
pub(crate) fn of_memory() -> u64 {
    let told = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total =
        told.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok());
    let total = total.map_or(4 * GIB, |kib: u64| kib << 10);
    total.saturating_sub((total / 4).max(2 * GIB)).max(GIB / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_keeps_a_part_of_drive_and_memory() {
        let folder = tempfile::tempdir().unwrap();
        let drive = rustix::fs::statvfs(folder.path()).unwrap();
        let free = drive.f_bavail * drive.f_frsize;

        let share = of_drive(folder.path()).unwrap();

        assert!(share <= MOST && share <= free / 2, "{share} of {free}");
        assert!(of_memory() >= GIB / 2);
    }
}
