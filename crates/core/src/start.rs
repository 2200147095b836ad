//! The number of a start of the agent, which everything that belongs to it carries.

use serde::{Deserialize, Serialize};

/// Which start of the agent something belongs to. Rises with every start and every sweep; a word that carries another one is
/// about a life that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(transparent)]
pub struct StartId(#[cfg_attr(feature = "bindings", specta(type = i32))] pub u64);

impl StartId {
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}
