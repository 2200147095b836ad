//! The container engine where none can be asked yet: no agent runs there either.

use std::marker::PhantomData;
use std::path::Path;

use ionet_core::fault::EngineFault;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineFacts {
    pub version: String,
    pub cards: bool,
    pub labels: bool,
    pub loses_cards: bool,
}

/// # Errors
/// Always: nobody answers.
pub async fn ask(_: &Path, _: bool) -> Result<EngineFacts, EngineFault> {
    std::future::ready(Err(EngineFault::Absent)).await
}

#[derive(Debug)]
pub struct Watch<'a>(PhantomData<&'a Path>);

impl<'a> Watch<'a> {
    pub fn new(_: &'a Path, _: bool, _: Result<EngineFacts, EngineFault>) -> Self {
        Self(PhantomData)
    }

    /// Nothing changes.
    pub async fn changed(&mut self) -> Result<EngineFacts, EngineFault> {
        std::future::pending().await
    }
}
