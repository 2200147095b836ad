//! Access lists that let in the owner and the system, and what the system's numbers mean.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::windows::ffi::OsStrExt as _;
use std::os::windows::fs::OpenOptionsExt as _;
use std::os::windows::io::{AsRawHandle as _, BorrowedHandle};
use std::path::Path;

use windows::Win32::Foundation::{CloseHandle, HANDLE, HLOCAL, LocalFree, WIN32_ERROR};
use windows::Win32::Security::Authorization::{
    ConvertSidToStringSidW, ConvertStringSecurityDescriptorToSecurityDescriptorW, GetSecurityInfo,
    SDDL_REVISION_1, SE_FILE_OBJECT, SE_KERNEL_OBJECT, SetNamedSecurityInfoW,
};
use windows::Win32::Security::{
    ACL, DACL_SECURITY_INFORMATION, GetSecurityDescriptorDacl, GetTokenInformation,
    OWNER_SECURITY_INFORMATION, PROTECTED_DACL_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, PSID, TOKEN_QUERY,
    TOKEN_USER, TokenUser,
};
use windows::Win32::Storage::FileSystem::FILE_FLAG_OPEN_REPARSE_POINT;
use windows::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};
use windows::core::{BOOL, PCWSTR, PWSTR};

use crate::error::Trouble;

pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// Whatever is made in the folder later inherits its list.
pub(crate) fn close_folder(path: &Path) -> io::Result<()> {
    close(path, "OICI")
}

/// Makes a file that was not there. Nobody else can open it before its list is set.
pub(crate) fn create_file(path: &Path) -> io::Result<File> {
    let alone = OpenOptions::new().write(true).create_new(true).share_mode(0).open(path)?;
    close(path, "")?;
    drop(alone);
    OpenOptions::new().write(true).open(path)
}

/// The system writes a rename down with the file's own flush.
pub(crate) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Opens for reading what lies at this very path: no link is followed.
pub(crate) fn open_plain(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(FILE_FLAG_OPEN_REPARSE_POINT.0).open(path)?;
    if file.metadata()?.file_type().is_symlink() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    Ok(file)
}

pub(crate) fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

/// A file that is open cannot be taken away from under its path here.
pub(crate) fn is_at(_: &File, _: &Path) -> bool {
    true
}

pub(crate) fn has_no_locks(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
}

pub(crate) fn trouble(code: i32) -> Option<Trouble> {
    match code {
        // ERROR_CRC, ERROR_SEEK, ERROR_WRITE_FAULT, ERROR_READ_FAULT, ERROR_GEN_FAILURE, ERROR_IO_DEVICE,
        // ERROR_FILE_CORRUPT, ERROR_DISK_CORRUPT
        23 | 25 | 29 | 30 | 31 | 1117 | 1392 | 1393 => Some(Trouble::Failing),
        // ERROR_NOT_READY, ERROR_BAD_NETPATH, ERROR_DEV_NOT_EXIST, ERROR_NETNAME_DELETED, ERROR_NO_MEDIA_IN_DRIVE,
        // ERROR_DEVICE_NOT_CONNECTED
        21 | 53 | 55 | 64 | 1112 | 1167 => Some(Trouble::Vanished),
        // ERROR_WRITE_PROTECT
        19 => Some(Trouble::ReadOnly),
        _ => None,
    }
}

/// The user that this program runs as, as the system spells it (`S-1-5-…`).
pub(crate) fn user() -> io::Result<String> {
    let mut token = HANDLE::default();
    // SAFETY: the pseudo handle of this process needs no closing; `token` is written before the call returns.
    unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &mut token)? };
    let user = user_of(token);
    // SAFETY: opened above, and used by nobody any more.
    unsafe { CloseHandle(token)? };
    user
}

/// Who owns what this handle leads to. A stranger cannot make something that belongs to somebody else.
pub(crate) fn owner(handle: BorrowedHandle<'_>) -> io::Result<String> {
    let (mut owner, mut descriptor) = (PSID::default(), PSECURITY_DESCRIPTOR::default());
    // SAFETY: the handle is open while it is borrowed; `owner` points into `descriptor`, which is freed below.
    let found = unsafe {
        GetSecurityInfo(
            HANDLE(handle.as_raw_handle()),
            SE_KERNEL_OBJECT,
            OWNER_SECURITY_INFORMATION,
            Some(&mut owner),
            None,
            None,
            None,
            Some(&mut descriptor),
        )
    };
    ok(found)?;
    let text = text_of(owner);
    free(descriptor.0);
    text
}

/// The owner and the system (which nothing can be kept from) may do everything; nobody else anything, whatever the
/// folder above would pass on.
fn close(path: &Path, inherited: &str) -> io::Result<()> {
    let list = format!("D:P(A;{inherited};FA;;;{})(A;{inherited};FA;;;SY)", user()?);
    let list: Vec<u16> = list.encode_utf16().chain([0]).collect();
    let path: Vec<u16> = path.as_os_str().encode_wide().chain([0]).collect();
    let mut descriptor = PSECURITY_DESCRIPTOR::default();
    // SAFETY: both texts end with a zero and outlive the calls; `access` points into `descriptor`, freed last.
    unsafe {
        ConvertStringSecurityDescriptorToSecurityDescriptorW(
            PCWSTR(list.as_ptr()),
            SDDL_REVISION_1,
            &mut descriptor,
            None,
        )?;
        let (mut present, mut by_default) = (BOOL::default(), BOOL::default());
        let mut access: *mut ACL = std::ptr::null_mut();
        let set = GetSecurityDescriptorDacl(descriptor, &mut present, &mut access, &mut by_default)
            .map_err(io::Error::from)
            .and_then(|()| {
                ok(SetNamedSecurityInfoW(
                    PCWSTR(path.as_ptr()),
                    SE_FILE_OBJECT,
                    DACL_SECURITY_INFORMATION | PROTECTED_DACL_SECURITY_INFORMATION,
                    None,
                    None,
                    Some(access),
                    None,
                ))
            });
        free(descriptor.0);
        set
    }
}

fn user_of(token: HANDLE) -> io::Result<String> {
    let mut length = 0;
    // SAFETY: the first call only asks for the length. The buffer of the second is that long, and aligned for the
    // structure at its start, whose pointer leads into the same buffer.
    unsafe {
        let _ = GetTokenInformation(token, TokenUser, None, 0, &mut length);
        let mut buffer = vec![0_u64; (length as usize).div_ceil(8)];
        GetTokenInformation(token, TokenUser, Some(buffer.as_mut_ptr().cast()), length, &mut length)?;
        text_of((*buffer.as_ptr().cast::<TOKEN_USER>()).User.Sid)
    }
}

fn text_of(user: PSID) -> io::Result<String> {
    let mut text = PWSTR::null();
    // SAFETY: the text is allocated by the call, read, and freed.
    unsafe {
        ConvertSidToStringSidW(user, &mut text)?;
        let read = text.to_string();
        free(text.0.cast());
        read.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

fn free(allocated: *mut std::ffi::c_void) {
    // SAFETY: allocated by the system for the caller to free in this way, and not used afterwards.
    unsafe { LocalFree(Some(HLOCAL(allocated))) };
}

fn ok(code: WIN32_ERROR) -> io::Result<()> {
    if code.is_ok() { Ok(()) } else { Err(io::Error::from_raw_os_error(code.0.cast_signed())) }
}
