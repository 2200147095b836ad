//! Windows and macOS: no agent can be started here yet, and every call says so. Nothing pretends to have worked.

pub(crate) mod guard {
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};

    use ionet_core::fault::{AgentFault, WorkFault};
    use tokio::sync::mpsc;

    use std::time::Duration;

    use ionet_core::StartId;

    use crate::guard::{GuardEvent, HoldId, Place, Running, Start};
    use crate::program::OwnProgram;
    use crate::supervisor::Waits;

    /// No value of it exists.
    #[derive(Debug)]
    pub struct Guard(std::convert::Infallible);

    impl Guard {
        pub async fn connect(_run_dir: &Path) -> Option<(Self, mpsc::UnboundedReceiver<GuardEvent>)> {
            None
        }

        /// # Errors
        /// `NoGuard`, always.
        pub async fn connect_or_spawn(
            _run_dir: &Path,
            _program: &OwnProgram,
        ) -> Result<(Self, mpsc::UnboundedReceiver<GuardEvent>), AgentFault> {
            Err(not_here())
        }

        /// # Errors
        /// `NoGuard`, always.
        pub async fn reached(
            _run_dir: &Path,
            _within: Duration,
        ) -> Result<(Self, mpsc::UnboundedReceiver<GuardEvent>), AgentFault> {
            Err(not_here())
        }

        pub fn running(&self) -> Option<Running> {
            match self.0 {}
        }

        pub async fn start(&self, _start: Start) -> Result<Running, AgentFault> {
            match self.0 {}
        }

        pub async fn reload(&self, _files: BTreeMap<PathBuf, String>) {
            match self.0 {}
        }

        pub async fn let_go(&self) {
            match self.0 {}
        }

        pub fn id(&self) -> HoldId {
            match self.0 {}
        }

        pub async fn stop(
            &self,
            _id: StartId,
            _place: &Place,
            _patience: Duration,
        ) -> Option<Result<(), WorkFault>> {
            match self.0 {}
        }

        pub async fn freeze(&self) -> Result<(), WorkFault> {
            match self.0 {}
        }

        pub async fn thaw(&self) -> Result<(), WorkFault> {
            match self.0 {}
        }
    }

    /// # Errors
    /// `NoGuard`, always.
    pub async fn serve(_run_dir: &Path, _log: Option<&Path>) -> Result<(), AgentFault> {
        Err(not_here())
    }

    /// # Errors
    /// `NoGuard`, always.
    pub async fn serve_with(_run_dir: &Path, _waits: Waits) -> Result<(), AgentFault> {
        Err(not_here())
    }

    pub(super) fn not_here() -> AgentFault {
        AgentFault::NoGuard("not made for this operating system yet".to_owned())
    }
}

pub(crate) mod images {
    use std::path::Path;
    use std::time::Duration;

    /// No job has brought any.
    pub(crate) async fn collect(_data_dir: &Path, _engine: &Path, _unused_for: Duration) -> usize {
        0
    }
}

/// Nothing has run here that could have left anything.
pub(crate) mod keeper {
    use std::path::Path;

    use ionet_core::fault::{AgentFault, WorkFault};

    /// # Errors
    /// `NoGuard`, always.
    pub fn keep(_run_dir: &Path) -> Result<bool, AgentFault> {
        Err(super::guard::not_here())
    }

    pub(crate) async fn after_guard(_run_dir: &Path, _data_dir: &Path) -> Result<(), WorkFault> {
        Err(WorkFault::NotPermitted)
    }
}

pub(crate) mod work {
    use std::path::Path;

    use ionet_core::fault::WorkFault;

    pub(crate) async fn in_new_world(_data_dir: &Path, _engine: &Path) -> Result<(), WorkFault> {
        Err(WorkFault::NotPermitted)
    }
}
