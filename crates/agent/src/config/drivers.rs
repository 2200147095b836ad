//! What a job may be, and what its driver is told.

use std::path::{Path, PathBuf};

use hcl::Attribute;
use hcl::expr::Expression;
use hcl::structure::{Block, BlockBuilder};

use super::{plugin, text};

/// What a job may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drivers(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Docker {
        engine: PathBuf,
        gate: PathBuf,
        labels: bool,
    },
    #[cfg(feature = "rehearsal")]
    RawExec,
}

impl Drivers {
    /// Containers alone: not privileged, no folder and no capability of the host, none of its process, IPC, UTS or
    /// user namespaces. Nomad's docker driver has no switch against a job that asks for the host's network or a
    /// device: so the agent does not get the engine's socket but the guard's gate to it, which has.
    pub fn production(engine: impl Into<PathBuf>, gate: impl Into<PathBuf>) -> Self {
        Self(Kind::Docker { engine: engine.into(), gate: gate.into(), labels: false })
    }

    /// The same on an engine that keeps containers from all files without a label of theirs (SELinux): a job's own folders
    /// get one.
    #[must_use]
    pub fn with_labels(self, labels: bool) -> Self {
        match self.0 {
            Kind::Docker { engine, gate, .. } => Self(Kind::Docker { engine, gate, labels }),
            #[cfg(feature = "rehearsal")]
            Kind::RawExec => self,
        }
    }

    /// Raw processes with this user's rights, on the loopback interface, and no container engine at all: for
    /// rehearsals, whose jobs are the project's own.
    #[cfg(feature = "rehearsal")]
    pub fn rehearsal() -> Self {
        Self(Kind::RawExec)
    }

    /// The container engine that jobs of this plan run in.
    pub fn docker_socket(&self) -> Option<&Path> {
        match &self.0 {
            Kind::Docker { engine, .. } => Some(engine),
            #[cfg(feature = "rehearsal")]
            Kind::RawExec => None,
        }
    }

    pub(super) fn allowlist(&self) -> &'static str {
        match &self.0 {
            Kind::Docker { .. } => "docker",
            #[cfg(feature = "rehearsal")]
            Kind::RawExec => "raw_exec",
        }
    }

    pub(super) fn network_interface(&self) -> Option<&'static str> {
        match &self.0 {
            Kind::Docker { .. } => None,
            #[cfg(feature = "rehearsal")]
            Kind::RawExec => Some("lo"),
        }
    }

    pub(super) fn plugin(&self) -> Block {
        match &self.0 {
            Kind::Docker { engine: _, gate, labels } => plugin("docker", docker(gate, *labels)),
            #[cfg(feature = "rehearsal")]
            Kind::RawExec => plugin("raw_exec", Block::builder("config").add_attribute(("enabled", true))),
        }
    }
}

/// Two agents on one engine end each other's containers as dangling ones: the owner may run a Nomad too, so that
/// collection is off. Ours are found by their label and mounts.
fn docker(gate: &Path, labels: bool) -> BlockBuilder {
    let none = || Expression::Array(Vec::new());
    let volumes = Block::builder("volumes").add_attribute(("enabled", false));
    // Shared by all containers: an allocation's tasks share its folder.
    let volumes = if labels { volumes.add_attribute(("selinuxlabel", "z")) } else { volumes };
    Block::builder("config")
        .add_attributes([
            Attribute::from(("endpoint", format!("unix://{}", text(gate)))),
            ("allow_privileged", false).into(),
            ("allow_runtimes", vec!["runc", "nvidia"]).into(),
            ("extra_labels", vec!["job_name", "task_group_name", "task_name"]).into(),
        ])
        .add_block(volumes.build())
        .add_block(
            Block::builder("allowed_modes")
                .add_attributes([("pid", none()), ("ipc", none()), ("uts", none()), ("userns", none())])
                .build(),
        )
        .add_block(
            Block::builder("gc")
                .add_attribute(("container", true))
                .add_attribute(("image", true))
                .add_attribute(("image_delay", "1h"))
                .add_block(Block::builder("dangling_containers").add_attribute(("enabled", false)).build())
                .build(),
        )
}
