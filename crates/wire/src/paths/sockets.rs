//! Whether sockets can lie where the data do.

use std::path::Path;

/// Whether sockets can lie there. Where nothing is known they can.
pub(super) fn keeps_sockets(folder: &Path) -> bool {
    platform::keeps_sockets(folder)
}

#[cfg(target_os = "linux")]
mod platform {
    use std::path::Path;

    use rustix::fs::statfs;

    /// vfat, exfat, cifs, smb2 and 9p: numbers of `statfs(2)` and `linux/magic.h`.
    const NO_SOCKETS: [u32; 5] = [0x4d44, 0x2011_bab0, 0xff53_4d42, 0xfe53_4d42, 0x0102_1997];

    /// The numbers have 32 bits, whatever the field has.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as said")]
    pub(super) fn keeps_sockets(folder: &Path) -> bool {
        statfs(folder).ok().is_none_or(|found| !NO_SOCKETS.contains(&(found.f_type as u32)))
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use std::path::Path;

    pub(super) fn keeps_sockets(_: &Path) -> bool {
        true
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_is_known_sockets_can_lie() {
        assert!(keeps_sockets(Path::new("/no/such/folder")));
        assert!(keeps_sockets(Path::new("/proc")));
    }
}
