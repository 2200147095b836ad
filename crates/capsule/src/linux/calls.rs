//! What nobody inside may ask of the kernel, whatever rights they have there: what the PC has once, and what most of the kernel's own flaws
//! of these years lay in. To whoever is inside it is a kernel that has none of that. Programs for another kind of processor do not run:
//! their calls have other numbers.

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

/// As the kernel's audit calls this kind of processor.
#[cfg(target_arch = "x86_64")]
const PROCESSOR: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const PROCESSOR: u32 = 0xc000_00b7;
/// Calls of another kind on the same processor have this bit.
const OTHER_KIND: u32 = 0x4000_0000;

const NUMBER_AT: u32 = 0;
const PROCESSOR_AT: u32 = 4;

/// For this process and all that come after it.
pub(super) fn refuse() -> io::Result<()> {
    let mut filter = filter();
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the kernel copies the program, which outlives the call.
    let done = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn filter() -> Vec<libc::sock_filter> {
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let at_least = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
    let end = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    // How many steps are left before the last one, which refuses.
    let calls = REFUSED.len() as u8;
    let mut filter = vec![
        step(load, PROCESSOR_AT, 0, 0),
        step(equal, PROCESSOR, 0, calls + 3),
        step(load, NUMBER_AT, 0, 0),
        step(at_least, OTHER_KIND, calls + 1, 0),
    ];
    let each = REFUSED.iter().zip((1..=calls).rev());
    filter.extend(each.map(|(call, left)| step(equal, *call as u32, left, 0)));
    filter.push(step(end, libc::SECCOMP_RET_ALLOW, 0, 0));
    filter.push(step(end, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32, 0, 0));
    filter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the kernel would come out.
    fn walked(processor: u32, call: u32) -> u32 {
        let (filter, mut loaded, mut at) = (filter(), 0, 0);
        loop {
            let step = filter[at];
            at += 1;
            let code = u32::from(step.code);
            if code & 7 == libc::BPF_RET {
                return step.k;
            }
            if code & 7 == libc::BPF_LD {
                loaded = if step.k == PROCESSOR_AT { processor } else { call };
                continue;
            }
            let holds = if code & 0xf0 == libc::BPF_JEQ { loaded == step.k } else { loaded >= step.k };
            at += usize::from(if holds { step.jt } else { step.jf });
        }
    }

    #[test]
    fn what_is_listed_is_refused_and_nothing_else_of_this_processors() {
        let refused = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

        for call in 0..600 {
            let listed = REFUSED.contains(&libc::c_long::from(call));
            let expected = if listed { refused } else { libc::SECCOMP_RET_ALLOW };
            assert_eq!(walked(PROCESSOR, call as u32), expected, "{call}");
        }
        assert_eq!(walked(PROCESSOR, OTHER_KIND), refused);
        assert_eq!(walked(0x4000_0003, 0), refused, "another processor's");
    }
}
