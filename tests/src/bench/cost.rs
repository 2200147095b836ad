//! What processes take of memory and processor, by the kernel's own account.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

/// Bytes by what they are for.
pub(super) type Parts = BTreeMap<&'static str, u64>;

/// The proportional set size of all of them: a page that several processes have is divided among them.
pub(super) fn pss(pids: &[u32]) -> Result<u64> {
    pids.iter()
        .map(|pid| {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
            text.lines()
                .find_map(size)
                .with_context(|| format!("the kernel does not say what process {pid} takes"))
        })
        .sum()
}

/// Where the proportional set size of one lies.
pub(super) fn parts(pid: u32) -> Result<Parts> {
    let program = fs::read_link(format!("/proc/{pid}/exe"))?;
    Ok(sorted(&fs::read_to_string(format!("/proc/{pid}/smaps"))?, &program))
}

/// What they used of the processor since [`Usage::begin`].
pub(super) struct Usage {
    pids: Vec<u32>,
    used: Duration,
    began: Instant,
}

impl Usage {
    pub(super) fn begin(pids: &[u32]) -> Result<Self> {
        Ok(Self { pids: pids.to_owned(), used: used(pids)?, began: Instant::now() })
    }

    /// In hundredths of one processor.
    pub(super) fn percent(&self) -> Result<f64> {
        let spent = used(&self.pids)?.saturating_sub(self.used);
        Ok(100.0 * spent.as_secs_f64() / self.began.elapsed().as_secs_f64())
    }
}

/// By each process's own clock, which counts ended threads too. `/proc/PID/stat` tells hundredths of a second, and
/// an idle minute is to cost about one.
fn used(pids: &[u32]) -> Result<Duration> {
    pids.iter()
        .map(|pid| {
            let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(*pid)?))?;
            Ok(Duration::from(clock.now()?))
        })
        .sum()
}

fn sorted(smaps: &str, program: &Path) -> Parts {
    let mut parts = Parts::new();
    let mut part = "anonymous";
    for line in smaps.lines() {
        if let Some(bytes) = size(line) {
            *parts.entry(part).or_default() += bytes;
        } else if line.split_once(' ').is_some_and(|(first, _)| first.contains('-')) {
            part = of_mapping(line.split_ascii_whitespace().nth(5).unwrap_or_default(), program);
        }
    }
    parts
}

fn of_mapping(path: &str, program: &Path) -> &'static str {
    match path {
        "[heap]" => "heap",
        "[stack]" => "stack",
        _ if Path::new(path) == program => "program",
        _ if path.contains(".so") => "libraries",
        _ if path.starts_with('/') => "files",
        // Arenas, and the stacks of threads.
        _ => "anonymous",
    }
}

fn size(line: &str) -> Option<u64> {
    let kilobytes = line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?;
    Some(kilobytes.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mapping_counts_to_the_part_that_it_belongs_to() {
        let smaps = "\
55d0-55d8 r-xp 00000000 fe:00 42                         /opt/app
Rss:                 128 kB
Pss:                  64 kB
Pss_Dirty:             0 kB
VmFlags: rd ex mr mw me
56a0-56b0 rw-p 00000000 00:00 0                          [heap]
Pss:                 300 kB
7f10-7f20 rw-p 00000000 00:00 0 \n\
Pss:                   8 kB
7f30-7f40 r--p 00000000 fe:00 43                         /usr/lib/libc.so.6
Pss:                  20 kB
7f50-7f60 rw-p 00000000 00:00 0 \n\
Pss:                   4 kB
";

        let parts = sorted(smaps, Path::new("/opt/app"));

        let kilobytes = |part: &str| parts[part] / 1024;
        assert_eq!(["program", "heap", "anonymous", "libraries"].map(kilobytes), [64, 300, 12, 20]);
    }

    #[test]
    fn this_process_takes_memory_and_time() {
        let own = [std::process::id()];
        let usage = Usage::begin(&own).unwrap();

        let (whole, parts) = (pss(&own).unwrap(), parts(own[0]).unwrap());

        assert!(whole > 0 && parts["program"] > 0, "{whole} {parts:?}");
        assert!(usage.percent().unwrap() > 0.0);
    }
}
