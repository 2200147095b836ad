//! Whether the system's service can keep a disk in the folder that it is given. What root makes and mounts there, nobody else may put
//! something in the place of.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::fault::Fault;

const BY_OTHERS: u32 = 0o022;
/// In such a folder nobody takes away what is somebody else's.
const STICKY: u32 = 0o1000;

/// The folder as it really lies, made where it was missing.
///
/// # Errors
/// Whose it is beside root's, or why no image can lie there.
pub(crate) fn of_service(folder: &Path) -> Result<PathBuf, Fault> {
    let there = folder.ancestors().find(|above| above.exists()).unwrap_or(folder);
    // Before anything is made: where that is, somebody else may have said.
    kept(&there.canonicalize().map_err(wrong)?, there == folder).map_err(wrong)?;
    fs::create_dir_all(folder).map_err(wrong)?;
    let real = folder.canonicalize().map_err(wrong)?;
    kept(&real, true).map_err(wrong)?;
    match unfit(rustix::fs::statfs(&real).map_err(wrong)?.f_type as u32) {
        None => Ok(real),
        Some(kind) => Err(wrong(format!("{} lies on {kind}, which holds no disk image", real.display()))),
    }
}

/// The folder is to be root's alone, and of those above it nobody else may take it away.
pub(crate) fn kept(folder: &Path, itself: bool) -> Result<(), String> {
    for at in folder.ancestors() {
        let is = fs::metadata(at).map_err(|error| error.to_string())?;
        let strict = itself && at == folder;
        let by_others = is.mode() & BY_OTHERS != 0 && (strict || is.mode() & STICKY == 0);
        if is.uid() != 0 || by_others {
            let why = if is.uid() == 0 { "others may write to it" } else { "it is not root's" };
            return Err(format!("{} is no place for the service: {why}", at.display()));
        }
    }
    Ok(())
}

/// By the kernel's number: files that are too small, none with holes, or a server that may go away below what is mounted.
fn unfit(kind: u32) -> Option<&'static str> {
    match kind {
        0x4d44 => Some("FAT"),
        0x2011_bab0 => Some("exFAT"),
        0x6969 => Some("NFS"),
        0xff53_4d42 | 0xfe53_4d42 => Some("SMB"),
        0x0102_1997 => Some("9P"),
        _ => None,
    }
}

fn wrong(why: impl std::fmt::Display) -> Fault {
    Fault::Disk(why.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use super::*;

    const STRANGER: u32 = 54_322;

    fn refused(folder: &Path) -> String {
        of_service(folder).unwrap_err().to_string()
    }

    #[test]
    fn a_folder_that_anybody_but_root_may_write_to_or_take_away_is_none_for_the_service() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root");
            return;
        }
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("theirs/disk");
        assert_eq!(of_service(&folder).unwrap(), folder.canonicalize().unwrap());
        let mode = |at: &Path, mode| fs::set_permissions(at, fs::Permissions::from_mode(mode)).unwrap();

        mode(&folder, 0o1777);
        assert!(refused(&folder).contains("others may write to it"), "sticky or not");
        mode(&folder, 0o755);
        chown(&folder, Some(STRANGER), None).unwrap();
        assert!(refused(&folder).contains("it is not root's"));
        chown(&folder, Some(0), None).unwrap();
        mode(folder.parent().unwrap(), 0o775);
        assert!(refused(&folder).contains("others may write to it"));
        mode(folder.parent().unwrap(), 0o1777);
        of_service(&folder).unwrap();
        chown(folder.parent().unwrap(), Some(STRANGER), None).unwrap();
        assert!(refused(&folder).contains("theirs is no place for the service: it is not root's"));
    }

    #[test]
    fn where_a_link_of_somebody_elses_leads_nothing_is_made() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root");
            return;
        }
        let top = tempfile::tempdir().unwrap();
        let (theirs, elsewhere) = (top.path().join("theirs"), top.path().join("elsewhere"));
        fs::create_dir(&theirs).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        symlink(&theirs, top.path().join("link")).unwrap();
        chown(&theirs, Some(STRANGER), None).unwrap();

        let folder = top.path().join("link/disk");
        assert!(refused(&folder).contains("theirs is no place for the service: it is not root's"));
        assert!(!theirs.join("disk").exists());
        fs::remove_file(top.path().join("link")).unwrap();
        symlink(&elsewhere, top.path().join("link")).unwrap();
        assert_eq!(of_service(&folder).unwrap(), elsewhere.canonicalize().unwrap().join("disk"));
    }

    #[test]
    fn a_file_system_that_holds_no_image_is_named() {
        assert_eq!(unfit(0x4d44), Some("FAT"));
        assert_eq!(unfit(0xef53), None, "ext4");
        assert_eq!(unfit(0x9123_683e), None, "btrfs");
    }
}
