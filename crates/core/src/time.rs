//! Time and sizes as the core sees them: numbers that arrive with an event.

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, by the PC's own clock unless a field says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(transparent)]
pub struct UnixMs(#[cfg_attr(feature = "bindings", specta(type = i32))] pub i64);

impl UnixMs {
    pub fn plus(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// A size in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(transparent)]
pub struct Bytes(#[cfg_attr(feature = "bindings", specta(type = i32))] pub u64);

impl Bytes {
    /// Whole ones.
    pub fn gigabytes(self) -> Gigabytes {
        Gigabytes(u32::try_from(self.0 >> 30).unwrap_or(u32::MAX))
    }

    /// With one that is not full.
    pub fn gigabytes_begun(self) -> Gigabytes {
        Self(self.0.saturating_add((1 << 30) - 1)).gigabytes()
    }
}

/// A size as its owner says and reads it: of 2³⁰ bytes each, as everywhere in the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(transparent)]
pub struct Gigabytes(pub u32);

impl Gigabytes {
    pub fn bytes(self) -> Bytes {
        Bytes(u64::from(self.0) << 30)
    }
}

/// A rate as providers sell it: millions of bits per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(transparent)]
pub struct Megabits(pub u32);

impl Megabits {
    pub fn bits(self) -> u64 {
        u64::from(self.0) * 1_000_000
    }
}

/// The moment an event is handled. `mono_ms` never goes back and drives every wait; `wall` is only shown,
/// saved, and compared with dates that came from elsewhere (a certificate's end, a pause's end).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    pub wall: UnixMs,
    pub mono_ms: u64,
    /// A random number, anew for each event.
    pub luck: u16,
}

impl Now {
    /// A wait of about this length: four to six fifths of it, as luck has it.
    pub(crate) fn spread(self, ms: u64) -> u64 {
        let luck = u64::from(self.luck);
        (ms * 4 + ms * 2 * luck / u64::from(u16::MAX)) / 5
    }
}
