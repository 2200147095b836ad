//! The kernel: what whoever is root inside must not be able to ask of it. The literature's ways out of containers are among them.

use anyhow::{Result, ensure};
use serde_json::json;

use super::{learns, words};
use crate::attack::{Attack, Deed, Verdict, last_line};
use crate::capsule::MEMORY;
use crate::sides::{ABSTRACT, By, KEY, Layer, TOKEN};
use crate::stage::Stage;

use By::{CapsuleRoot as Root, Job, PrivilegedJob as Any};

const OF: Layer = Layer::Namespaces;

pub(super) fn all() -> Vec<Attack> {
    [asked_of_the_kernel(), settings(), mounts(), the_owners(), shares()].into_iter().flatten().collect()
}

fn asked_of_the_kernel() -> Vec<Attack> {
    let asked = [
        ("another kernel in the place of this one", "replace-kernel", &[Job, Any][..]),
        ("a module in the kernel", "load-module", &[Job, Any]),
        ("a program in the kernel", "load-bpf", &[Job, Any]),
        ("a look at what every processor does", "watch-all", &[Job, Any]),
        ("the kernel held in the middle of a read", "hold-faults", &[Job, Any]),
        ("the kernel's queues, where most of its flaws were", "queue-work", &[Job, Any]),
        ("another time on the PC's clock", "set-clock", &[Job, Any]),
        ("the first place at the processor, before all of the owner's", "be-first", &[Job, Any]),
        ("a file of its own as the PC's swap", "swap", &[Any]),
        ("the hardware's ports", "touch-ports", &[Any]),
        ("a file by its number, past all folders", "open-by-number", &[Job, Any]),
        ("a way to the hypervisor, past the filter", "talk-to-hypervisor", &[Job, Any]),
        ("a way onto the wire, past its own stack", "talk-to-wire", &[Job, Any]),
        ("a way to the kernel that hardly anybody uses", "talk-otherwise", &[Job, Any]),
    ];
    let each = |&(name, what, by): &(&str, &str, &[By])| {
        by.iter().map(|by| may(name, *by, &format!("may {what}"))).collect::<Vec<_>>()
    };
    asked.iter().flat_map(each).collect()
}

/// Files of the kernel's that make it run a program, or do what the whole PC feels.
fn settings() -> Vec<Attack> {
    let all = [
        ("the program that the kernel runs when one crashes", "/proc/sys/kernel/core_pattern"),
        ("the program that the kernel loads modules with", "/proc/sys/kernel/modprobe"),
        ("the program that the kernel tells of devices", "/sys/kernel/uevent_helper"),
        ("the keys that restart a PC", "/proc/sysrq-trigger"),
        ("how much memory is promised", "/proc/sys/vm/overcommit_memory"),
        ("which processors are on", "/sys/devices/system/cpu/cpu1/online"),
        ("how the PC sleeps", "/sys/power/state"),
    ];
    let each = |(name, path): (&str, &str)| may(name, Any, &format!("write {path}"));
    let mut settings: Vec<Attack> = all.map(each).into();
    let own = "exec 3<>/proc/self/oom_score_adj; echo -1000 >&3";
    settings.push(ask("the owner's programs ended before it when memory is short", Any, own, own));
    settings
}

fn mounts() -> Vec<Attack> {
    let mounted = |what: &str| {
        format!("d=$(mktemp -d); unshare --mount sh -c \"mount {what} $d\"; s=$?; rmdir $d; exit $s")
    };
    let same = |name, by, script: String| ask(name, by, &script, &script);
    let made = |what: &str| format!("mknod /tmp/node {what}; s=$?; rm -f /tmp/node; exit $s");
    vec![
        same("the kernel's tree of devices, to write", Any, mounted("-t sysfs none")),
        same("the owner's devices", Any, mounted("-t devtmpfs none")),
        same("the kernel's insides", Any, mounted("-t debugfs none")),
        same("the kernel's traces", Any, mounted("-t tracefs none")),
        same(
            "a control group tree with a program of its own at its end",
            Any,
            mounted("-t cgroup -o none,name=walls none"),
        ),
        same("a node of the owner's drive", Any, made("b 254 0")),
        same("a node of the PC's memory", Any, made("c 1 1")),
        same("a node of the loop devices", Any, made("c 10 237")),
        same("a node of the drives' own file systems (FUSE)", Any, made("c 10 229")),
        ask(
            "the system's programs, to write",
            Root,
            "mount -o remount,rw,bind /usr && touch /usr/walls",
            "unshare --mount sh -c 'mount --bind /usr /usr && mount -o remount,ro,bind /usr && mount -o remount,rw,bind /usr'",
        ),
        may("a program of the system that runs, in its place", Any, "programs"),
    ]
}

