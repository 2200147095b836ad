//! NVML, through its wrapper.

#[path = "nvml/card.rs"]
mod card;
#[path = "nvml/file.rs"]
mod file;

use std::collections::BTreeSet;
use std::path::Path;

use ionet_core::fault::GpuFault;
use ionet_core::hardware::{CardTrouble, Driver, Gpu, GpuFigures};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml, cuda_driver_version_major, cuda_driver_version_minor};

use self::file::LibraryFile;
use super::roster::{Asked, Seen};
use super::{MINIMUM_DRIVER, OnBus, Presence, Search};
use crate::platform;

/// How the project's NVML double marks its driver version.
const DOUBLE: &str = "-double";

/// More than any machine holds. A library in disorder may say any number.
const MOST_CARDS: u32 = 64;

/// `NVML_ERROR_GPU_NOT_FOUND`, which the wrapper has no name for.
const GPU_NOT_FOUND: u32 = 28;

/// The library, initialised.
pub(super) struct Library {
    nvml: Nvml,
    driver: Driver,
}

/// What it was opened with: what it says holds as long as that is there.
pub(super) struct Origin {
    file: LibraryFile,
    /// NVML counts the cards once.
    bus: Vec<String>,
}

impl Origin {
    pub(super) fn is_current(&self, bus: &[OnBus]) -> bool {
        self.file.is_current() && self.bus == addresses(bus)
    }
}

impl Library {
    /// Loads and initialises the library. This wakes no card yet.
    pub(super) fn load(search: &Search, bus: &[OnBus]) -> Result<(Self, Origin), GpuFault> {
        let (nvml, name) = open(search)?;
        let file = LibraryFile::of(name);
        let version = match nvml.sys_driver_version() {
            Ok(version) => tidy(&version),
            // It says nothing about itself, and may do its work all the same.
            Err(NvmlError::Utf8Error(_) | NvmlError::NotSupported) => String::new(),
            Err(error) => return Err(fault(&error)),
        };
        check_age(&version)?;
        // The old library stayed in memory, and works. No program that starts from now on does.
        if file.version().is_some_and(|file| !version.is_empty() && file != version) {
            return Err(GpuFault::DriverMismatch);
        }
        let cuda = nvml.sys_cuda_driver_version().map(|number| {
            format!("{}.{}", cuda_driver_version_major(number), cuda_driver_version_minor(number))
        });
        let driver = Driver { double: version.ends_with(DOUBLE), version, cuda: cuda.unwrap_or_default() };
        tracing::debug!(version = driver.version, "NVML is open");
        Ok((Self { nvml, driver }, Origin { file, bus: addresses(bus) }))
    }

    pub(super) fn driver(&self) -> &Driver {
        &self.driver
    }

    pub(super) fn look(&self, asked: &Asked) -> Result<Seen<Gpu>, GpuFault> {
        self.ask(asked, |device, uuid| {
            let (gpu, trouble) = card::describe(device, uuid);
            (Some(gpu), trouble)
        })
    }

    pub(super) fn figures(&self, asked: &Asked) -> Result<Seen<GpuFigures>, GpuFault> {
        self.ask(asked, |device, uuid| match card::fallen(device) {
            Some(trouble) => (None, Some(trouble)),
            None => (Some(card::figures(device, uuid)), None),
        })
    }

    /// Asks every card that says who it is. Two with one id cannot be told apart, so only the first of them counts.
    fn ask<Of>(
        &self,
        asked: &Asked,
        question: impl Fn(&Device<'_>, String) -> (Option<Of>, Option<CardTrouble>),
    ) -> Result<Seen<Of>, GpuFault> {
        let mut seen = Seen::default();
        let mut ids = BTreeSet::new();
        for device in self.devices(asked)? {
            match device.and_then(|device| Ok((id(&device)?, device))) {
                Ok((uuid, _)) if !ids.insert(uuid.clone()) => {
                    tracing::debug!(uuid, "two cards have one id; the second is left out");
                }
                Ok((uuid, device)) => {
                    let (card, trouble) = question(&device, uuid);
                    seen.fallen |= trouble.is_some();
                    seen.missing.extend(trouble.filter(|_| card.is_none()));
                    seen.cards.extend(card);
                }
                Err(error) if is_of_the_driver(&error) => return Err(fault(&error)),
                Err(error) => {
                    tracing::debug!(%error, "a card does not say its id");
                    seen.missing.push(card::trouble(&error));
                }
            }
        }
        Ok(seen)
    }

    fn devices(&self, asked: &Asked) -> Result<Vec<Result<Device<'_>, NvmlError>>, GpuFault> {
        match asked {
            Asked::Everybody => {
                let count = self.nvml.device_count().map_err(|error| fault(&error))?;
                Ok((0..count.min(MOST_CARDS)).map(|index| self.nvml.device_by_index(index)).collect())
            }
            Asked::At(addresses) => {
                let devices = addresses.iter().map(|at| self.nvml.device_by_pci_bus_id(at.as_str()));
                // It is on the bus and not this driver's: lent to a virtual machine, say.
                Ok(devices.filter(|device| !matches!(device, Err(NvmlError::NotFound))).collect())
            }
        }
    }
}

