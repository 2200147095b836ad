//! A file as a device that can be mounted. The kernel tells everybody which file that is, by the path it was opened under: so it is opened
//! under one that leads nowhere, and no word of the owner's folders stands in it. It is locked as it is opened: so it stays locked for as
//! long as the device is anybody's, also where its holder was killed.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat};
use rustix::mount::{OpenTreeFlags, open_tree};

const GET_FREE: libc::c_ulong = 0x4c82;
const CONFIGURE: libc::c_ulong = 0x4c0a;
/// It goes with its last user.
const AUTOCLEAR: u32 = 4;
/// Another may take a free one first.
const TRIES: usize = 32;

/// `struct loop_config`: file, block size, and a `struct loop_info64` of which only the flags are ours to say.
#[repr(C)]
struct Config {
    file: u32,
    block_size: u32,
    numbers: [u64; 5],
    number: u32,
    encryption: [u32; 2],
    flags: u32,
    names: [u8; 64 + 64 + 32],
    init: [u64; 2],
    reserved: [u64; 8],
}

/// The device stays for as long as it is open, then for as long as it is mounted.
pub(crate) fn device_of(folder: &Path, image: &str) -> io::Result<(File, PathBuf)> {
    let nowhere = open_tree(
        rustix::fs::CWD,
        folder,
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
    )?;
    let file = openat(&nowhere, image, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    let control = File::options().read(true).write(true).open("/dev/loop-control")?;
    let config = Config {
        file: file.as_raw_fd() as u32,
        block_size: 0,
        numbers: [0; 5],
        number: 0,
        encryption: [0; 2],
        flags: AUTOCLEAR,
        names: [0; 160],
        init: [0; 2],
        reserved: [0; 8],
    };
    for _ in 0..TRIES {
        // SAFETY: the request takes nothing and gives a number.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), GET_FREE as _) };
        if number < 0 {
            return Err(io::Error::last_os_error());
        }
        let path = PathBuf::from(format!("/dev/loop{number}"));
        let device = File::options().read(true).write(true).open(&path)?;
        // SAFETY: the request reads a structure of this layout, which outlives it.
        if unsafe { libc::ioctl(device.as_raw_fd(), CONFIGURE as _, &raw const config) } == 0 {
            return Ok((device, path));
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EBUSY) {
            return Err(error);
        }
    }
    Err(io::ErrorKind::ResourceBusy.into())
}
