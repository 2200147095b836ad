//! Anything that may happen, and what becomes of what is asked: for the properties.

use ionet_core::effect;
use ionet_core::event::{
    EngineSeen, KeptSession, Loaded, SessionStore, SignInId, SignInMethod, SignedIn, WantedTold,
};
use ionet_core::fault::{
    AgentFault, CloudFault, EngineFault, GpuFault, LogFault, RegistrationFault, SettingsFault, SignInFault,
    WorkFault,
};
use ionet_core::region::WatchAnswer;
use ionet_core::share::Setting;
use ionet_core::target::AGREEMENT_VERSION;
use ionet_core::time::{Gigabytes, Megabits};
use ionet_core::wall::{CapsuleUse, Refusals, Saw, Sight, Wall};
use ionet_core::{Bytes, Effect, Event, Intent, Outcome, Signal, StartId, UnixMs};
use proptest::prelude::*;

use crate::world::{UNTIL_RESUMED, World, adopted, alice, bob, device, fresh, hardware, job, loaded, ready};

/// What becomes of an effect: its answer comes after so many further events, comes twice, or never comes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    After(usize),
    Twice(usize),
    Lost,
}

pub(crate) fn any_script() -> impl Strategy<Value = Vec<(Event, Fate)>> {
    proptest::collection::vec((any_event(), any_fate()), 0..60)
}

/// A PC as it is before the script: enrolled, with an agent of an earlier life or what one left, or new.
pub(crate) fn any_world() -> impl Strategy<Value = fn() -> World> {
    prop_oneof![
        2 => Just(World::enrolled as fn() -> World),
        2 => Just((|| World::new(adopted())) as fn() -> World),
        1 => Just((|| World::new(Loaded { capsule: true, ..adopted() })) as fn() -> World),
        1 => Just((|| World::new(left_over())) as fn() -> World),
        2 => Just((|| World::new(fresh())) as fn() -> World),
    ]
}

fn left_over() -> Loaded {
    Loaded { device: Some(device()), left_over: Some(WorkFault::EngineDown), ..loaded() }
}

/// What is noticed of the agent of this start, while it runs or as it ends.
pub(crate) fn any_word_of(id: StartId) -> impl Strategy<Value = Signal> {
    let registration = prop_oneof![
        Just(Ok(())),
        Just(Err(RegistrationFault::Denied)),
        Just(Err(RegistrationFault::CertificateRefused)),
    ];
    let seen = any::<[bool; 2]>()
        .prop_map(|[other_labels, loses_cards]| Ok(EngineSeen { other_labels, loses_cards }));
    let engine = prop_oneof![seen, Just(Err(EngineFault::Absent)), Just(Err(EngineFault::Silent))];
    let containers = prop_oneof![Just(Ok(())), Just(Err(EngineFault::ProgramGone("runc".to_owned())))];
    let disk = prop_oneof![Just(Ok(())), Just(Err(AgentFault::DiskFull))];
    prop_oneof![
        Just(Signal::AgentExited { id, fault: AgentFault::Crashed { code: Some(1) } }),
        registration.prop_map(move |result| Signal::Registration { id, result }),
        engine.prop_map(move |result| Signal::Engine { id, result }),
        containers.prop_map(move |result| Signal::Containers { id, result }),
        disk.prop_map(move |result| Signal::JobsDisk { id, result }),
        (1..3_u32).prop_map(move |left| Signal::FilesLeft { id, left }),
        any_wall().prop_map(move |wall| Signal::Wall { id, wall }),
        any_use().prop_map(move |used| Signal::Capsule { id, used }),
        (1..3_u32).prop_map(move |count| refusals(id, count)),
    ]
}

fn any_use() -> impl Strategy<Value = CapsuleUse> {
    proptest::option::of((0..90_u64, 1..90_u64)).prop_map(|disk| CapsuleUse {
        disk_used: disk.map(|(used, _)| Bytes(used << 30)),
        disk_size: disk.map(|(_, size)| Bytes(size << 30)),
        ..CapsuleUse::default()
    })
}

