//! The NVIDIA cards of this PC.

#[cfg_attr(any(target_os = "linux", target_os = "windows"), path = "gpu/nvml.rs")]
#[cfg_attr(not(any(target_os = "linux", target_os = "windows")), path = "gpu/absent.rs")]
mod library;

use std::path::{Path, PathBuf};

use ionet_core::fault::GpuFault;
use ionet_core::hardware::{Driver, GpuSample, Hardware};

use crate::{machine, platform};

/// The oldest driver branch that jobs can run on: 525 is the first that runs CUDA 12, which today's images need.
pub const MINIMUM_DRIVER: u32 = 525;

/// How the project's NVML double marks its driver version.
const DOUBLE: &str = "-double";

/// Where to look for the driver's library and for the cards themselves.
#[derive(Debug, Clone)]
pub struct Search {
    /// A path, or a bare name that the system's loader looks for.
    pub library: PathBuf,
    /// The PCI devices as Linux lists them, a folder each; not used on other systems.
    pub pci: PathBuf,
}

impl Default for Search {
    fn default() -> Self {
        Self { library: platform::NVML.into(), pci: platform::PCI.into() }
    }
}

/// The cards, as long as their driver stays. Dropping it lets the driver's library go.
#[must_use]
pub struct Gpus {
    library: library::Library,
    driver: Driver,
}

impl Gpus {
    /// Opens the driver's library and counts the cards.
    ///
    /// # Errors
    /// `DriverMissing`, `DriverBroken`, `DriverTooOld` (older than [`MINIMUM_DRIVER`]) or `NoGpu`.
    pub fn open() -> Result<Self, GpuFault> {
        Self::find(&Search::default())
    }

    /// As [`Gpus::open`], with this library in place of the system's.
    ///
    /// # Errors
    /// As [`Gpus::open`].
    pub fn open_at(library: &Path) -> Result<Self, GpuFault> {
        Self::find(&Search { library: library.to_owned(), ..Search::default() })
    }

    /// As [`Gpus::open`], looking elsewhere.
    ///
    /// # Errors
    /// As [`Gpus::open`].
    pub fn find(search: &Search) -> Result<Self, GpuFault> {
        let library = library::Library::load(search)?;
        let (version, cuda) = library.driver()?;
        check_age(&version)?;
        let library = library.with_cards()?;
        let driver = Driver { double: version.ends_with(DOUBLE), version, cuda };
        Ok(Self { library, driver })
    }

    pub fn driver(&self) -> &Driver {
        &self.driver
    }

    /// The whole PC, with the cards that were there when this handle was opened, in NVML's order. A card that fell off
    /// the bus since is left out.
    ///
    /// # Errors
    /// `DriverBroken` when no card answers at all.
    pub fn hardware(&self) -> Result<Hardware, GpuFault> {
        Ok(Hardware {
            gpus: self.library.gpus()?,
            driver: self.driver.clone(),
            cpu: machine::cpu(),
            memory: machine::memory(),
            disks: machine::disks(),
            os: machine::os(),
        })
    }

    /// One reading per card of [`Gpus::hardware`], in the same order. A card that does not answer reads as empty.
    ///
    /// # Errors
    /// `DriverBroken` when no card answers at all.
    pub fn sample(&self) -> Result<Vec<GpuSample>, GpuFault> {
        self.library.samples()
    }
}

/// A version that is not a number to begin with is let through: it says nothing about its age.
fn check_age(version: &str) -> Result<(), GpuFault> {
    let branch = version.split('.').next().and_then(|branch| branch.parse::<u32>().ok());
    match branch {
        Some(branch) if branch < MINIMUM_DRIVER => {
            Err(GpuFault::DriverTooOld { found: version.to_owned(), needed: MINIMUM_DRIVER.to_string() })
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_before_cuda_12_is_too_old() {
        let fault = check_age("470.256.02").unwrap_err();
        let expected = GpuFault::DriverTooOld { found: "470.256.02".into(), needed: "525".into() };
        assert_eq!(fault, expected);
        assert_eq!(check_age("525.60.13"), Ok(()));
        assert_eq!(check_age("571.24-double"), Ok(()));
        assert_eq!(check_age("a name"), Ok(()));
    }
}
