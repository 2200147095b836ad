//! What of this PC jobs get: what its owner may choose, has chosen, and what became of it.

pub(crate) mod view;

use serde::{Deserialize, Serialize};

use crate::start::StartId;
use crate::time::{Bytes, Gigabytes, Megabits};
use crate::wall::CapsuleUse;

/// As the owner chose it. It is saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Share {
    /// What the jobs' disk may hold. None: a third of what the drive had free when it was made, 60 GB at most.
    pub disk: Option<Gigabytes>,
    /// Of the internet connection, per second and each way. None: no cap.
    pub rate: Option<Megabits>,
}

/// A part of it, as it is asked for: two who change different parts at once undo nothing of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(tag = "of", content = "to", rename_all = "snake_case")]
pub enum Setting {
    Disk(Option<Gigabytes>),
    Rate(Option<Megabits>),
}

/// Why a choice cannot be made, with what can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// Too little for a capsule.
    DiskTooSmall {
        least: Gigabytes,
    },
    /// More than the drive has.
    DiskTooLarge {
        most: Gigabytes,
    },
    RateTooLow {
        least: Megabits,
    },
    RateTooHigh {
        most: Megabits,
    },
}

/// An engine and an image find room in that.
const LEAST_DISK: Gigabytes = Gigabytes(1);
/// A file holds no more on the most usual file system.
const MOST_DISK: Gigabytes = Gigabytes(16_000);
const LEAST_RATE: Megabits = Megabits(1);
const MOST_RATE: Megabits = Megabits(100_000);

/// What is chosen, what may be, and what is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct ShareView {
    pub chosen: Share,
    /// Jobs that run now were given another share: this one is for their next start.
    pub waits: bool,
    pub disk: DiskView,
    pub least_rate: Megabits,
    pub most_rate: Megabits,
}

/// The drive, and the jobs' disk on it. None where nobody can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct DiskView {
    pub least: Gigabytes,
    pub most: Gigabytes,
    pub free: Option<Gigabytes>,
    /// Begun ones count.
    pub used: Option<Gigabytes>,
    pub size: Option<Gigabytes>,
    /// It is larger than what was chosen: it grows and never shrinks.
    pub stays_larger: bool,
}

/// The jobs' disk as it was last seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobsDisk {
    pub used: Bytes,
    pub size: Bytes,
}

impl JobsDisk {
    pub(crate) fn of(used: &CapsuleUse) -> Option<Self> {
        Some(Self { used: used.disk_used?, size: used.disk_size? })
    }
}

impl Share {
    pub(crate) fn set(&mut self, setting: Setting) {
        match setting {
            Setting::Disk(to) => self.disk = to,
            Setting::Rate(to) => self.rate = to,
        }
    }

    pub fn has(&self, setting: Setting) -> bool {
        match setting {
            Setting::Disk(disk) => self.disk == disk,
            Setting::Rate(rate) => self.rate == rate,
        }
    }

    /// Without what nobody can have chosen: somebody wrote it into the file.
    pub(crate) fn sound(self) -> Self {
        Self {
            disk: self.disk.filter(|disk| (LEAST_DISK..=MOST_DISK).contains(disk)),
            rate: self.rate.filter(|rate| (LEAST_RATE..=MOST_RATE).contains(rate)),
        }
    }
}

impl ShareView {
    /// # Errors
    /// Why this cannot be chosen now.
    pub fn check(&self, setting: Setting) -> Result<(), Unfit> {
        match setting {
            Setting::Disk(None) | Setting::Rate(None) => Ok(()),
            Setting::Disk(Some(disk)) if disk < self.disk.least => {
                Err(Unfit::DiskTooSmall { least: self.disk.least })
            }
            Setting::Disk(Some(disk)) if disk > self.disk.most => {
                Err(Unfit::DiskTooLarge { most: self.disk.most })
            }
            Setting::Rate(Some(rate)) if rate < self.least_rate => {
                Err(Unfit::RateTooLow { least: self.least_rate })
            }
            Setting::Rate(Some(rate)) if rate > self.most_rate => {
                Err(Unfit::RateTooHigh { most: self.most_rate })
            }
            Setting::Disk(Some(_)) | Setting::Rate(Some(_)) => Ok(()),
        }
    }
}

/// What a start was given.
pub type Given = (StartId, Share);