fn any_wall() -> impl Strategy<Value = Wall> {
    prop_oneof![2 => Just(Saw::Kept), 1 => Just(Saw::Unknown), 1 => Just(Saw::Open)]
        .prop_map(|saw| Wall { saw: [(Sight::Files, saw)].into(), ..Wall::default() })
}

fn refusals(id: StartId, count: u32) -> Signal {
    Signal::JobRefused { id, refusals: Refusals { count, what: "Binds".to_owned(), at: UnixMs(0) } }
}

/// Who signs in is alice at every other time.
pub(crate) fn answer(world: &World, effect: &Effect) -> Option<Outcome> {
    if let Effect::Account(effect::Account::SignIn { id, .. }) = effect {
        let name = if id.0.is_multiple_of(2) { bob() } else { alice() };
        return Some(Outcome::SignedIn { id: *id, result: Ok(SignedIn { name, store: SessionStore::File }) });
    }
    world.answer(effect)
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => any_intent().prop_map(Event::Intent),
        4 => any_signal().prop_map(Event::Signal),
        4 => any_outcome().prop_map(Event::Outcome),
    ]
}

fn any_fate() -> impl Strategy<Value = Fate> {
    prop_oneof![4 => (0..12_usize).prop_map(Fate::After), 1 => (0..12_usize).prop_map(Fate::Twice), 1 => Just(Fate::Lost)]
}

/// Of now, of earlier and of later.
fn any_id() -> impl Strategy<Value = StartId> {
    (0..10_u64).prop_map(StartId)
}

fn any_intent() -> impl Strategy<Value = Intent> {
    prop_oneof![
        Just(UNTIL_RESUMED),
        Just(Intent::Resume),
        Just(Intent::SignIn { method: SignInMethod::Browser }),
        Just(Intent::CancelSignIn),
        Just(Intent::SignOut),
        Just(Intent::TakeOver),
        Just(Intent::Agree { version: AGREEMENT_VERSION }),
        Just(Intent::Retry),
        Just(Intent::Detect),
        any_setting().prop_map(|setting| Intent::Set { setting }),
        any::<bool>().prop_map(|confirmed| Intent::Quit { confirmed }),
    ]
}

pub(crate) fn any_setting() -> impl Strategy<Value = Setting> {
    let number = || prop_oneof![1 => Just(0), 8 => 1..200_u32, 1 => any::<u32>()];
    prop_oneof![
        proptest::option::of(number().prop_map(Gigabytes)).prop_map(Setting::Disk),
        proptest::option::of(number().prop_map(Megabits)).prop_map(Setting::Rate),
    ]
}

fn any_signal() -> impl Strategy<Value = Signal> {
    prop_oneof![
        1 => Just(Signal::Tick),
        1 => Just(Signal::Terminate),
        1 => any_id().prop_map(|id| Signal::AgentUp { id }),
        5 => any_id().prop_flat_map(any_word_of),
        1 => any_answer(),
        1 => Just(Signal::RegionFault(CloudFault::NoNetwork)),
        1 => Just(Signal::RegionFault(CloudFault::DeviceRetired)),
        1 => Just(Signal::Session(KeptSession::None)),
        1 => proptest::option::of(0..90_u32).prop_map(|free| Signal::JobsDrive { free: free.map(Gigabytes) }),
        1 => Just(Signal::RunnerBroke { name: "guard" }),
    ]
}

fn any_answer() -> impl Strategy<Value = Signal> {
    (any::<[bool; 5]>(), any_number()).prop_map(|([node, eligible, lost, busy, others], wanted_seq)| {
        Signal::Region(WatchAnswer {
            node: node.then(|| ready(eligible)),
            jobs: if busy { vec![job()] } else { Vec::new() },
            lost: lost && eligible && !busy,
            owner: Some(if others { bob() } else { alice() }),
            wanted_seq,
            ..WatchAnswer::default()
        })
    })
}

