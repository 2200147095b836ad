//! A world that answers the core: fast, obedient, or broken in a chosen way.

use std::collections::VecDeque;

use ionet_core::effect::{self, Wanted};
use ionet_core::event::{
    Device, EngineSeen, KeptSession, Loaded, SessionStore, SignInId, SignInMethod, SignedIn, WantedTold,
};
use ionet_core::fault::{AgentFault, CloudFault, EngineFault, RegistrationFault, SignInFault, WorkFault};
use ionet_core::hardware::{CardState, Cpu, Driver, Gpu, GpuMemory, Hardware, Os};
use ionet_core::region::{Job, JobStatus, Node, NodeStatus, WatchAnswer};
use ionet_core::share::Share;
use ionet_core::target::{AGREEMENT_VERSION, AccountName, Agreement, PauseEnd, Saved, Target};
use ionet_core::{
    Bytes, Effect, Event, Intent, Money, Now, Outcome, Phase, ProblemCode, Signal, Snapshot, StartId, State,
    UnixMs, step, view,
};

pub(crate) const DAY_MS: i64 = 86_400_000;
pub(crate) const START: UnixMs = UnixMs(1_800_000_000_000);

/// Luck that neither stretches nor cuts a wait.
pub(crate) const EVEN: u16 = u16::MAX / 2 + 1;

pub(crate) fn at(mono_ms: u64) -> Now {
    Now { wall: START.plus(i64::try_from(mono_ms).unwrap()), mono_ms, luck: EVEN }
}

pub(crate) const UNTIL_RESUMED: Intent = Intent::Pause { until: PauseEnd::Resumed };

pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) now: Now,
    /// Every effect in order, answered or not.
    pub(crate) log: Vec<Effect>,
    /// What the next effect of a kind comes back with, instead of success.
    pub(crate) gateway_down: bool,
    pub(crate) no_agent: bool,
    /// What no sweep clears away.
    pub(crate) left: Option<WorkFault>,
    /// These never come back.
    pub(crate) hanging: fn(&Effect) -> bool,
}

impl World {
    pub(crate) fn new(loaded: Loaded) -> Self {
        let mut world = Self::unread();
        world.read(loaded);
        world
    }

    /// The app has just started: its settings are being read.
    pub(crate) fn unread() -> Self {
        let mut world = Self {
            state: State::default(),
            now: at(0),
            log: Vec::new(),
            gateway_down: false,
            no_agent: false,
            left: None,
            hanging: |_| false,
        };
        let wanted = step(&mut world.state, Event::Signal(Signal::Tick), world.now);
        assert_eq!(wanted, [effect::Settings::Load.into()]);
        world
    }

    /// A later start is under way and not told yet; its id.
    pub(crate) fn starting() -> (Self, StartId) {
        let mut world = Self::earning();
        world.intent(UNTIL_RESUMED);
        world.hanging = is_start;
        world.intent(Intent::Resume);
        let id = world.state.agent.live().unwrap();
        (world, id)
    }

    pub(crate) fn read(&mut self, loaded: Loaded) {
        self.send(Event::Outcome(Outcome::Loaded(loaded)));
    }

    pub(crate) fn enrolled() -> Self {
        Self::new(Loaded { device: Some(device()), ..loaded() })
    }

    /// A PC whose owner has signed in, agreed and enrolled before.
    pub(crate) fn earning() -> Self {
        let mut world = Self::enrolled();
        world.node(true);
        world
    }

    pub(crate) fn send(&mut self, event: Event) {
        let mut queue = VecDeque::from([event]);
        while let Some(event) = queue.pop_front() {
            for effect in step(&mut self.state, event, self.now) {
                if !(self.hanging)(&effect) {
                    queue.extend(self.answer(&effect).map(Event::Outcome));
                }
                self.log.push(effect);
            }
        }
    }

    pub(crate) fn intent(&mut self, intent: Intent) {
        self.send(Event::Intent(intent));
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        self.send(Event::Signal(signal));
    }

    pub(crate) fn node(&mut self, eligible: bool) {
        let node = Some(ready(eligible));
        self.signal(Signal::Region(WatchAnswer { node, ..WatchAnswer::default() }));
    }

    pub(crate) fn running_job(&mut self) {
        let node = Some(ready(true));
        self.signal(Signal::Region(WatchAnswer { node, jobs: vec![job()], ..WatchAnswer::default() }));
    }

    /// The agent runs, the gateway answers, and the servers have not taken the node in.
    pub(crate) fn not_taken_in(fault: RegistrationFault) -> Self {
        let mut world = Self::enrolled();
        world.signal(Signal::Region(WatchAnswer::default()));
        world.registration(Err(fault));
        world
    }

