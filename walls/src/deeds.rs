//! Deeds that no library offers: each asks the kernel for what only the owner's PC as a whole has. Their arguments are such that nothing
//! comes of it where it is allowed: whoever may is told that the request makes no sense.

use std::ffi::CString;
use std::fs;
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd as _;

use rustix::io::Errno;

pub(crate) fn may(what: &str) -> io::Result<()> {
    // SAFETY: each call has arguments that the kernel checks, and pointers to what lives as long as the call.
    unsafe {
        match what {
            "replace-kernel" => allowed(libc::syscall(libc::SYS_kexec_load, 0, 0, 0, 0xffff)),
            "load-module" => allowed(libc::syscall(libc::SYS_init_module, 0, 0, c"".as_ptr())),
            "load-bpf" => load_bpf(),
            "watch-all" => watch_all(),
            "hold-faults" => allowed(libc::syscall(libc::SYS_userfaultfd, 0)),
            "queue-work" => allowed(libc::syscall(libc::SYS_io_uring_setup, 1, [0_u8; 128].as_mut_ptr())),
            "set-clock" => set_clock(),
            "be-first" => {
                let first = libc::sched_param { sched_priority: 1 };
                allowed(libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const first).into())
            }
            "swap" => allowed(libc::swapon(c"/nowhere".as_ptr(), 0).into()),
            "open-by-number" => open_by_number(),
            "restart" => allowed(libc::syscall(libc::SYS_reboot, 0xfee1_dead_u32, 672_274_793, 0x1111, 0)),
            #[cfg(target_arch = "x86_64")]
            "touch-ports" => allowed(libc::syscall(libc::SYS_iopl, 3)),
            "talk-to-hypervisor" => socket_of(libc::AF_VSOCK),
            "talk-to-wire" => socket_of(libc::AF_PACKET),
            "talk-otherwise" => socket_of_any_other(),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

/// A family that this kernel knows, of whichever kind its sockets are.
fn socket_of(family: libc::c_int) -> io::Result<()> {
    let kinds = [libc::SOCK_DGRAM, libc::SOCK_STREAM, libc::SOCK_SEQPACKET, libc::SOCK_RAW];
    // SAFETY: the call takes numbers, and what it opens ends with this process.
    let opens = |kind: &libc::c_int| unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, 0) } >= 0;
    if kinds.iter().any(opens) { Ok(()) } else { Err(Errno::AFNOSUPPORT.into()) }
}

/// Up to the last that the kernel counts, without those that every program needs and the two that have a deed of their own.
fn socket_of_any_other() -> io::Result<()> {
    let known = [libc::AF_INET6, libc::AF_NETLINK, libc::AF_PACKET, libc::AF_VSOCK];
    let found = (3..46).filter(|family| !known.contains(family)).find(|family| socket_of(*family).is_ok());
    say(&format!("of family {}", found.ok_or(Errno::AFNOSUPPORT)?))
}

/// A request that makes no sense is one that would have been granted; one for what this kernel lacks is not.
fn allowed(answer: libc::c_long) -> io::Result<()> {
    if answer >= 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    let refused = [Errno::PERM, Errno::ACCESS, Errno::NOSYS];
    if refused.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error())) {
        Err(error)
    } else {
        Ok(())
    }
}

/// Two instructions that do nothing.
unsafe fn load_bpf() -> io::Result<()> {
    let program: [u64; 2] = [0xb7, 0x95];
    let mut asked = [0_u64; 16];
    asked[0] = 1 | (2 << 32);
    asked[1] = program.as_ptr() as u64;
    asked[2] = c"GPL".as_ptr() as u64;
    // SAFETY: the request and what it points to live until the end of the call.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, 5, asked.as_ptr(), size_of_val(&asked)) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// All processes, on the first processor.
unsafe fn watch_all() -> io::Result<()> {
    let mut asked = [0_u64; 16];
    asked[0] = 1 | (size_of_val(&asked) as u64) << 32;
    // SAFETY: the request lives until the end of the call, and names its own size.
    allowed(unsafe { libc::syscall(libc::SYS_perf_event_open, asked.as_ptr(), -1, 0, -1, 0) })
}

/// To go on as it goes.
unsafe fn set_clock() -> io::Result<()> {
    // SAFETY: zeros are a request to change nothing; the call fills in what is.
    unsafe {
        let mut clock: libc::timex = std::mem::zeroed();
        libc::adjtimex(&raw mut clock);
        clock.modes = libc::ADJ_FREQUENCY;
        allowed(libc::adjtimex(&raw mut clock).into())
    }
}

/// The first folder of the drive that the system's programs lie on, by its number there.
unsafe fn open_by_number() -> io::Result<()> {
    let below = fs::File::open("/usr")?;
    let handle: [u32; 4] = [8, 1, 2, 0];
    let (at, wanted) = (below.as_raw_fd(), handle.as_ptr());
    // SAFETY: the handle lives until the end of the call, and names its own size.
    allowed(unsafe { libc::syscall(libc::SYS_open_by_handle_at, at, wanted, libc::O_RDONLY) })
}

/// The user namespace around that one.
pub(crate) fn parent_namespace(of: &str) -> io::Result<()> {
    const NS_GET_PARENT: libc::c_ulong = 0xb702;
    let namespace = fs::File::open(of)?;
    // SAFETY: the request takes nothing and gives a new file.
    allowed(unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_PARENT as _) }.into())
}

