//! What nobody inside may ask of the kernel, whatever rights they have there: what the PC has once, and what most of the kernel's own flaws
//! of these years lay in. To whoever is inside it is a kernel that has none of that. Programs for another kind of processor do not run:
//! their calls have other numbers.
//!
//! Of sockets there are those within the capsule, those of IP, and those to the kernel about both. All others pass by the filter, to a
//! hypervisor or straight onto the wire, or are hardly ever used but by whoever looks for a flaw.

use std::io;

const REFUSED: &[libc::c_long] = &[
    libc::SYS_acct,
    // The kernel would ask a program in the owner's world.
    libc::SYS_add_key,
    libc::SYS_keyctl,
    libc::SYS_request_key,
    libc::SYS_bpf,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    libc::SYS_kexec_file_load,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_kexec_load,
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_userfaultfd,
];

const FAMILIES: [libc::c_int; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
/// The calls that make a socket; the family comes first in both.
const SOCKETS: [libc::c_long; 2] = [libc::SYS_socket, libc::SYS_socketpair];

/// As the kernel's audit calls this kind of processor.
#[cfg(target_arch = "x86_64")]
const PROCESSOR: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const PROCESSOR: u32 = 0xc000_00b7;
/// Calls of another kind on the same processor have this bit.
const OTHER_KIND: u32 = 0x4000_0000;

const NUMBER_AT: u32 = 0;
const PROCESSOR_AT: u32 = 4;
/// The lower half of the first argument: the kernel reads no more of a family.
const FAMILY_AT: u32 = 16;
const _: () = assert!(cfg!(target_endian = "little"), "the lower half comes first");

/// For this process and all that come after it.
pub(crate) fn refuse() -> io::Result<()> {
    let mut filter = filter();
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the kernel copies the program, which outlives the call.
    let done = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Three tables, one after the other: calls, the calls that make sockets, their families; then the three ends.
fn filter() -> Vec<libc::sock_filter> {
    let calls = 4;
    let sockets = calls + REFUSED.len();
    let families = sockets + SOCKETS.len() + 2;
    let ends = families + FAMILIES.len();
    let (foreign, allowed, refused) = (ends, ends + 1, ends + 2);

    let mut filter = Steps::default();
    filter.load(PROCESSOR_AT);
    filter.jump(libc::BPF_JEQ, PROCESSOR, 2, refused);
    filter.load(NUMBER_AT);
    filter.jump(libc::BPF_JGE, OTHER_KIND, refused, calls);
    for call in REFUSED {
        filter.equal(*call as u32, refused);
    }
    for call in SOCKETS {
        filter.equal(call as u32, families - 1);
    }
    filter.end(libc::SECCOMP_RET_ALLOW);
    filter.load(FAMILY_AT);
    for family in FAMILIES {
        filter.equal(family as u32, allowed);
    }
    debug_assert_eq!(filter.0.len(), foreign, "all before it lead there");
    filter.end(libc::SECCOMP_RET_ERRNO | libc::EAFNOSUPPORT as u32);
    filter.end(libc::SECCOMP_RET_ALLOW);
    filter.end(libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32);
    filter.0
}

/// Each says by its place where it leads; the kernel wants to hear how many are left out.
#[derive(Default)]
struct Steps(Vec<libc::sock_filter>);

impl Steps {
    fn load(&mut self, at: u32) {
        self.step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at, 0, 0);
    }

    fn jump(&mut self, how: u32, with: u32, then: usize, or: usize) {
        let next = self.0.len() + 1;
        self.step(libc::BPF_JMP | how | libc::BPF_K, with, (then - next) as u8, (or - next) as u8);
    }

    /// Goes on where it is not.
    fn equal(&mut self, with: u32, then: usize) {
        self.jump(libc::BPF_JEQ, with, then, self.0.len() + 1);
    }

    fn end(&mut self, answer: u32) {
        self.step(libc::BPF_RET | libc::BPF_K, answer, 0, 0);
    }

    fn step(&mut self, code: u32, k: u32, jt: u8, jf: u8) {
        self.0.push(libc::sock_filter { code: code as u16, jt, jf, k });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOT_THERE: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

    /// Where the kernel would come out.
    fn walked(processor: u32, call: u32, first: u32) -> u32 {
        let (filter, mut loaded, mut at) = (filter(), 0, 0);
        loop {
            let step = filter[at];
            at += 1;
            let code = u32::from(step.code);
            if code & 7 == libc::BPF_RET {
                return step.k;
            }
            if code & 7 == libc::BPF_LD {
                loaded = match step.k {
                    PROCESSOR_AT => processor,
                    NUMBER_AT => call,
                    _ => first,
                };
                continue;
            }
            let holds = if code & 0xf0 == libc::BPF_JEQ { loaded == step.k } else { loaded >= step.k };
            at += usize::from(if holds { step.jt } else { step.jf });
        }
    }

    #[test]
    fn what_is_listed_is_refused_and_nothing_else_of_this_processors() {
        for call in 0..600 {
            let listed = REFUSED.contains(&libc::c_long::from(call));
            let expected = if listed { NOT_THERE } else { libc::SECCOMP_RET_ALLOW };
            assert_eq!(walked(PROCESSOR, call as u32, libc::AF_UNIX as u32), expected, "{call}");
        }
        assert_eq!(walked(PROCESSOR, OTHER_KIND, 0), NOT_THERE);
        assert_eq!(walked(0x4000_0003, 0, 0), NOT_THERE, "another processor's");
    }

    #[test]
    fn sockets_are_of_four_families_and_no_other_passes_by_the_filter() {
        let nobodys = libc::SECCOMP_RET_ERRNO | libc::EAFNOSUPPORT as u32;

        for family in (0..128).chain([u32::MAX]) {
            let expected = match family as libc::c_int {
                libc::AF_UNIX | libc::AF_INET | libc::AF_INET6 | libc::AF_NETLINK => libc::SECCOMP_RET_ALLOW,
                _ => nobodys,
            };
            for call in SOCKETS {
                assert_eq!(walked(PROCESSOR, call as u32, family), expected, "{family}");
            }
            assert_eq!(walked(PROCESSOR, libc::SYS_read as u32, family), libc::SECCOMP_RET_ALLOW);
        }
    }
}
