//! A disk that hangs: a file system whose server has gone silent, as a network mount's may. It hangs in the kernel, as a real one
//! does.

#![cfg(target_os = "linux")]
#![expect(clippy::print_stdout, reason = "a test that is left out says so")]

use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// Whoever asks anything of what is below the folder waits until this is dropped.
#[derive(Debug)]
pub struct Hang {
    folder: PathBuf,
    server: Option<File>,
}

impl Hang {
    /// None, and said, where this user may not mount one.
    pub fn over(folder: &Path) -> Option<Self> {
        let hang = Self::mounted(folder);
        if hang.is_none() {
            println!("skipped: needs a disk that hangs");
        }
        hang
    }

    fn mounted(folder: &Path) -> Option<Self> {
        let server = File::options().read(true).write(true).open("/dev/fuse").ok()?;
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", server.as_raw_fd());
        let options = CString::new(options).ok()?;
        mount("hangs", folder, "fuse", MountFlags::empty(), Some(options.as_c_str())).ok()?;
        Some(Self { folder: folder.to_owned(), server: Some(server) })
    }
}

impl Drop for Hang {
    fn drop(&mut self) {
        // Everybody who waits is sent away with an error.
        drop(self.server.take());
        if let Err(error) = unmount(&self.folder, UnmountFlags::DETACH) {
            println!("the mount on {} stays: {error}", self.folder.display());
        }
    }
}