/// Of a wanted state. The gateway's word for it is any number.
fn any_number() -> impl Strategy<Value = u64> {
    prop_oneof![20 => 0..9_u64, 1 => Just(u64::MAX)]
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![2 => of_the_agent(), 2 => of_the_account(), 1 => of_the_region(), 1 => of_the_rest()]
}

fn of_the_agent() -> impl Strategy<Value = Outcome> {
    let started = prop_oneof![
        3 => Just(Ok(())),
        1 => Just(Err(AgentFault::Missing)),
        1 => Just(Err(AgentFault::Slow)),
        1 => Just(Err(AgentFault::CalledOff)),
        1 => Just(Err(AgentFault::NoGuard("gone".to_owned()))),
        1 => any_id().prop_map(|id| Err(AgentFault::Held { id })),
    ];
    prop_oneof![
        (any_id(), started).prop_map(|(id, result)| Outcome::AgentStarted { id, result }),
        (any_id(), any_work()).prop_map(|(id, result)| Outcome::Frozen { id, result }),
        (any_id(), any_work()).prop_map(|(id, result)| Outcome::Thawed { id, result }),
        (any_id(), any_work()).prop_map(|(id, result)| Outcome::AgentStopped { id, result }),
    ]
}

fn any_work() -> impl Strategy<Value = Result<(), WorkFault>> {
    prop_oneof![
        3 => Just(Ok(())),
        1 => Just(Err(WorkFault::StillThere { left: 2 })),
        1 => Just(Err(WorkFault::NotPermitted)),
        1 => Just(Err(WorkFault::EngineDown)),
        1 => Just(Err(WorkFault::FilesLeft { left: 1 })),
    ]
}

fn of_the_account() -> impl Strategy<Value = Outcome> {
    let sign_in_ended = prop_oneof![
        Just(Err(SignInFault::Abandoned)),
        Just(Err(SignInFault::Cancelled)),
        Just(Ok(SignedIn { name: alice(), store: SessionStore::File })),
        Just(Ok(SignedIn { name: bob(), store: SessionStore::File })),
    ];
    prop_oneof![
        2 => (0..6_u64, sign_in_ended).prop_map(|(id, result)| Outcome::SignedIn { id: SignInId(id), result }),
        1 => Just(Outcome::Enrolled(Ok(device()))),
        1 => Just(Outcome::Enrolled(Err(CloudFault::NotSignedIn))),
        1 => Just(Outcome::Left(Ok(()))),
        1 => Just(Outcome::SignedOut),
    ]
}

fn of_the_region() -> impl Strategy<Value = Outcome> {
    let told = prop_oneof![
        any::<bool>().prop_map(|applied| Ok(WantedTold::Kept { applied })),
        any_number().prop_map(|highest| Ok(WantedTold::Stale { highest })),
        Just(Err(CloudFault::Slow)),
        prop_oneof![Just(30), Just(u64::MAX)].prop_map(|wait_s| Err(CloudFault::TooMany { wait_s })),
    ];
    let stopped = prop_oneof![Just(Ok(())), Just(Err(CloudFault::Slow))];
    prop_oneof![
        (any_number(), told).prop_map(|(seq, result)| Outcome::WantedSet { seq, result }),
        (any_id(), stopped).prop_map(|(id, result)| Outcome::AllocationsStopped { id, result }),
    ]
}

fn of_the_rest() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Looked(Err(GpuFault::NoGpu))),
        Just(Outcome::Looked(Ok(hardware()))),
        Just(Outcome::Saved(Err(SettingsFault::CannotWrite("full".to_owned())))),
        Just(Outcome::LogsFlushed(Ok(()))),
        Just(Outcome::LogsFlushed(Err(LogFault::Unreachable))),
    ]
}
