//! Problems of the agent, of the engine that its jobs run in, and of what they leave.

use super::gateway::of_cloud;
use super::{Action, Problem, ProblemCode, Stops, plain, with};
use crate::event::Link;
use crate::fault::{AgentFault, CapsuleFault, CloudFault, EngineFault, WallFault, WorkFault};
use crate::wall::Sight;

/// None of these ends what runs already.
const STOPS: Stops = Stops::NewWork;
const INSTALL: Action = Action::Open { link: Link::AgentInstall };

pub(super) fn of_agent(fault: &AgentFault) -> Problem {
    use ProblemCode as Code;
    match fault {
        AgentFault::Missing => plain(Code::AgentMissing, INSTALL, STOPS),
        AgentFault::NoCardPlugin => again(Code::CardPluginMissing),
        AgentFault::NotExecutable(path) => because(Code::AgentNotExecutable, "path", path),
        AgentFault::PortInUse => again(Code::PortInUse),
        AgentFault::Crashed { code } => {
            let code = code.map_or_else(|| "–".to_owned(), |code| code.to_string());
            because(Code::AgentCrashed, "code", &code)
        }
        AgentFault::BadPlan(why) => because(Code::AgentBadPlan, "why", why),
        AgentFault::NoIntroduction(CloudFault::Refused(why)) => because(Code::NoIntroduction, "why", why),
        AgentFault::NoIntroduction(fault) => of_cloud(fault, STOPS),
        AgentFault::NoGuard(why) => because(Code::NoGuard, "why", why),
        AgentFault::WrongVersion { found, needed } => {
            let args = [("found", found.clone()), ("needed", needed.clone())];
            with(Code::AgentWrongVersion, INSTALL, STOPS, &args)
        }
        AgentFault::NotGenuine(path) => {
            with(Code::AgentNotGenuine, INSTALL, STOPS, &[("path", path.clone())])
        }
        AgentFault::Shim(path) => because(Code::AgentShim, "path", path),
        AgentFault::Silent(path) => because(Code::AgentSilent, "path", path),
        // It is over with this program: only its owner can start the next one.
        AgentFault::Upgraded => plain(Code::AppUpgraded, Action::None, STOPS),
        AgentFault::NoNetwork => again(Code::AgentNoNetwork),
        AgentFault::StateDamaged => again(Code::AgentStateDamaged),
        AgentFault::DiskFull => again(Code::AgentDiskFull),
        AgentFault::FolderUnwritable(why) => because(Code::AgentFolderUnwritable, "why", why),
        AgentFault::FolderInUse => again(Code::AgentFolderInUse),
        AgentFault::NoControlGroups(why) => because(Code::AgentNoControlGroups, "why", why),
        AgentFault::CertificateUnreadable(why) => because(Code::AgentCertificateUnreadable, "why", why),
        AgentFault::PcUnreadable(why) => because(Code::AgentPcUnreadable, "why", why),
        AgentFault::Slow => again(Code::AgentSlow),
        AgentFault::Held { .. } | AgentFault::CalledOff => again(Code::AgentBusy),
        AgentFault::Engine(fault) => of_engine(fault),
        AgentFault::NoCapsule(fault) => of_capsule(fault),
    }
}

fn of_capsule(fault: &CapsuleFault) -> Problem {
    use ProblemCode as Code;
    match fault {
        CapsuleFault::ProgramMissing(program) => because(Code::CapsuleProgramMissing, "program", program),
        CapsuleFault::NotPermitted(setting) => because(Code::CapsuleNotPermitted, "setting", setting),
        CapsuleFault::NoIds(file) => because(Code::CapsuleNoIds, "file", file),
        CapsuleFault::NoControlGroup(missing) => because(Code::CapsuleNoControlGroup, "missing", missing),
        CapsuleFault::NoDevice(device) => because(Code::CapsuleNoDevice, "device", device),
        CapsuleFault::Disk(why) => because(Code::CapsuleDisk, "why", why),
        CapsuleFault::Full => again(Code::CapsuleFull),
        CapsuleFault::Busy => again(Code::CapsuleBusy),
        CapsuleFault::Failed(why) => because(Code::CapsuleFailed, "why", why),
        CapsuleFault::Elsewhere => plain(Code::CapsuleElsewhere, Action::None, STOPS),
    }
}

pub(super) fn of_engine(fault: &EngineFault) -> Problem {
    use ProblemCode as Code;
    match fault {
        EngineFault::Absent => again(Code::EngineAbsent),
        EngineFault::NotPermitted => again(Code::EngineNotPermitted),
        EngineFault::Silent => again(Code::EngineDown),
        EngineFault::Refuses(status) => because(Code::EngineRefuses, "status", &status.to_string()),
        EngineFault::Foreign(what) => because(Code::EngineForeign, "what", what),
        EngineFault::NoCard => again(Code::EngineNoCard),
        EngineFault::NoCardRuntime => again(Code::EngineNoCardRuntime),
        EngineFault::Confined => again(Code::EngineConfined),
        EngineFault::FoldersOutOfReach(folder) => because(Code::EngineFoldersOutOfReach, "folder", folder),
        EngineFault::ProgramGone(program) => because(Code::EngineProgramGone, "program", program),
        EngineFault::CardUnreachable(why) => because(Code::EngineCardUnreachable, "why", why),
    }
}

/// It ends what runs. `what` is the first that is open, `count` how many are beside it.
pub(super) fn of_wall(fault: &WallFault) -> Problem {
    match fault {
        WallFault::Open(wall) => {
            let mut breaches = wall.breaches();
            let what = breaches.next().map_or("", Sight::as_str).to_owned();
            let args = [("what", what), ("count", breaches.count().to_string())];
            with(ProblemCode::WallOpen, Action::Retry, Stops::Everything, &args)
        }
        WallFault::Untried => plain(ProblemCode::WallUntried, Action::Retry, Stops::Everything),
    }
}

/// Another try may do.
fn again(code: ProblemCode) -> Problem {
    plain(code, Action::Retry, STOPS)
}

/// The same, with what is known of it.
fn because(code: ProblemCode, name: &str, value: &str) -> Problem {
    with(code, Action::Retry, STOPS, &[(name, value.to_owned())])
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
