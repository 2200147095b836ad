//! The agent's process: its start in a clean environment, what it prints, and its end.

use std::io;
use std::process::Stdio;

use ionet_core::StartId;
use ionet_core::fault::{EngineFault, RegistrationFault};
use ionet_core::wall::Refusals;
use rustix::io::Errno;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::log_file::Writer;
use super::output::Output;
use super::protocol::{NotStarted, Say};
use crate::guard::Start;
use crate::{agent_log, registration};

pub(super) type Registration = Result<(), RegistrationFault>;

#[derive(Debug)]
pub(super) struct Agent {
    pub(super) id: StartId,
    pub(super) pid: i32,
    /// Its HTTP has answered.
    pub(super) up: bool,
    pub(super) output: Output,
    /// The last word on its registration that was passed on.
    registration: Option<Registration>,
    /// Why the engine does not run its containers, as long as that holds.
    containers: Option<EngineFault>,
    /// What its gate has refused jobs.
    refusals: Option<Refusals>,
    child: Child,
    /// What its log says that matters here.
    said: mpsc::UnboundedReceiver<Told>,
}

/// What an agent makes known.
pub(super) enum Told {
    /// With its exit code; none after a signal.
    Ended(Option<i32>),
    Registration(Registration),
    /// An allocation has ended for good.
    JobEnded(String),
}

impl Agent {
    /// A clean environment, a group of its own, everything it prints read.
    pub(super) fn spawn(start: &Start) -> Result<Self, NotStarted> {
        let mut child = Command::new(&start.program)
            .args(&start.args)
            .env_clear()
            .envs(&start.env)
            .current_dir(&start.cwd)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| not_spawned(start, error))?;
        let (say, said) = mpsc::unbounded_channel();
        let hear = move |line: &str| {
            let registered = registration::of_line(line).map(Told::Registration);
            if let Some(told) = registered.or_else(|| agent_log::ended(line).map(Told::JobEnded)) {
                // Nobody listens any more once the agent's end was noticed.
                let _ = say.send(told);
            }
        };
        let mut output = Output::new(start.agent_log.as_deref().map(Writer::at));
        output.read(child.stdout.take().ok_or(NotStarted::Missing)?, hear);
        output.read(child.stderr.take().ok_or(NotStarted::Missing)?, |_| {});
        let pid = child.id().ok_or(NotStarted::Missing)? as i32;
        tracing::info!(pid, "the agent started");
        Ok(Self {
            id: start.id,
            pid,
            up: false,
            output,
            registration: None,
            containers: None,
            refusals: None,
            child,
            said,
        })
    }

    /// What is to be passed on; nothing where it is known.
    pub(super) fn hear_of_registration(&mut self, result: Registration) -> Option<Say> {
        let known = self.registration.replace(result.clone()).as_ref() == Some(&result);
        (!known).then_some(Say::Registration { id: self.id, result })
    }

    /// A refusal each time: whoever hears of it may have let the last one be.
    pub(super) fn hear_of_containers(&mut self, result: Result<(), EngineFault>) -> Option<Say> {
        let known = result.is_ok() && self.containers.is_none();
        self.containers = result.clone().err();
        (!known).then_some(Say::Containers { id: self.id, result })
    }

    pub(super) fn hear_of_refusals(&mut self, refusals: Refusals) -> Option<Say> {
        self.refusals = Some(refusals.clone());
        Some(Say::Refused { id: self.id, refusals })
    }

    /// What was passed on and still holds, for a newcomer.
    pub(super) fn last_words(&self) -> impl Iterator<Item = Say> {
        let (id, registration) = (self.id, self.registration.clone());
        let registration = registration.map(|result| Say::Registration { id, result });
        let containers = self.containers.clone().map(|fault| Say::Containers { id, result: Err(fault) });
        let refusals = self.refusals.clone().map(|refusals| Say::Refused { id, refusals });
        registration.into_iter().chain(containers).chain(refusals)
    }

    pub(super) async fn told(&mut self) -> Told {
        tokio::select! {
            ended = self.child.wait() => Told::Ended(ended.ok().and_then(|status| status.code())),
            Some(told) = self.said.recv() => told,
        }
    }
}

fn not_spawned(start: &Start, error: io::Error) -> NotStarted {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT) if !start.program.exists() => NotStarted::Missing,
        Some(Errno::ACCESS | Errno::NOEXEC | Errno::ISDIR) => {
            NotStarted::NotExecutable { program: start.program.display().to_string() }
        }
        _ => NotStarted::Other { why: error.to_string() },
    }
}
