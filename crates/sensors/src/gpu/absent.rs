//! Where NVIDIA has no driver: there is no card to be found.

use std::convert::Infallible;

use ionet_core::fault::GpuFault;
use ionet_core::hardware::{Gpu, GpuSample};

use super::Search;

/// Nobody can hold one.
pub(super) struct Library(Infallible);

impl Library {
    pub(super) fn load(_search: &Search) -> Result<Self, GpuFault> {
        Err(GpuFault::NoGpu)
    }

    pub(super) fn driver(&self) -> Result<(String, String), GpuFault> {
        match self.0 {}
    }

    pub(super) fn with_cards(self) -> Result<Self, GpuFault> {
        match self.0 {}
    }

    pub(super) fn gpus(&self) -> Result<Vec<Gpu>, GpuFault> {
        match self.0 {}
    }

    pub(super) fn samples(&self) -> Result<Vec<GpuSample>, GpuFault> {
        match self.0 {}
    }
}
