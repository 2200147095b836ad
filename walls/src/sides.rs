//! Who attacks, what stands in between, and the owner behind it.

use clap::ValueEnum;
use serde::Serialize;

/// Who makes it. All but the customer are beyond the gate already: nothing is left between them and the layer that is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum By {
    /// Whoever has Nomad's docker driver ask for something, on this side of the gate.
    Customer,
    /// A container as an engine makes it for anybody.
    Job,
    /// What the agent does for a job: the capsule's own network, no rights.
    Agent,
    /// A container with every right and every folder that the engine can give.
    PrivilegedJob,
    /// Root of the capsule, in its own root.
    CapsuleRoot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Layer {
    /// What a job may ask of the engine; of images; and of cards. All three stand at one gate, and are open where one goes past it.
    Gate,
    Images,
    Card,
    Filter,
    Disk,
    Knowledge,
    /// What the others stand on: the kernel's. It is not opened for a try, since this PC would be what is attacked then.
    #[value(skip)]
    Namespaces,
}

impl Layer {
    pub(crate) fn is_of_the_gate(self) -> bool {
        matches!(self, Self::Gate | Self::Images | Self::Card)
    }

    /// Whether it stands open where the other was opened.
    pub(crate) fn opens_with(self, other: Self) -> bool {
        self == other || self.is_of_the_gate() && other.is_of_the_gate()
    }
}

/// In all that is the owner's: names, paths, what their programs are called and what lies in their memory.
pub(crate) const TOKEN: &str = "zq7owner";
/// The owner, to their PC.
pub(crate) const USER: &str = "zq7alice";
/// Whom the owner's programs listen to and share memory with.
pub(crate) const ABSTRACT: &str = "zq7owner-shim";
pub(crate) const KEY: i32 = 0x7a71;
