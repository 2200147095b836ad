//! What a container's programs may do: a short list of capabilities, no way to others, and the calls of the kernel that
//! programs need.
//!
//! `seccomp.json` is the engine's own profile (moby/profiles, June 2026) without what only a privileged container may call,
//! and without:
//! - the entries of other ABIs (32 bit, x32) and the calls that only those have: half of the kernel's bugs in them is
//!   found by nobody who looks for others;
//! - sockets of other families than UNIX, IPv4, IPv6 and netlink's route, and of other protocols than TCP, UDP and ICMP: each
//!   one more loads a module of the kernel for whoever asks. glibc asks netlink for addresses;
//! - `ptrace`, `process_vm_readv` and `_writev`: a program is debugged where it is written;
//! - names and contents of what lies outside: `name_to_handle_at`, `listmount`, `statmount`; what nothing needs:
//!   `memfd_secret`, `remap_file_pages`, `fanotify_mark`, `adjtimex`, other `personality` than the plain one.
//!
//! New namespaces, mounts, `keyctl`, `bpf`, `userfaultfd`, `io_uring`, `perf_event_open` are not in the engine's either.
//! `clone3`, whose flags no filter can read, is said not to exist, and libraries use `clone`.

use std::sync::LazyLock;

use serde::Serialize;
use serde_json::Value;

use super::Refusal;
use super::read::Fields;

/// What ordinary images need to be root within themselves: to give files and themselves to another user, to listen on port 80,
/// to lock themselves in. Of Nomad's list not `AUDIT_WRITE`, `MKNOD` and `SETFCAP`: no program needs them at run time, and they
/// reach the kernel's log, its devices and what a file gives to whoever runs it.
const CAPABILITIES: [&str; 10] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

const NO_NEW: &str = "no-new-privileges";

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Powers {
    cap_drop: [&'static str; 1],
    cap_add: Vec<&'static str>,
    security_opt: [&'static str; 2],
    ipc_mode: &'static str,
    cgroupns_mode: &'static str,
}

impl Powers {
    pub(super) fn read(host: &mut Fields) -> Result<Self, Refusal> {
        let cap_add = capabilities(host)?;
        for option in host.texts("SecurityOpt")? {
            let is_ours = option == *SECCOMP || [NO_NEW, "no-new-privileges:true"].contains(&option.as_str());
            if !is_ours {
                return Err(Refusal::of("SecurityOpt"));
            }
        }
        // An empty list would take the engine's own masks away.
        for name in ["MaskedPaths", "ReadonlyPaths"] {
            if host.take(name)? != Value::Null {
                return Err(Refusal::of(name));
            }
        }
        // It must not outlive what started it.
        let mut restart = host.object("RestartPolicy")?;
        restart.word("Name", &["no"]).map_err(|_| Refusal::of("RestartPolicy"))?;
        restart.done().map_err(|_| Refusal::of("RestartPolicy"))?;
        host.word("IpcMode", &["private"])?;
        host.word("CgroupnsMode", &["private"])?;
        Ok(Self {
            cap_drop: ["ALL"],
            cap_add,
            security_opt: [NO_NEW, SECCOMP.as_str()],
            ipc_mode: "private",
            cgroupns_mode: "private",
        })
    }
}

/// As one line: with what it holds it goes into every container.
static SECCOMP: LazyLock<String> = LazyLock::new(|| {
    let profile = serde_json::from_str::<Value>(include_str!("seccomp.json"));
    // Without one the engine starts nothing: what cannot be read allows nothing.
    format!("seccomp={}", profile.unwrap_or_default())
});

fn capabilities(host: &mut Fields) -> Result<Vec<&'static str>, Refusal> {
    let (added, dropped) = (named(host, "CapAdd")?, named(host, "CapDrop")?);
    let known = |name: &String| CAPABILITIES.contains(&name.as_str());
    if !added.iter().all(known) {
        return Err(Refusal::of("CapAdd"));
    }
    let has = |list: &[String], name: &str| list.iter().any(|one| one == name);
    let stays = |name: &&str| has(&added, name) || !has(&dropped, name) && !has(&dropped, "ALL");
    Ok(CAPABILITIES.into_iter().filter(stays).collect())
}

fn named(host: &mut Fields, list: &'static str) -> Result<Vec<String>, Refusal> {
    let upper = |name: String| name.to_ascii_uppercase();
    let short = |name: String| name.strip_prefix("CAP_").map(ToOwned::to_owned).unwrap_or(name);
    Ok(host.texts(list)?.into_iter().map(upper).map(short).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_lets_in_one_abi_a_few_families_and_no_call_that_leads_out() {
        let profile: Value = serde_json::from_str(SECCOMP.strip_prefix("seccomp=").unwrap()).unwrap();

        assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
        for architecture in profile["archMap"].as_array().unwrap() {
            assert_eq!(architecture["subArchitectures"], Value::Array(Vec::new()));
        }
        let rules = profile["syscalls"].as_array().unwrap();
        let of = |name: &str| {
            let names = |rule: &&Value| rule["names"].as_array().unwrap().iter().any(|one| one == name);
            rules.iter().filter(names).collect::<Vec<_>>()
        };
        for call in ["unshare", "setns", "mount", "umount2", "bpf", "keyctl", "userfaultfd", "io_uring_setup"]
            .into_iter()
            .chain([
                "perf_event_open",
                "ptrace",
                "socketcall",
                "modify_ldt",
                "open_by_handle_at",
                "pivot_root",
            ])
        {
            assert_eq!(of(call), [] as [&Value; 0], "{call}");
        }
        let families = of("socket").into_iter().map(|rule| rule["args"][0]["value"].as_i64().unwrap());
        assert_eq!(families.collect::<std::collections::BTreeSet<_>>(), [1, 2, 10, 16].into());
        assert_eq!(of("clone3")[0]["errnoRet"], 38);
        assert!(of("clone")[0]["args"][0]["value"].as_u64().unwrap() & 0x7e02_0000 == 0x7e02_0000);
    }
}
