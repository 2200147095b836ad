//! Of memory, processors, processes and logs a container has what its allocation reserved, and a limit in any case.

use serde::Serialize;

use super::Refusal;
use super::read::Fields;

const MIB: i64 = 1024 * 1024;
/// The engine starts nothing with less.
const LEAST_MEMORY: i64 = 6 * MIB;
/// The engine's own for `/dev/shm`.
const SHARED_MEMORY: i64 = 64 * MIB;
/// More than any program of a home's PC needs, and few enough that nobody else lacks one.
const PROCESSES: i64 = 4096;
/// What a kernel knows.
const SHARES: (i64, i64) = (2, 262_144);
const PERIOD: (i64, i64) = (1_000, 1_000_000);
const LEAST_QUOTA: i64 = 1_000;

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Limits {
    memory: i64,
    /// The same: with no more beside it, there is no swap.
    memory_swap: i64,
    cpu_shares: i64,
    #[serde(skip_serializing_if = "is_zero")]
    cpu_period: i64,
    #[serde(skip_serializing_if = "is_zero")]
    cpu_quota: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    cpuset_cpus: String,
    pids_limit: i64,
    shm_size: i64,
    ulimits: [Ulimit; 3],
    /// That it ends before others when memory runs out.
    #[serde(skip_serializing_if = "is_zero")]
    oom_score_adj: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Ulimit {
    name: &'static str,
    soft: i64,
    hard: i64,
}

/// What an engine can give at all: where it is no administrator of its PC, no more than it was given itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Most {
    pub(crate) core: i64,
    pub(crate) memlock: i64,
    pub(crate) nofile: i64,
}

impl Limits {
    pub(super) fn read(host: &mut Fields, most: Most) -> Result<Self, Refusal> {
        let memory = memory(host)?;
        let asked_shm = host.number("ShmSize")?;
        let shm_size = if asked_shm > 0 { asked_shm } else { SHARED_MEMORY };
        let pids = host.number("PidsLimit")?;
        let (cpu_period, cpu_quota) = quota(host)?;
        Ok(Self {
            memory,
            memory_swap: memory,
            cpu_shares: host.number("CpuShares")?.clamp(SHARES.0, SHARES.1),
            cpu_period,
            cpu_quota,
            cpuset_cpus: processors(host)?,
            pids_limit: if pids > 0 { pids.min(PROCESSES) } else { PROCESSES },
            // It counts as the container's memory.
            shm_size: shm_size.min(memory),
            ulimits: ulimits(host, memory, most)?,
            oom_score_adj: score(host)?,
        })
    }

    pub(super) fn memory(&self) -> i64 {
        self.memory
    }
}

/// The lower one of what the driver calls its limit and its reservation: only the reservation is what the scheduler counted.
fn memory(host: &mut Fields) -> Result<i64, Refusal> {
    let (limit, reserved) = (host.number("Memory")?, host.number("MemoryReservation")?);
    let swap = host.number("MemorySwap")?;
    let memory = if reserved > 0 && limit > 0 { reserved.min(limit) } else { limit.max(reserved) };
    if memory < LEAST_MEMORY || limit < 0 || reserved < 0 {
        return Err(Refusal::of("Memory"));
    }
    if swap == 0 || swap == limit { Ok(memory) } else { Err(Refusal::of("MemorySwap")) }
}

/// A lower limit only: how long of each period it may run.
fn quota(host: &mut Fields) -> Result<(i64, i64), Refusal> {
    let (period, quota) = (host.number("CpuPeriod")?, host.number("CpuQuota")?);
    if quota == 0 {
        return Ok((0, 0));
    }
    let is_sound = (PERIOD.0..=PERIOD.1).contains(&period) && quota >= LEAST_QUOTA;
    if is_sound { Ok((period, quota)) } else { Err(Refusal::of("CpuQuota")) }
}

fn processors(host: &mut Fields) -> Result<String, Refusal> {
    let set = host.text("CpusetCpus")?;
    let is_set = |byte: u8| byte.is_ascii_digit() || b",-".contains(&byte);
    if set.len() <= 1024 && set.bytes().all(is_set) { Ok(set) } else { Err(Refusal::of("CpusetCpus")) }
}

fn score(host: &mut Fields) -> Result<i64, Refusal> {
    let score = host.number("OomScoreAdj")?;
    if (0..=1000).contains(&score) { Ok(score) } else { Err(Refusal::of("OomScoreAdj")) }
}

const FILES: (i64, i64) = (65_536, 524_288);
const LOCKED: i64 = 64 * 1024;

/// A job may have other numbers than these, up to what is sound.
fn ulimits(host: &mut Fields, memory: i64, most: Most) -> Result<[Ulimit; 3], Refusal> {
    let (memlock, nofile) = (memory.min(most.memlock), FILES.1.min(most.nofile));
    let both = |name, limit| Ulimit { name, soft: limit, hard: limit };
    let mut limits = [
        // Of one byte: then a crash is neither written to a file nor told to a program of the host's.
        both("core", most.core.min(1)),
        both("memlock", memlock.min(LOCKED)),
        both("nofile", nofile.min(FILES.0)),
    ];
    for asked in host.list("Ulimits")? {
        let mut asked = Fields::inner(asked, "Ulimits")?;
        let (name, soft, hard) = (asked.text("Name")?, asked.number("Soft")?, asked.number("Hard")?);
        asked.done()?;
        let most = match name.as_str() {
            "core" => limits[0].hard,
            "memlock" => memlock,
            "nofile" => nofile,
            _ => return Err(Refusal::of("Ulimits")),
        };
        let bounded = |asked: i64| if asked < 0 { most } else { asked.min(most) };
        let hard = bounded(hard);
        if let Some(limit) = limits.iter_mut().find(|limit| limit.name == name && name != "core") {
            (limit.soft, limit.hard) = (bounded(soft).min(hard), hard);
        }
    }
    Ok(limits)
}

/// Nomad reads it as it grows, and keeps a copy with limits of its own.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Logs {
    r#type: &'static str,
    config: LogFiles,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct LogFiles {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_file: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_size: Option<&'static str>,
}

impl Logs {
    /// Others send a job's output to an address that the job chooses, with the engine's rights.
    pub(super) fn read(host: &mut Fields) -> Result<Self, Refusal> {
        const NAME: &str = "LogConfig";
        let mut asked = host.object(NAME)?;
        let kind = asked.word("Type", &["json-file", "local", "none"]).map_err(|_| Refusal::of(NAME))?;
        let mut config = asked.object("Config")?;
        // How much is kept is not the job's to say.
        config.text("max-file")?;
        config.text("max-size")?;
        config.done().and(asked.done()).map_err(|_| Refusal::of(NAME))?;
        let kept = kind != "none";
        Ok(Self {
            r#type: if kind.is_empty() { "json-file" } else { kind },
            config: LogFiles { max_file: kept.then_some("2"), max_size: kept.then_some("2m") },
        })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}
