//! The world that agent and jobs live in: a capsule. A rehearsal may do without one, and then it is this PC itself.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use ionet_agent::guard::{Place, gate_socket};
use ionet_agent::{Drivers, OwnProgram};
use ionet_capsule::holder::Holder;
use ionet_capsule::place::Jobs;
use ionet_capsule::{self as capsule, Fault, Missing, Wish, inside};
use ionet_core::fault::{AgentFault, CapsuleFault, WorkFault};
use ionet_core::share::Share;
use ionet_core::time::Megabits;
use ionet_wire::paths::Folders;
use tokio::process::Command;

/// Said by whoever rehearses in a capsule: where the system's service holds it, or anything else for one of the app's own.
#[cfg(feature = "rehearsal")]
const VARIABLE: &str = "IONET_CAPSULE";

#[derive(Debug)]
pub(super) struct World {
    /// Where the guard is found, and a capsule's holder. Asked of the disk once: one that hangs later holds up neither a freeze nor a stop.
    pub(super) run: PathBuf,
    /// None in a rehearsal without one.
    pub(super) capsule: Option<Capsule>,
    data: PathBuf,
}

/// What is brought into a capsule that is opened.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    pub(super) agent: PathBuf,
    pub(super) card_plugin: PathBuf,
}

impl World {
    pub(super) fn of(folders: &Folders, program: &OwnProgram) -> Self {
        let run = run_folder(folders);
        let capsule = Capsule {
            holder: Holder::at(&run),
            by_service: service().is_some(),
            program: program.beside(&format!("ionet-capsule{}", std::env::consts::EXE_SUFFIX)),
            run: run.clone(),
            folder: folders.capsule(),
            name: folders.capsule_name(),
            log: folders.agent_logs().join("capsule.log"),
        };
        Self { run, capsule: is_wanted().then_some(capsule), data: folders.agent_data() }
    }

    /// Where what is ours lies and runs, as whoever runs there sees it.
    pub(super) fn place(&self) -> Place {
        match self.capsule {
            Some(_) => {
                Place { data_dir: inside::AGENT_DATA.into(), docker_socket: Some(inside::ENGINE.into()) }
            }
            None => Place { data_dir: self.data.clone(), docker_socket: None },
        }
    }

    /// The engine, as it is reached from here.
    pub(super) fn engine(&self) -> Option<PathBuf> {
        self.capsule.as_ref().map(|_| self.run.join("engine.sock"))
    }

    /// What jobs may be.
    pub(super) fn drivers(&self) -> Drivers {
        #[cfg(feature = "rehearsal")]
        if self.capsule.is_none() {
            return Drivers::rehearsal();
        }
        Drivers::production(inside::ENGINE, gate_socket(Path::new(inside::GUARD)))
    }

    /// The folder of this PC that a job's files lie in, or the disk that they lie on.
    pub(super) fn drive(&self) -> &Path {
        self.capsule.as_ref().map_or(&self.data, |capsule| &capsule.folder)
    }
}

/// A capsule of this PC, open or not.
#[derive(Debug)]
pub(super) struct Capsule {
    pub(super) holder: Holder,
    /// That holds it with programs of its own, which its packages have brought.
    by_service: bool,
    /// What holds one.
    program: PathBuf,
    run: PathBuf,
    folder: PathBuf,
    name: String,
    log: PathBuf,
}

impl Capsule {
    /// Opens it, before a start of its agent; one that is open with the same programs stays.
    pub(super) async fn open(
        &self,
        programs: &Programs,
        servers: &[String],
        share: Share,
    ) -> Result<(), AgentFault> {
        let named = (!self.by_service).then(|| brought(programs));
        let starts = || (!self.by_service).then(|| self.runs("serve"));
        self.holder.open(&wish(servers, share), named.as_ref(), starts).await.map_err(fault)
    }