/// What the owner has on the PC, by every path there is.
fn the_owners() -> Vec<Attack> {
    let own =
        |name: &str, by: By, deed: fn(&Stage) -> Result<Verdict>| Attack::new(name, by, OF, Deed::Own(deed));
    let mut all = vec![
        own("the owner's file, from anybody's root, place or folder", Job, |stage| diary(stage, Job, "read")),
        own("the owner's file, from anybody's root, place or folder", Any, |stage| diary(stage, Any, "read")),
        own("the owner's file, out of a root in a root", Root, |stage| diary(stage, Root, "climb")),
        own("the owner's file, as a container's place to begin", Any, begins_elsewhere),
        own("the owner's program that listens in a folder", Any, wallet),
        own("the owner's program, ended by its number", Any, by_number),
        own("the PC's name, changed", Any, renamed),
        own("the user namespace around its own", Any, around),
    ];
    for by in [By::Agent, Any] {
        all.push(may("the owner's program that listens by a name", by, &format!("abstract {ABSTRACT}")));
        all.push(learns("the owner's shared memory", by, OF, &format!("$W shared {KEY}")));
    }
    all
}

/// What it may take of the PC.
fn shares() -> Vec<Attack> {
    let own =
        |name: &str, by: By, deed: fn(&Stage) -> Result<Verdict>| Attack::new(name, by, OF, Deed::Own(deed));
    vec![
        own("more memory than its share", Job, |stage| memory(stage, Job, "")),
        own("more memory than its share, after it raised its limit", Root, |stage| {
            memory(stage, Root, RAISE)
        }),
        own("more memory than its share, as files", Job, memory_files),
        own("more processes than its share", Any, processes),
        own("a life outside of its control groups", Root, groups),
        own("a life while all jobs stand still", Job, frozen),
        own("the end of the first process", Job, |stage| {
            stage.shell(Job, "kill -9 1; kill -9 -1")?;
            Ok(Verdict { succeeded: !stage.engine.answers(), detail: "the engine goes on".to_owned() })
        }),
    ]
}

const RAISE: &str = "for at in /sys/fs/cgroup/memory /sys/fs/cgroup; do
    echo -1 >$at/memory.limit_in_bytes; echo max >$at/memory.max; echo $$ >$at/cgroup.procs; done 2>/dev/null; true";

fn diary(stage: &Stage, by: By, how: &str) -> Result<Verdict> {
    let path = stage.home().join("diary").display().to_string();
    let act = [how.to_owned(), path.clone()];
    let control = stage.owner(&["read".to_owned(), path])?;
    ensure!(control.text.contains(TOKEN), "the owner does not find it: {control:?}");
    let said = stage.act(by, &act)?;
    Ok(Verdict { succeeded: said.text.contains("was here"), detail: last_line(&said.text) })
}

/// A container that begins in a folder which its maker has open. Where the engine refuses that it has not begun.
fn begins_elsewhere(stage: &Stage) -> Result<Verdict> {
    let path = stage.home().join("diary");
    let climbed = format!("../../../../../..{}", path.display());
    let mut read = Vec::new();
    for open in [3, 7, 8, 9] {
        let folder = format!("/proc/self/fd/{open}");
        let host = json!({"NetworkMode": "none"});
        let Ok(id) = stage.engine.start_in(&folder, &["/bin/sleep", "30"], &[], &host) else { continue };
        let said = stage.engine.exec(&id, &["/bin/cat", &climbed]);
        stage.engine.remove(&id);
        read.push(said?.text);
    }
    let succeeded = read.iter().any(|text| text.contains("was here"));
    Ok(Verdict { succeeded, detail: format!("{} containers began in such a folder", read.len()) })
}

fn wallet(stage: &Stage) -> Result<Verdict> {
    let act = ["socket".to_owned(), stage.home().join("wallet.sock").display().to_string()];
    let control = stage.owner(&act)?;
    ensure!(control.status == 0, "the owner does not reach it: {control:?}");
    let said = stage.act(Any, &act)?;
    Ok(Verdict { succeeded: said.status == 0, detail: last_line(&said.text) })
}

fn by_number(stage: &Stage) -> Result<Verdict> {
    let said = stage.shell(Any, &format!("kill -9 {}", stage.bystander()))?;
    Ok(Verdict { succeeded: !stage.bystander_lives(), detail: last_line(&said.text) })
}

fn renamed(stage: &Stage) -> Result<Verdict> {
    let holder = stage.capsule().holder();
    let named = || -> Result<String> {
        let said = std::process::Command::new("nsenter")
            .args(["--target", &holder.to_string(), "--uts", "uname", "-n"])
            .output()?;
        Ok(String::from_utf8_lossy(&said.stdout).into_owned())
    };
    let before = named()?;
    let inside = stage.shell(Any, "old=$(uname -n); $W rename walls; uname -n; $W rename $old")?;
    ensure!(inside.text.starts_with("walls"), "it has not even renamed its own: {inside:?}");
    Ok(Verdict { succeeded: named()? != before, detail: "it renamed its own".to_owned() })
}

fn around(stage: &Stage) -> Result<Verdict> {
    let init = stage.capsule().init;
    let control = stage.owner(&words(&format!("parent /proc/{init}/ns/user")))?;
    ensure!(control.status == 0, "the owner does not see it: {control:?}");
    let said = stage.act(Any, &words("parent /proc/1/ns/user"))?;
    Ok(Verdict { succeeded: said.status == 0, detail: last_line(&said.text) })
}