    pub(crate) fn registration(&mut self, result: Result<(), RegistrationFault>) {
        let id = self.state.agent.live().unwrap_or_default();
        self.signal(Signal::Registration { id, result });
    }

    /// Of the agent of now.
    pub(crate) fn engine(&mut self, result: Result<EngineSeen, EngineFault>) {
        let id = self.state.agent.live().unwrap();
        self.signal(Signal::Engine { id, result });
    }

    pub(crate) fn jobs_disk(&mut self, result: Result<(), AgentFault>) {
        let id = self.state.agent.live().unwrap();
        self.signal(Signal::JobsDisk { id, result });
    }

    pub(crate) fn agent_exits(&mut self) {
        let id = self.state.agent.live().unwrap_or_default();
        self.signal(Signal::AgentExited { id, fault: AgentFault::Crashed { code: Some(2) } });
    }

    /// The sign-in that was asked for last.
    pub(crate) fn sign_in(&self) -> SignInId {
        self.last_sign_in().unwrap().0
    }

    pub(crate) fn signs_in_by(&self) -> Option<SignInMethod> {
        self.last_sign_in().map(|(_, method)| method)
    }

    fn last_sign_in(&self) -> Option<(SignInId, SignInMethod)> {
        let sign_in = |effect: &Effect| {
            let Effect::Account(effect::Account::SignIn { id, method }) = effect else { return None };
            Some((*id, *method))
        };
        self.log.iter().rev().find_map(sign_in)
    }

    pub(crate) fn sign_in_ended(&mut self, result: Result<SignedIn, SignInFault>) {
        let id = self.sign_in();
        self.send(Event::Outcome(Outcome::SignedIn { id, result }));
    }

    pub(crate) fn signed_in(&mut self, name: AccountName) {
        self.sign_in_ended(Ok(SignedIn { name, store: SessionStore::Keyring }));
    }

    pub(crate) fn count(&self, wanted: impl Fn(&Effect) -> bool) -> usize {
        self.log.iter().filter(|effect| wanted(effect)).count()
    }

    pub(crate) fn starts(&self) -> usize {
        self.count(is_start)
    }

    pub(crate) fn pass(&mut self, ms: i64) {
        self.now.mono_ms += ms.unsigned_abs();
        self.now.wall = self.now.wall.plus(ms);
        self.signal(Signal::Tick);
    }

    pub(crate) fn shown(&self) -> Snapshot {
        view(&self.state)
    }

    pub(crate) fn phase(&self) -> Phase {
        self.shown().phase
    }

    pub(crate) fn problems(&self) -> Vec<ProblemCode> {
        self.shown().problems.iter().map(|problem| problem.code).collect()
    }

    pub(crate) fn answer(&self, effect: &Effect) -> Option<Outcome> {
        let cloud = || if self.gateway_down { Err(CloudFault::Unavailable(None)) } else { Ok(()) };
        Some(match effect {
            Effect::Settings(effect::Settings::Save(_)) => Outcome::Saved(Ok(())),
            Effect::Identity(effect::Identity::Enrol) => {
                let owner = self.state.account_name().cloned().or(Some(alice()));
                Outcome::Enrolled(cloud().map(|()| Device { owner, ..device() }))
            }
            Effect::Identity(effect::Identity::Renew) => Outcome::Renewed(cloud().map(|()| renewed())),
            Effect::Identity(effect::Identity::Leave) => Outcome::Left(cloud()),
            Effect::Work(effect::Work::Look) => Outcome::Looked(Ok(hardware())),
            Effect::Agent(deed) => return self.of_agent(deed),
            Effect::Region(effect::Region::SetWanted { seq, .. }) => {
                Outcome::WantedSet { seq: *seq, result: cloud().map(|()| WantedTold::Kept { applied: true }) }
            }
            Effect::Region(effect::Region::StopAllocations { id, .. }) => {
                Outcome::AllocationsStopped { id: *id, result: cloud() }
            }
            Effect::Logs(effect::Logs::Flush { .. }) => Outcome::LogsFlushed(Ok(())),
            Effect::Account(effect::Account::SignOut) => Outcome::SignedOut,
            Effect::Settings(effect::Settings::Load)
            | Effect::Account(_)
            | Effect::Region(effect::Region::Watch)
            | Effect::Desktop(_)
            | Effect::Exit => return None,
        })
    }

    fn of_agent(&self, deed: &effect::Agent) -> Option<Outcome> {
        Some(match deed {
            effect::Agent::Start { id, .. } => {
                let result = if self.no_agent { Err(AgentFault::Missing) } else { Ok(()) };
                Outcome::AgentStarted { id: *id, result }
            }
            effect::Agent::Freeze { id } => Outcome::Frozen { id: *id, result: Ok(()) },
            effect::Agent::FreezeEarlier => return None,
            effect::Agent::Thaw { id } => Outcome::Thawed { id: *id, result: Ok(()) },
            effect::Agent::Stop { id, .. } => {
                Outcome::AgentStopped { id: *id, result: self.left.clone().map_or(Ok(()), Err) }
            }
        })
    }