    /// Whether jobs find room on its disk. Where nobody tells, whoever holds it is told of elsewhere.
    pub(super) async fn has_room(&self) -> Result<(), AgentFault> {
        let disk = self.holder.used().await.ok().and_then(|used| used.disk);
        if disk.is_some_and(is_full) { Err(fault(Fault::Full)) } else { Ok(()) }
    }

    /// Ends it and everything in it, and clears away what one has left that was ended by force.
    pub(super) async fn end(&self) -> Result<(), WorkFault> {
        self.holder.end(|| self.program.exists().then(|| self.runs("sweep"))).await.map_err(|fault| {
            tracing::warn!(%fault, "the capsule has not ended");
            WorkFault::StillThere { left: 1 }
        })
    }

    pub(super) async fn freeze(&self) -> Result<(), WorkFault> {
        held(self.holder.freeze(&Jobs::All).await)
    }

    pub(super) async fn thaw(&self) -> Result<(), WorkFault> {
        held(self.holder.thaw(&Jobs::All).await)
    }

    /// The holder outlives whoever starts it: its own group, no standard streams, nothing of the session.
    fn runs(&self, deed: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(deed).args(["--name", &self.name]);
        for (option, path) in [("--folder", &self.folder), ("--run", &self.run), ("--log", &self.log)] {
            command.arg(option).arg(path);
        }
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        #[cfg(unix)]
        command.process_group(0);
        command
    }
}

/// Where the logs of agent and jobs are asked for, where they live in a capsule.
pub(in crate::effects) fn door_to_logs(folders: &Folders) -> Option<PathBuf> {
    is_wanted().then(|| run_folder(folders).join("files.sock"))
}

fn run_folder(folders: &Folders) -> PathBuf {
    service().unwrap_or_else(|| folders.guard_run())
}

fn brought(programs: &Programs) -> capsule::Programs {
    let plugin = (card_plugin(&programs.card_plugin), programs.card_plugin.clone());
    let beside = [plugin].into_iter().chain(played()).map(|(name, file)| (name.into(), file));
    capsule::Programs { agent: Some(programs.agent.clone()), beside: beside.collect() }
}

/// What is left is less than any job needs.
fn is_full((taken, of): (u64, u64)) -> bool {
    of.saturating_sub(taken) < 64 << 20
}

/// Its name below the folder of what is brought.
fn card_plugin(program: &Path) -> String {
    format!("plugins/{}", program.file_name().unwrap_or_default().to_string_lossy())
}

/// A region's servers in a private network, or on this PC, are closed to a capsule unless they are named.
fn wish(servers: &[String], share: Share) -> Wish {
    let addresses: Vec<SocketAddr> = servers.iter().filter_map(|server| server.parse().ok()).collect();
    let (here, elsewhere): (Vec<SocketAddr>, _) =
        addresses.into_iter().partition(|server| server.ip().is_loopback());
    Wish {
        disk: share.disk.map(|disk| disk.bytes().0),
        memory: None,
        rate: share.rate.map(Megabits::bits),
        granted: elsewhere.into_iter().filter(|server| is_private(server.ip())).collect(),
        led: if cfg!(feature = "rehearsal") {
            here.iter().map(SocketAddr::port).collect()
        } else {
            Vec::new()
        },
    }
}

fn is_private(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if address.is_private())
}

fn held(said: Result<(), Fault>) -> Result<(), WorkFault> {
    said.map_err(|fault| {
        tracing::warn!(%fault, "jobs could not be held");
        WorkFault::NotPermitted
    })
}

