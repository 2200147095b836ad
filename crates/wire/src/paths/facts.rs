//! What the system says about the disk that the data lie on.

use std::path::Path;

/// Facts of the data folder's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    pub storage: Storage,
    /// Nothing can be written: mounted so, or made so after an error.
    pub read_only: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    Disk,
    /// A network mount, with its kind. On `nfs` the engine's root usually counts as nobody, who may not enter a folder
    /// that is closed to others: no job can be given its files.
    Network(&'static str),
    /// Forgotten when the PC is switched off.
    Memory,
    /// The system does not say.
    Unknown,
}

pub(super) fn of(folder: &Path) -> Facts {
    platform::of(folder)
}

/// Whether sockets can lie there. Where nothing is known they can.
pub(super) fn keeps_sockets(folder: &Path) -> bool {
    platform::keeps_sockets(folder)
}

#[cfg(target_os = "linux")]
mod platform {
    use std::path::Path;

    use rustix::fs::{StatVfsMountFlags, statfs, statvfs};

    use super::{Facts, Storage};

    /// Numbers of `statfs(2)` and `linux/magic.h`.
    const NETWORK: [(u32, &str); 10] = [
        (0x6969, "nfs"),
        (0xff53_4d42, "cifs"),
        (0xfe53_4d42, "smb"),
        (0x517b, "smb"),
        (0x5346_414f, "afs"),
        (0x00c3_6400, "ceph"),
        (0x0bd0_0bd0, "lustre"),
        (0x4750_4653, "gpfs"),
        (0x7375_7245, "coda"),
        (0x0102_1997, "9p"),
    ];
    /// tmpfs and ramfs.
    const MEMORY: [u32; 2] = [0x0102_1994, 0x8584_58f6];
    /// vfat, exfat, cifs, smb2 and 9p.
    const NO_SOCKETS: [u32; 5] = [0x4d44, 0x2011_bab0, 0xff53_4d42, 0xfe53_4d42, 0x0102_1997];

    pub(super) fn of(folder: &Path) -> Facts {
        let read_only = statvfs(folder).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY));
        Facts { storage: kind(folder).map_or(Storage::Unknown, storage), read_only }
    }

    pub(super) fn storage(kind: u32) -> Storage {
        if let Some((_, name)) = NETWORK.iter().find(|(number, _)| *number == kind) {
            Storage::Network(name)
        } else if MEMORY.contains(&kind) {
            Storage::Memory
        } else {
            Storage::Disk
        }
    }

    pub(super) fn keeps_sockets(folder: &Path) -> bool {
        kind(folder).is_none_or(|kind| !NO_SOCKETS.contains(&kind))
    }

    /// The numbers have 32 bits, whatever the field has.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as said")]
    fn kind(folder: &Path) -> Option<u32> {
        statfs(folder).ok().map(|found| found.f_type as u32)
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use std::path::Path;

    use super::{Facts, Storage};

    pub(super) fn of(_: &Path) -> Facts {
        Facts { storage: Storage::Unknown, read_only: false }
    }

    pub(super) fn keeps_sockets(_: &Path) -> bool {
        true
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn a_home_on_the_network_is_told_from_a_disk_and_from_memory() {
        assert_eq!(platform::storage(0x6969), Storage::Network("nfs"));
        assert_eq!(platform::storage(0xef53), Storage::Disk);
        assert_eq!(platform::storage(0x0102_1994), Storage::Memory);
    }

    #[test]
    fn a_folder_that_is_not_there_has_no_facts() {
        let facts = of(Path::new("/no/such/folder"));

        assert_eq!(facts, Facts { storage: Storage::Unknown, read_only: false });
    }

    #[test]
    fn the_kernels_own_folder_is_no_network() {
        assert!(matches!(of(Path::new("/proc")).storage, Storage::Disk | Storage::Unknown));
    }
}