    /// What giving the PC back consisted of, in the order it came.
    pub(crate) fn giving_back(&self) -> Vec<&'static str> {
        self.log.iter().filter_map(deed).collect()
    }
}

pub(crate) fn is_start(effect: &Effect) -> bool {
    matches!(effect, Effect::Agent(effect::Agent::Start { .. }))
}

pub(crate) fn is_stop(effect: &Effect) -> bool {
    matches!(effect, Effect::Agent(effect::Agent::Stop { .. }))
}

pub(crate) fn is_freeze(effect: &Effect) -> bool {
    matches!(effect, Effect::Agent(effect::Agent::Freeze { .. }))
}

fn deed(effect: &Effect) -> Option<&'static str> {
    Some(match effect {
        Effect::Agent(effect::Agent::Freeze { .. }) => "freeze",
        Effect::Agent(effect::Agent::FreezeEarlier) => "freeze earlier",
        Effect::Region(effect::Region::SetWanted { wanted: Wanted { eligible: false, .. }, .. }) => {
            "ineligible"
        }
        Effect::Agent(effect::Agent::Thaw { .. }) => "thaw",
        Effect::Region(effect::Region::StopAllocations { .. }) => "stop allocations",
        Effect::Agent(effect::Agent::Stop { .. }) => "stop agent",
        Effect::Logs(effect::Logs::Flush { .. }) => "flush logs",
        Effect::Account(effect::Account::SignOut) => "sign out",
        Effect::Exit => "exit",
        Effect::Settings(_)
        | Effect::Account(_)
        | Effect::Identity(_)
        | Effect::Agent(effect::Agent::Start { .. })
        | Effect::Work(_)
        | Effect::Region(effect::Region::Watch | effect::Region::SetWanted { .. })
        | Effect::Desktop(_) => return None,
    })
}

pub(crate) fn ready(eligible: bool) -> Node {
    Node { id: "n".into(), status: NodeStatus::Ready, eligible }
}

pub(crate) fn job() -> Job {
    Job {
        allocation: "a".into(),
        name: "render".into(),
        status: JobStatus::Running,
        placed_at: START,
        earned: Money::default(),
    }
}

pub(crate) fn alice() -> AccountName {
    AccountName { subject: "s".into(), shown: "alice@example.test".into() }
}

pub(crate) fn bob() -> AccountName {
    AccountName { subject: "b".into(), shown: "bob@example.test".into() }
}

pub(crate) fn saved() -> Saved {
    Saved {
        target: Target::Earning,
        agreed: Some(Agreement { version: AGREEMENT_VERSION, at: START }),
        account: Some(alice()),
        share: Share::default(),
    }
}

pub(crate) fn loaded() -> Loaded {
    Loaded {
        saved: Ok(saved()),
        device: None,
        session: KeptSession::Found(SessionStore::Keyring),
        agent: None,
        left_over: None,
        enrolment_token: false,
        capsule: false,
        rehearsal: false,
    }
}

/// A PC on which the app has never run.
pub(crate) fn fresh() -> Loaded {
    Loaded { saved: Ok(Saved::default()), session: KeptSession::None, ..loaded() }
}

pub(crate) fn adopted() -> Loaded {
    Loaded { device: Some(device()), agent: Some(StartId(7)), ..loaded() }
}

pub(crate) fn device() -> Device {
    Device {
        id: "d-1".into(),
        owner: Some(alice()),
        region: "eu".into(),
        node_pool: "gamers".into(),
        expires_at: START.plus(7 * DAY_MS),
        renew_at: START.plus(7 * DAY_MS * 2 / 3),
    }
}

pub(crate) fn renewed() -> Device {
    Device { expires_at: START.plus(99 * DAY_MS), renew_at: START.plus(98 * DAY_MS), ..device() }
}

pub(crate) fn hardware() -> Hardware {
    Hardware {
        gpus: vec![Gpu {
            uuid: "GPU-1".into(),
            name: "NVIDIA GeForce RTX 4090".into(),
            memory: GpuMemory::Own { total: Bytes(24_564 << 20) },
            pci: "00000000:01:00.0".into(),
            state: CardState::Working,
            instances: Vec::new(),
            repair_pending: false,
        }],
        driver: Driver { version: "571.24".into(), cuda: "12.8".into(), double: false },
        cpu: Cpu { name: "cpu".into(), threads: 16 },
        memory: Bytes(64 << 30),
        disks: Vec::new(),
        os: Os { family: "linux".into(), arch: "x86_64".into(), ..Os::default() },
    }
}