fn fault(fault: Fault) -> AgentFault {
    let capsule = match fault {
        Fault::Missing(Missing::Network) => return AgentFault::NoNetwork,
        Fault::Missing(Missing::Program(program)) => CapsuleFault::ProgramMissing(program),
        Fault::Missing(Missing::UserNamespaces(setting)) => CapsuleFault::NotPermitted(setting),
        Fault::Missing(Missing::AppArmor) => {
            CapsuleFault::NotPermitted("kernel.apparmor_restrict_unprivileged_userns".to_owned())
        }
        Fault::Missing(Missing::SubordinateIds(file)) => CapsuleFault::NoIds(file),
        Fault::Missing(Missing::ControlGroup(missing)) => CapsuleFault::NoControlGroup(missing),
        Fault::Missing(Missing::Device(device)) => CapsuleFault::NoDevice(device),
        Fault::Disk(why) => CapsuleFault::Disk(why),
        Fault::Full => CapsuleFault::Full,
        Fault::Busy => CapsuleFault::Busy,
        Fault::Failed { step, why } => CapsuleFault::Failed(format!("{step}: {why}")),
        Fault::Elsewhere => CapsuleFault::Elsewhere,
    };
    AgentFault::NoCapsule(capsule)
}

#[cfg(feature = "rehearsal")]
fn is_wanted() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// The folder of the system's service, where it holds capsules: of a rehearsal, what it is told.
#[cfg(feature = "rehearsal")]
fn service() -> Option<PathBuf> {
    std::env::var_os(VARIABLE).map(PathBuf::from).filter(|told| told.is_absolute())
}

#[cfg(not(feature = "rehearsal"))]
fn service() -> Option<PathBuf> {
    let run = PathBuf::from("/run/ionet-supplier");
    ionet_capsule::holder::socket(&run).exists().then_some(run)
}

/// No agent of a product ever runs outside.
#[cfg(not(feature = "rehearsal"))]
fn is_wanted() -> bool {
    true
}

/// A rehearsal's card: what gives jobs their cards sees the same one as the app.
#[cfg(feature = "rehearsal")]
fn played() -> impl Iterator<Item = (String, PathBuf)> {
    let library = std::env::var_os("LD_LIBRARY_PATH").map(|folder| Path::new(&folder).join(LIBRARY));
    let script = std::env::var_os("IONET_NVML_SCRIPT").map(PathBuf::from);
    let files = [(LIBRARY, library), ("script", script)];
    files
        .into_iter()
        .filter_map(|(name, file)| Some((format!("played/{name}"), file.filter(|file| file.exists())?)))
}

#[cfg(feature = "rehearsal")]
const LIBRARY: &str = "libnvidia-ml.so.1";

#[cfg(not(feature = "rehearsal"))]
fn played() -> impl Iterator<Item = (String, PathBuf)> {
    std::iter::empty()
}

#[cfg(test)]
mod tests {
    use ionet_core::time::Gigabytes;

    use super::*;

    #[test]
    fn a_disk_is_full_before_its_last_byte_is_taken() {
        assert!(
            is_full((2 << 30, 2 << 30))
                && is_full((3 << 30, 2 << 30))
                && is_full(((2 << 30) - 4096, 2 << 30))
        );
        assert!(!is_full((1 << 30, 2 << 30)));
    }

    #[test]
    fn of_the_regions_servers_those_in_private_networks_alone_are_let_through_the_wall() {
        let servers = ["203.0.113.7:4647", "192.168.7.4:4647", "127.0.0.1:4647", "nomad.example.test:4647"];

        let wish = wish(&servers.map(str::to_owned), Share::default());

        assert_eq!(wish.granted, ["192.168.7.4:4647".parse().unwrap()]);
        let led: &[u16] = if cfg!(feature = "rehearsal") { &[4647] } else { &[] };
        assert_eq!(wish.led, led);
    }

    #[test]
    fn a_capsule_is_asked_for_with_what_the_owner_chose_and_else_with_the_usual() {
        let chosen = Share { disk: Some(Gigabytes(80)), rate: Some(Megabits(50)) };

        let (wish, usual) = (wish(&[], chosen), wish(&[], Share::default()));

        assert_eq!((wish.disk, wish.rate), (Some(80 << 30), Some(50_000_000)));
        assert_eq!((usual.disk, usual.rate), (None, None));
    }
}