/// What lies in the memory that is shared under that key.
pub(crate) fn shared_memory(key: i32) -> io::Result<String> {
    // SAFETY: what is attached is read up to its first zero, which whoever made it wrote, and is not kept.
    unsafe {
        let id = libc::shmget(key, 0, 0);
        let at = if id < 0 {
            usize::MAX as *mut libc::c_void
        } else {
            libc::shmat(id, std::ptr::null(), libc::SHM_RDONLY)
        };
        if at as usize == usize::MAX {
            return Err(io::Error::last_os_error());
        }
        Ok(std::ffi::CStr::from_ptr(at.cast()).to_string_lossy().into_owned())
    }
}

/// Out of a root that is only that: the one below it is left while the old one is still where this process stands.
pub(crate) fn climb() -> io::Result<()> {
    let below = std::env::temp_dir().join("climb");
    fs::create_dir_all(&below)?;
    std::env::set_current_dir("/")?;
    std::os::unix::fs::chroot(&below)?;
    for _ in 0..64 {
        std::env::set_current_dir("..")?;
    }
    std::os::unix::fs::chroot(".")
}

/// As many as the kernel gives, up to that; with small stacks, and all at once.
pub(crate) fn threads(most: usize) -> io::Result<()> {
    let mut all = Vec::new();
    let (hold, held) = (std::sync::Arc::new(std::sync::Barrier::new(2)), std::thread::Builder::new);
    while all.len() < most {
        let hold = std::sync::Arc::clone(&hold);
        match held().stack_size(16 << 10).spawn(move || drop((std::thread::park(), hold))) {
            Ok(thread) => all.push(thread),
            Err(_) => break,
        }
    }
    say(&format!("began {}", all.len()))
}

/// A packet of any kind of IP's.
pub(crate) fn send_raw(to: Ipv4Addr, protocol: u8, body: &[u8]) -> io::Result<()> {
    use rustix::net::{AddressFamily, Protocol, SendFlags, SocketAddrV4, SocketType, sendto, socket};
    let protocol = rustix::net::RawProtocol::new(protocol.into()).map(Protocol::from_raw);
    let socket = socket(AddressFamily::INET, SocketType::RAW, protocol)?;
    sendto(&socket, body, SendFlags::empty(), &SocketAddrV4::new(to, 0))?;
    Ok(())
}

/// Past this end's own rules and routes: a whole packet, onto the wire towards whoever leads on.
pub(crate) fn send_frame(packet: &[u8]) -> io::Result<()> {
    let (link, gateway) = way_out()?;
    let _ = std::net::UdpSocket::bind("0.0.0.0:0")?.send_to(b"", (gateway, 9));
    let mac = mac_of(gateway)?;
    // SAFETY: an address of zeros is filled in below; packet and address live until the end of the call.
    unsafe {
        let mut to: libc::sockaddr_ll = std::mem::zeroed();
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_protocol = (libc::ETH_P_IP as u16).to_be();
        to.sll_ifindex = libc::if_nametoindex(CString::new(link)?.as_ptr()) as i32;
        to.sll_halen = 6;
        to.sll_addr[..6].copy_from_slice(&mac);
        let socket = libc::socket(libc::AF_PACKET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        let (address, length) = ((&raw const to).cast(), size_of_val(&to) as libc::socklen_t);
        let sent = libc::sendto(socket, packet.as_ptr().cast(), packet.len(), 0, address, length);
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// The interface of the default route, and who is at its other end.
fn way_out() -> io::Result<(String, Ipv4Addr)> {
    let routes = fs::read_to_string("/proc/net/route")?;
    let fields = routes.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let default = fields.into_iter().find(|fields| fields.get(1) == Some(&"00000000"));
    let default = default.ok_or(io::ErrorKind::NetworkUnreachable)?;
    let gateway = u32::from_str_radix(default[2], 16).map_err(io::Error::other)?;
    Ok((default[0].to_owned(), Ipv4Addr::from(gateway.to_ne_bytes())))
}

fn mac_of(neighbour: Ipv4Addr) -> io::Result<[u8; 6]> {
    for _ in 0..200 {
        let known = fs::read_to_string("/proc/net/arp")?;
        let line = known.lines().find(|line| line.split_whitespace().next() == Some(&neighbour.to_string()));
        let mac = line.and_then(|line| line.split_whitespace().nth(3)).unwrap_or_default();
        let bytes: Vec<u8> = mac.split(':').filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect();
        match <[u8; 6]>::try_from(bytes) {
            Ok(mac) if mac != [0; 6] => return Ok(mac),
            Ok(_) | Err(_) => std::thread::sleep(std::time::Duration::from_millis(5)),
        }
    }
    Err(io::ErrorKind::HostUnreachable.into())
}

pub(crate) fn say(what: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{what}")
}
