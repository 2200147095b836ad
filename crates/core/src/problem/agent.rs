//! Problems of the agent, of the engine that its jobs run in, and of what they leave.

use super::gateway::of_cloud;
use super::{Action, Problem, ProblemCode, Stops, plain, with};
use crate::event::Link;
use crate::fault::{AgentFault, CloudFault, EngineFault, WorkFault};

pub(super) fn of_agent(fault: &AgentFault) -> Problem {
    use ProblemCode as Code;
    match fault {
        AgentFault::Missing => {
            plain(Code::AgentMissing, Action::Open { link: Link::AgentInstall }, Stops::NewWork)
        }
        AgentFault::NotExecutable(path) => {
            with(Code::AgentNotExecutable, Action::Retry, Stops::NewWork, &[("path", path.clone())])
        }
        AgentFault::PortInUse => plain(Code::PortInUse, Action::Retry, Stops::NewWork),
        AgentFault::Crashed { code } => {
            let code = code.map_or_else(|| "–".to_owned(), |code| code.to_string());
            with(Code::AgentCrashed, Action::Retry, Stops::NewWork, &[("code", code)])
        }
        AgentFault::BadPlan(why) => {
            with(Code::AgentBadPlan, Action::Retry, Stops::NewWork, &[("why", why.clone())])
        }
        AgentFault::NoIntroduction(CloudFault::Refused(why)) => {
            with(Code::NoIntroduction, Action::Retry, Stops::NewWork, &[("why", why.clone())])
        }
        AgentFault::NoIntroduction(fault) => of_cloud(fault, Stops::NewWork),
        AgentFault::NoGuard(why) => {
            with(Code::NoGuard, Action::Retry, Stops::NewWork, &[("why", why.clone())])
        }
        AgentFault::WrongVersion { found, needed } => {
            let args = [("found", found.clone()), ("needed", needed.clone())];
            with(Code::AgentWrongVersion, Action::Open { link: Link::AgentInstall }, Stops::NewWork, &args)
        }
        AgentFault::NotGenuine(path) => {
            let install = Action::Open { link: Link::AgentInstall };
            with(Code::AgentNotGenuine, install, Stops::NewWork, &[("path", path.clone())])
        }
        AgentFault::Shim(path) => {
            with(Code::AgentShim, Action::Retry, Stops::NewWork, &[("path", path.clone())])
        }
        AgentFault::Silent(path) => {
            with(Code::AgentSilent, Action::Retry, Stops::NewWork, &[("path", path.clone())])
        }
        AgentFault::NoNetwork => plain(Code::AgentNoNetwork, Action::Retry, Stops::NewWork),
        AgentFault::StateDamaged => plain(Code::AgentStateDamaged, Action::Retry, Stops::NewWork),
        AgentFault::DiskFull => plain(Code::AgentDiskFull, Action::Retry, Stops::NewWork),
        AgentFault::FolderUnwritable(why) => {
            with(Code::AgentFolderUnwritable, Action::Retry, Stops::NewWork, &[("why", why.clone())])
        }
        AgentFault::FolderInUse => plain(Code::AgentFolderInUse, Action::Retry, Stops::NewWork),
        AgentFault::NoControlGroups(why) => {
            with(Code::AgentNoControlGroups, Action::Retry, Stops::NewWork, &[("why", why.clone())])
        }
        AgentFault::CertificateUnreadable(why) => {
            with(Code::AgentCertificateUnreadable, Action::Retry, Stops::NewWork, &[("why", why.clone())])
        }
        AgentFault::PcUnreadable(why) => {
            with(Code::AgentPcUnreadable, Action::Retry, Stops::NewWork, &[("why", why.clone())])
        }
        AgentFault::Slow => plain(Code::AgentSlow, Action::Retry, Stops::NewWork),
        AgentFault::Held { .. } | AgentFault::CalledOff => {
            plain(Code::AgentBusy, Action::Retry, Stops::NewWork)
        }
        AgentFault::Engine(fault) => of_engine(fault),
    }
}

pub(super) fn of_engine(fault: &EngineFault) -> Problem {
    use ProblemCode as Code;
    match fault {
        EngineFault::Absent => plain(Code::EngineAbsent, Action::Retry, Stops::NewWork),
        EngineFault::NotPermitted => plain(Code::EngineNotPermitted, Action::Retry, Stops::NewWork),
        EngineFault::Silent => plain(Code::EngineDown, Action::Retry, Stops::NewWork),
        EngineFault::Refuses(status) => {
            with(Code::EngineRefuses, Action::Retry, Stops::NewWork, &[("status", status.to_string())])
        }
        EngineFault::Foreign(what) => {
            with(Code::EngineForeign, Action::Retry, Stops::NewWork, &[("what", what.clone())])
        }
        EngineFault::NoCard => plain(Code::EngineNoCard, Action::Retry, Stops::NewWork),
        EngineFault::Confined => plain(Code::EngineConfined, Action::Retry, Stops::NewWork),
    }
}

pub(super) fn of_work(fault: &WorkFault) -> Problem {
    match fault {
        WorkFault::StillThere { left } => {
            with(ProblemCode::WorkStillThere, Action::Retry, Stops::Nothing, &[("left", left.to_string())])
        }
        WorkFault::NotPermitted => {
            with(ProblemCode::WorkStillThere, Action::Retry, Stops::Nothing, &[("left", "1".into())])
        }
        WorkFault::EngineDown => plain(ProblemCode::EngineDown, Action::Retry, Stops::Nothing),
        WorkFault::FilesLeft { left } => {
            with(ProblemCode::FilesLeft, Action::Retry, Stops::Nothing, &[("left", left.to_string())])
        }
    }
}
