//! The NVIDIA cards of this PC, and with them the rest of it.

mod roster;

#[cfg_attr(any(target_os = "linux", target_os = "windows"), path = "gpu/nvml.rs")]
#[cfg_attr(not(any(target_os = "linux", target_os = "windows")), path = "gpu/absent.rs")]
mod library;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ionet_core::fault::GpuFault;
use ionet_core::hardware::{Disk, Driver, Figures, Gpu, Hardware};

use self::roster::Roster;
use crate::worker::{Silence, Worker};
use crate::{machine, platform};

/// The oldest driver branch that jobs can run on: 525 is the first that runs CUDA 12, which today's images need.
pub const MINIMUM_DRIVER: u32 = 525;

/// Where to look for the driver's library and for the cards themselves, and how long to wait for an answer.
#[derive(Debug, Clone)]
pub struct Search {
    /// Paths, or bare names that the system's loader looks for; the first that is there counts.
    pub libraries: Vec<PathBuf>,
    /// Where the system's own files begin (`sys`, `proc` and `dev` on Linux).
    pub root: PathBuf,
    /// A card that wakes takes a second or two, a driver that loads some more.
    pub patience: Duration,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            libraries: platform::NVML.iter().map(PathBuf::from).collect(),
            root: platform::ROOT.into(),
            patience: Duration::from_secs(10),
        }
    }
}

/// Whether this PC has a card of NVIDIA's at all, driver or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Present,
    Absent,
    /// The system does not say.
    Unknown,
}

/// A card as the PCI bus shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OnBus {
    /// `0000:01:00.0`
    pub(crate) address: String,
    pub(crate) asleep: bool,
    /// The system may put it to sleep while nobody uses it.
    pub(crate) may_sleep: bool,
}

/// The cards, with the driver's library held open between questions and opened anew when it says so.
///
/// One handle for the program's life: what it has seen is how it knows that a card is gone, and what a card is that sleeps.
#[must_use]
pub struct Cards {
    search: Search,
    roster: Worker<Roster>,
    /// Apart from the cards: a disk that hangs is no driver that hangs.
    disks: Worker<()>,
    last_disks: Mutex<Vec<Disk>>,
}

impl Cards {
    /// Looks at nothing yet.
    pub fn new(search: Search) -> Self {
        let of_roster = search.clone();
        Self {
            roster: Worker::start("cards", search.patience, move || Roster::new(of_roster.clone())),
            disks: Worker::start("disks", search.patience, || ()),
            last_disks: Mutex::default(),
            search,
        }
    }

    /// Whether there is a card at all. Cheap, wakes none and does not need the driver, so it can be asked as often as one
    /// likes while a driver is awaited.
    pub fn presence(&self) -> Presence {
        platform::presence(&self.search.root)
    }

    /// A look at the whole PC, for every minute. Whoever compares two by `uuid` sees which card came and which is out.
    ///
    /// A card that sleeps is not woken, unless it is the first time that this handle sees it: what it is only the card
    /// itself can say.
    ///
    /// # Errors
    /// When no card can take jobs. Asking again finds out whether that has passed.
    pub fn look(&self) -> Result<Hardware, GpuFault> {
        let (gpus, driver) = self.gpus()?;
        let hardware = Hardware {
            gpus,
            driver,
            cpu: machine::cpu(),
            memory: machine::memory(),
            disks: self.disks(),
            os: machine::os(),
        };
        if hardware.for_jobs().next().is_some() {
            return Ok(hardware);
        }
        let first = hardware.troubles().into_iter().next();
        Err(first.map_or(GpuFault::NoGpu, |(trouble, cards)| GpuFault::CardsOut {
            cards: cards.join(", "),
            trouble,
        }))
    }

    /// The cards of such a look alone, also where none can take jobs.
    ///
    /// # Errors
    /// When the driver says nothing, or there is no card and never was.
    pub fn gpus(&self) -> Result<(Vec<Gpu>, Driver), GpuFault> {
        self.roster.ask(Roster::look).unwrap_or_else(|silence| Err(fault(silence)))
    }

    /// What the cards are doing now, each under its id. A card that sleeps is not asked and stays asleep; one that may go
    /// to sleep and idles is left alone for a while, and what it said last is told with that reading's time.
    ///
    /// # Errors
    /// When no card answers: there are then no figures, and the last ones are no longer live.
    pub fn figures(&self) -> Result<Figures, GpuFault> {
        self.roster.ask(Roster::figures).unwrap_or_else(|silence| Err(fault(silence)))
    }

    /// A disk that does not answer leaves the list as it last was.
    fn disks(&self) -> Vec<Disk> {
        let now = self.disks.ask(|()| machine::disks());
        let mut last = self.last_disks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(disks) = now {
            *last = disks;
        }
        last.clone()
    }
}

impl Default for Cards {
    fn default() -> Self {
        Self::new(Search::default())
    }
}

fn fault(silence: Silence) -> GpuFault {
    match silence {
        Silence::Hangs => GpuFault::DriverSilent,
        Silence::BrokeOff => GpuFault::DriverBroken("a question to it broke off".to_owned()),
    }
}
