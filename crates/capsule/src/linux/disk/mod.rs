//! The capsule's disk. Root has an image: a file on the drive that the owner chose, which holds no more than its size and gives back what
//! jobs free. An ordinary user can mount none, and has a folder.

pub(crate) mod drive;
pub(crate) mod filled;
mod loops;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};

use crate::fault::Fault;
use crate::linux::holder::share;
use crate::linux::tools::find;
use crate::place::Way;

const IMAGE: &str = "disk.img";
/// Beside a folder: how many bytes it may hold, as an image tells by its length.
const SIZE: &str = "size";
/// A capsule has room for an engine and an image at least.
const LEAST: u64 = 1 << 30;
/// A capsule whose holder was killed ends by itself, and the kernel then lets go of its disk.
const FREE_WITHIN: Duration = Duration::from_secs(5);

/// Once, before any thread is started: what is mounted for a capsule is in no list of the owner's, and goes with its holder.
///
/// # Errors
/// What the kernel says.
pub fn keep_mounts_to_ourselves() -> io::Result<()> {
    crate::linux::moat::clone::leave(rustix::thread::UnshareFlags::NEWNS)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    Ok(())
}

/// Where what becomes `/data` lies, outside.
#[derive(Debug)]
pub(crate) struct Disk {
    at: PathBuf,
    mounted: bool,
    size: u64,
    /// The holder's alone: whoever it starts is given none of it.
    _lock: fs::File,
}

impl Disk {
    pub(crate) fn open(way: Way, folder: &Path, size: Option<u64>) -> Result<Self, Fault> {
        let folder = &match way {
            Way::Service => drive::of_service(folder)?,
            Way::User => {
                fs::create_dir_all(folder).map_err(wrong)?;
                folder.to_owned()
            }
        };
        let was = match way {
            Way::Service => fs::metadata(folder.join(IMAGE)).ok().map(|there| there.len()),
            Way::User => fs::read_to_string(folder.join(SIZE)).ok().and_then(|size| size.parse().ok()),
        };
        let usual = || was.map_or_else(|| share::of_drive(folder), Ok);
        let size = size.map_or_else(usual, Ok).map_err(wrong)?;
        if size < LEAST {
            return Err(Fault::Disk(format!("{size} bytes are too few: at least 1 GiB is needed")));
        }
        let at = folder.join("data");
        fs::create_dir_all(&at).map_err(wrong)?;
        let lock = locked(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(wrong)?;
        match way {
            Way::User => {
                fs::write(folder.join(SIZE), size.to_string()).map_err(wrong)?;
                Ok(Self { at, mounted: false, size, _lock: lock })
            }
            Way::Service => {
                free(&folder.join(IMAGE))?;
                image_of(&folder.join(IMAGE), size)?;
                let (_open, device) = loops::device_of(folder, IMAGE).map_err(wrong)?;
                run(Command::new(find("mount")?)
                    .args(["-t", "ext4", "-o", "discard,noatime,nosuid,nodev"])
                    .args([&device, &at]))?;
                Ok(Self { at, mounted: true, size, _lock: lock })
            }
        }
    }

    /// How many bytes it may hold, where only a look tells how many it does.
    pub(crate) fn size(&self) -> Option<u64> {
        (!self.mounted).then_some(self.size)
    }

    /// Bytes that it holds, and may hold. A folder's the file system does not tell.
    pub(crate) fn taken(&self) -> Option<(u64, u64)> {
        let all = rustix::fs::statvfs(&self.at).ok().filter(|_| self.mounted)?;
        Some(((all.f_blocks - all.f_bfree) * all.f_frsize, all.f_blocks * all.f_frsize))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.at
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted && unmount(&self.at, UnmountFlags::DETACH).is_err() {
            tracing::warn!("the capsule's disk could not be unmounted");
        }
    }
}

/// One holder has a folder: two would write to one disk.
fn locked(folder: &Path) -> Result<fs::File, Fault> {
    let lock = fs::File::open(folder).map_err(wrong)?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(Errno::WOULDBLOCK) => Err(Fault::Busy),
        Err(error) => Err(wrong(error)),
    }
}

/// Until no device has the image any more of a capsule that was there before.
fn free(image: &Path) -> Result<(), Fault> {
    let image = match fs::File::open(image) {
        Ok(image) => image,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(wrong(error)),
    };
    let deadline = Instant::now() + FREE_WITHIN;
    loop {
        match flock(&image, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(Errno::WOULDBLOCK) => return Err(Fault::Busy),
            Err(error) => return Err(wrong(error)),
        }
    }
}

/// Makes the image, or lets it grow to the size that is wanted now. It never shrinks: what is in it is not ours to cut off.
fn image_of(image: &Path, size: u64) -> Result<(), Fault> {
    match fs::metadata(image) {
        Ok(there) if there.len() >= size => Ok(()),
        Ok(_) => {
            fs::File::options().write(true).open(image).and_then(|file| file.set_len(size)).map_err(wrong)?;
            // Both say by their exit what they mended.
            let _ = Command::new(find("e2fsck")?).args(["-f", "-p"]).arg(image).output();
            run(Command::new(find("resize2fs")?).arg(image))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(image, size),
        Err(error) => Err(wrong(error)),
    }
}

/// Whole or not there: a start that was cut off leaves no half image.
fn make(image: &Path, size: u64) -> Result<(), Fault> {
    let half = image.with_extension("new");
    let file = fs::File::create(&half).map_err(wrong)?;
    file.set_len(size).map_err(wrong)?;
    fs::set_permissions(&half, fs::Permissions::from_mode(0o600)).map_err(wrong)?;
    let options = "lazy_itable_init=1,lazy_journal_init=1,nodiscard";
    run(Command::new(find("mkfs.ext4")?).args(["-q", "-F", "-m", "0", "-E", options]).arg(&half))?;
    file.sync_all().map_err(wrong)?;
    fs::rename(&half, image).map_err(wrong)
}

fn run(command: &mut Command) -> Result<(), Fault> {
    let said = command.output().map_err(wrong)?;
    if said.status.success() { Ok(()) } else { Err(wrong(String::from_utf8_lossy(&said.stderr).trim())) }
}

fn wrong(why: impl std::fmt::Display) -> Fault {
    Fault::Disk(why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_holder_and_the_next_has_it_when_that_has_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Disk::open(Way::User, folder.path(), Some(LEAST));

        let first = open().unwrap();
        assert_eq!(open().unwrap_err(), Fault::Busy);
        drop(first);
        open().unwrap();
    }

    #[test]
    fn an_image_that_a_device_still_has_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join(IMAGE);
        free(&image).unwrap();
        fs::write(&image, "").unwrap();
        let device = fs::File::open(&image).unwrap();
        flock(&device, FlockOperation::NonBlockingLockExclusive).unwrap();

        let waits = std::thread::spawn(move || free(&image));
        drop(device);
        waits.join().unwrap().unwrap();
    }
}