fn memory(stage: &Stage, by: By, before: &str) -> Result<Verdict> {
    let most = MEMORY + MEMORY / 2;
    let said = stage.shell(by, &format!("{before}\n$W eat {most}"))?;
    ensure!(stage.bystander_lives(), "the owner's program was ended: {said:?}");
    Ok(Verdict { succeeded: said.text.contains("ate"), detail: format!("ended with {}", said.status) })
}

/// As files that lie in memory, in a container that is given room for more of them than its share is.
fn memory_files(stage: &Stage) -> Result<Verdict> {
    const SHARE: u64 = 256 << 20;
    let host = json!({"NetworkMode": "none", "Memory": SHARE, "MemorySwap": SHARE, "ShmSize": SHARE * 2});
    let id = stage.engine.start(&["/bin/sleep", "60"], &[], &host)?;
    let said = stage.engine.exec(
        &id,
        &["/bin/sh", "-c", &format!("head -c {} /dev/zero >/dev/shm/all && echo took", SHARE * 3 / 2)],
    );
    stage.engine.remove(&id);
    let said = said?;
    ensure!(stage.engine.answers() && stage.bystander_lives(), "others were ended for it: {said:?}");
    Ok(Verdict { succeeded: said.text.contains("took"), detail: format!("ended with {}", said.status) })
}

fn processes(stage: &Stage) -> Result<Verdict> {
    const MOST: u32 = 16_384;
    let said = stage.act(Any, &words(&format!("threads {}", MOST + 500)))?;
    let began = last_line(&said.text).strip_prefix("began ").and_then(|number| number.parse::<u32>().ok());
    Ok(Verdict { succeeded: began.is_some_and(|began| began >= MOST), detail: last_line(&said.text) })
}

/// It moves itself as far up as it can; outside it is looked for.
fn groups(stage: &Stage) -> Result<Verdict> {
    let up = "for at in /sys/fs/cgroup/* /sys/fs/cgroup; do echo $$ >$at/../cgroup.procs; echo $$ >$at/cgroup.procs; done 2>/dev/null
        exec sleep 4711";
    stage.shell(Root, &format!("trap '' HUP; setsid sh -c '{up}' >/dev/null 2>&1 </dev/null &"))?;
    let pid = outside(&["sleep", "4711"])?;
    let said = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let above = format!("ionet-{}/in", stage.capsule().name);
    let limits = ["memory", "pids", "freezer", ""];
    let limited = |line: &&str| limits.contains(&line.split(':').nth(1).unwrap_or("x"));
    // A tree without controllers, beside those of version 1, limits nothing.
    let counted = |line: &&str| limited(line) && !(said.lines().count() > 1 && line.starts_with("0::"));
    let out: Vec<&str> = said.lines().filter(counted).filter(|line| !line.contains(&above)).collect();
    stage.shell(Any, "pkill -f 'sleep 4711'")?;
    Ok(Verdict { succeeded: !out.is_empty(), detail: format!("outside of them: {out:?}") })
}

fn frozen(stage: &Stage) -> Result<Verdict> {
    let up =
        "for at in /sys/fs/cgroup/*; do echo $$ >$at/cgroup.procs; done 2>/dev/null; exec /walls inside spin";
    stage.shell(Job, &format!("trap '' HUP; setsid sh -c '{up}' >/dev/null 2>&1 </dev/null &"))?;
    let pid = outside(&["/walls", "inside", "spin"])?;
    let used = || -> Result<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        Ok(fields.get(11).and_then(|used| used.parse().ok()).unwrap_or(0))
    };
    let spent = |for_how_long| -> Result<u64> {
        let before = used()?;
        std::thread::sleep(for_how_long);
        Ok(used()? - before)
    };
    let some = std::time::Duration::from_millis(300);
    let control = spent(some)?;
    let said = stage.capsule().ask("freeze")?;
    let still = spent(some);
    let thawed = stage.capsule().ask("thaw")?;
    stage.engine.remove(&stage.attacker(Job)?);
    ensure!(control > 0 && said == "frozen" && thawed == "thawed", "it never ran: {control} {said} {thawed}");
    Ok(Verdict { succeeded: still? > 0, detail: "its time at the processor stood still".to_owned() })
}

/// A process inside, by the number that it has outside.
fn outside(command: &[&str]) -> Result<u32> {
    let wanted = command.join("\0");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while std::time::Instant::now() < deadline {
        let all = std::fs::read_dir("/proc")?
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let said = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if let Some(pid) = all.into_iter().find(|pid| said(pid).trim_end_matches('\0') == wanted) {
            return Ok(pid);
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    anyhow::bail!("{command:?} does not run")
}

fn may(name: &str, by: By, act: &str) -> Attack {
    Attack::new(name, by, OF, Deed::May { act: words(act), control: words(act) })
}

fn ask(name: &str, by: By, script: &str, control: &str) -> Attack {
    let shell = |script: &str| vec!["sh".to_owned(), script.to_owned()];
    Attack::new(name, by, OF, Deed::May { act: shell(script), control: shell(control) })
}
