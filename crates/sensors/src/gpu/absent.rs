//! Where NVIDIA has no driver: there is no card to be found.

use std::convert::Infallible;

use ionet_core::fault::GpuFault;
use ionet_core::hardware::{Driver, Gpu, GpuFigures};

use super::roster::{Asked, Seen};
use super::{OnBus, Search};

/// Nobody can hold one.
pub(super) struct Library(Infallible);

pub(super) struct Origin(Infallible);

impl Origin {
    pub(super) fn is_current(&self, _bus: &[OnBus]) -> bool {
        match self.0 {}
    }
}

impl Library {
    pub(super) fn load(_search: &Search, _bus: &[OnBus]) -> Result<(Self, Origin), GpuFault> {
        Err(GpuFault::NoGpu)
    }

    pub(super) fn driver(&self) -> &Driver {
        match self.0 {}
    }

    pub(super) fn look(&self, _asked: &Asked) -> Result<Seen<Gpu>, GpuFault> {
        match self.0 {}
    }

    pub(super) fn figures(&self, _asked: &Asked) -> Result<Seen<GpuFigures>, GpuFault> {
        match self.0 {}
    }
}