/// The first library that is there, and its name.
fn open(search: &Search) -> Result<(Nvml, &Path), GpuFault> {
    let mut present = false;
    for name in &search.libraries {
        match Nvml::builder().lib_path(name.as_os_str()).init() {
            Ok(nvml) => return Ok((nvml, name)),
            Err(NvmlError::LibloadingError(error)) => {
                tracing::debug!(%error, library = %name.display(), "not loaded");
                present |= name.is_file();
            }
            Err(error) => return Err(fault_at_start(&error, search)),
        }
    }
    if present {
        return Err(GpuFault::DriverBroken("its management library cannot be loaded".to_owned()));
    }
    Err(match platform::presence(&search.root) {
        Presence::Absent => GpuFault::NoGpu,
        Presence::Present | Presence::Unknown => GpuFault::DriverMissing,
    })
}

fn fault_at_start(error: &NvmlError, search: &Search) -> GpuFault {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest means the same at any time")]
    let fault = match error {
        // A driver without a card to drive need not load.
        NvmlError::DriverNotLoaded if platform::presence(&search.root) == Presence::Absent => GpuFault::NoGpu,
        NvmlError::NotFound | NvmlError::UnexpectedVariant(GPU_NOT_FOUND) => GpuFault::NoGpu,
        error => fault(error),
    };
    tracing::debug!(%error, %fault, "NVML did not start");
    fault
}

/// It speaks of the driver, and not of the card that was asked.
fn is_of_the_driver(error: &NvmlError) -> bool {
    matches!(error, NvmlError::Uninitialized | NvmlError::DriverNotLoaded | NvmlError::LibRmVersionMismatch)
}

fn fault(error: &NvmlError) -> GpuFault {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest is told in NVML's own words")]
    let why = match error {
        NvmlError::DriverNotLoaded => return GpuFault::DriverNotLoaded,
        NvmlError::LibRmVersionMismatch => return GpuFault::DriverMismatch,
        NvmlError::GpuLost => "the card has fallen off the bus".to_owned(),
        NvmlError::ResetRequired => "the card needs a restart of the PC".to_owned(),
        NvmlError::FailedToLoadSymbol(_) => "its management library is incomplete".to_owned(),
        NvmlError::NoPermission | NvmlError::OperatingSystem => "this program may not talk to it".to_owned(),
        error => error.to_string(),
    };
    GpuFault::DriverBroken(why)
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

/// What a card is known by. Anything but letters, figures and dashes is no id of NVIDIA's.
fn id(device: &Device<'_>) -> Result<String, NvmlError> {
    let uuid = device.uuid()?;
    let sound = !uuid.is_empty() && uuid.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    sound.then_some(uuid).ok_or(NvmlError::NoData)
}

/// NVML's texts are plain words by its own documentation. What else is in one is not shown to anybody.
fn tidy(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_ascii_graphic() { c } else { ' ' }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn addresses(bus: &[OnBus]) -> Vec<String> {
    bus.iter().map(|card| card.address.clone()).collect()
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
        assert_eq!(check_age(""), Ok(()));
    }

    #[test]
    fn a_text_is_shown_without_what_a_terminal_or_a_page_could_stumble_over() {
        assert_eq!(tidy("NVIDIA\u{1b}[31m GeForce\u{202e}\tRTX  4090\n"), "NVIDIA [31m GeForce RTX 4090");
        assert_eq!(tidy("\u{feff}  "), "");
    }
}
