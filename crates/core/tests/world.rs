//! The core against a world that answers: fast, obedient, or broken in a chosen way.

use ionet_core::event::{Device, Loaded, SessionStore, SignInMethod, SignedIn};
use ionet_core::fault::{
    AgentFault, CloudFault, GpuFault, RegistrationFault, SettingsFault, SignInFault, WorkFault,
};
use ionet_core::hardware::{Cpu, Driver, Gpu, GpuSample, Hardware, Os};
use ionet_core::region::{Job, JobStatus, Node, NodeStatus, RegionView};
use ionet_core::state::{Account, Agent};
use ionet_core::target::{AGREEMENT_VERSION, AccountName, Agreement, PauseEnd, Saved};
use ionet_core::{
    Bytes, Effect, Event, Intent, Money, Now, Outcome, Phase, ProblemCode, Signal, State, Target, UnixMs,
    step, view, wake_at,
};
use proptest::prelude::*;

const DAY_MS: i64 = 86_400_000;
const START: UnixMs = UnixMs(1_800_000_000_000);

struct World {
    state: State,
    now: Now,
    /// Every effect in order, answered or not.
    log: Vec<Effect>,
    /// What the next effect of a kind comes back with, instead of success.
    gateway_down: bool,
    no_agent: bool,
}

impl World {
    fn new(loaded: Loaded) -> Self {
        let now = Now { wall: START, mono_ms: 0 };
        let mut world =
            Self { state: State::default(), now, log: Vec::new(), gateway_down: false, no_agent: false };
        let wanted = step(&mut world.state, Event::Signal(Signal::Tick), now);
        assert_eq!(wanted, [Effect::Load]);
        world.send(Event::Outcome(Outcome::Loaded(loaded)));
        world
    }

    /// A PC whose owner has signed in, agreed and enrolled before.
    fn earning() -> Self {
        let mut world = Self::new(Loaded { device: Some(device()), ..loaded() });
        world.node(true);
        world
    }

    fn send(&mut self, event: Event) {
        let mut queue = std::collections::VecDeque::from([event]);
        while let Some(event) = queue.pop_front() {
            for effect in step(&mut self.state, event, self.now) {
                queue.extend(self.answer(&effect).map(Event::Outcome));
                self.log.push(effect);
            }
        }
    }

    fn intent(&mut self, intent: Intent) {
        self.send(Event::Intent(intent));
    }

    fn node(&mut self, eligible: bool) {
        let node = Some(Node { id: "n".into(), status: NodeStatus::Ready, eligible });
        self.send(Event::Signal(Signal::Region(RegionView { node, ..RegionView::default() })));
    }

    fn running_job(&mut self) {
        let job = Job {
            allocation: "a".into(),
            name: "render".into(),
            status: JobStatus::Running,
            placed_at: START,
            earned: Money::default(),
        };
        let node = Some(Node { id: "n".into(), status: NodeStatus::Ready, eligible: true });
        self.send(Event::Signal(Signal::Region(RegionView {
            node,
            jobs: vec![job],
            ..RegionView::default()
        })));
    }

    /// The agent runs, the gateway answers, and the servers have not taken the node in.
    fn not_taken_in(fault: RegistrationFault) -> Self {
        let mut world = Self::new(Loaded { device: Some(device()), ..loaded() });
        world.send(Event::Signal(Signal::Region(RegionView::default())));
        world.send(Event::Signal(Signal::Registration(Err(fault))));
        world
    }

    fn count(&self, wanted: impl Fn(&Effect) -> bool) -> usize {
        self.log.iter().filter(|effect| wanted(effect)).count()
    }

    fn pass(&mut self, ms: i64) {
        self.now.mono_ms += ms.unsigned_abs();
        self.now.wall = self.now.wall.plus(ms);
        self.send(Event::Signal(Signal::Tick));
    }

    fn phase(&self) -> Phase {
        view(&self.state).phase
    }

    fn problems(&self) -> Vec<ProblemCode> {
        view(&self.state).problems.iter().map(|problem| problem.code).collect()
    }

    fn answer(&self, effect: &Effect) -> Option<Outcome> {
        let cloud = || if self.gateway_down { Err(CloudFault::Unavailable(None)) } else { Ok(()) };
        Some(match effect {
            Effect::Save(_) => Outcome::Saved(Ok(())),
            Effect::Enrol => Outcome::Enrolled(cloud().map(|()| device())),
            Effect::Renew => Outcome::Renewed(cloud().map(|()| renewed())),
            Effect::Detect => Outcome::Detected(Ok(hardware())),
            Effect::StartAgent { .. } => {
                Outcome::AgentStarted(if self.no_agent { Err(AgentFault::Missing) } else { Ok(()) })
            }
            Effect::SetEligible(eligible) => Outcome::EligibleSet { eligible: *eligible, result: cloud() },
            Effect::Freeze => Outcome::Frozen(Ok(())),
            Effect::Thaw => Outcome::Thawed(Ok(())),
            Effect::StopAllocations => Outcome::AllocationsStopped(cloud()),
            Effect::StopAgent | Effect::Readmit => Outcome::AgentStopped(Ok(())),
            Effect::FlushLogs => Outcome::LogsFlushed(Ok(())),
            Effect::SignOut => Outcome::SignedOut,
            Effect::Load
            | Effect::SignIn(_)
            | Effect::CancelSignIn
            | Effect::Watch
            | Effect::OpenWindow
            | Effect::OpenLink(_)
            | Effect::Exit => return None,
        })
    }

    /// The effects that give the PC back, in the order they came.
    fn giving_back(&self) -> Vec<&Effect> {
        let kinds = |effect: &&Effect| {
            matches!(
                effect,
                Effect::Freeze
                    | Effect::SetEligible(false)
                    | Effect::Thaw
                    | Effect::StopAllocations
                    | Effect::StopAgent
                    | Effect::FlushLogs
                    | Effect::Exit
            )
        };
        self.log.iter().filter(kinds).collect()
    }
}

fn name() -> AccountName {
    AccountName { subject: "s".into(), shown: "alice@example.test".into() }
}

fn loaded() -> Loaded {
    Loaded {
        saved: Ok(Saved {
            target: Target::Earning,
            agreed: Some(Agreement { version: AGREEMENT_VERSION, at: START }),
            account: Some(name()),
        }),
        device: None,
        session: Some(SessionStore::Keyring),
        agent_running: false,
        left_over: None,
        enrolment_token: false,
        rehearsal: false,
    }
}

fn device() -> Device {
    Device {
        id: "d-1".into(),
        region: "eu".into(),
        node_pool: "gamers".into(),
        expires_at: START.plus(7 * DAY_MS),
        renew_at: START.plus(7 * DAY_MS * 2 / 3),
    }
}

fn renewed() -> Device {
    Device { expires_at: START.plus(99 * DAY_MS), renew_at: START.plus(98 * DAY_MS), ..device() }
}

fn hardware() -> Hardware {
    Hardware {
        gpus: vec![Gpu {
            index: 0,
            uuid: "GPU-1".into(),
            name: "NVIDIA GeForce RTX 4090".into(),
            memory: Bytes(24_564 << 20),
            pci: "00000000:01:00.0".into(),
            sample: GpuSample::default(),
        }],
        driver: Driver { version: "571.24".into(), cuda: "12.8".into(), double: false },
        cpu: Cpu { name: "cpu".into(), threads: 16 },
        memory: Bytes(64 << 30),
        disks: Vec::new(),
        os: Os { family: "linux".into(), arch: "x86_64".into(), ..Os::default() },
    }
}

#[test]
fn a_new_owner_is_led_from_welcome_to_earning() {
    let mut world = World::new(Loaded { saved: Ok(Saved::default()), session: None, ..loaded() });
    assert_eq!(world.phase(), Phase::Welcome);

    world.intent(Intent::SignIn { method: SignInMethod::Browser });
    assert_eq!(world.phase(), Phase::SigningIn);
    let signed_in = SignedIn { name: name(), store: SessionStore::Keyring };
    world.send(Event::Outcome(Outcome::SignedIn(Ok(signed_in))));
    assert_eq!(world.phase(), Phase::Agreement);
    assert!(!world.log.contains(&Effect::Enrol), "nothing is enrolled before consent");
    world.intent(Intent::Agree { version: AGREEMENT_VERSION });
    assert_eq!(world.phase(), Phase::Connecting);
    world.node(true);
    assert_eq!(world.phase(), Phase::Waiting);
    world.running_job();

    assert_eq!(world.phase(), Phase::Earning);
}

#[test]
fn the_agents_health_does_not_make_it_online_only_the_regions_word_does() {
    let mut world = World::new(Loaded { device: Some(device()), ..loaded() });

    assert_eq!((world.state.agent, world.phase()), (Agent::Running, Phase::Connecting));
    world.send(Event::Signal(Signal::RegionFault(CloudFault::Slow)));

    assert_eq!(world.phase(), Phase::Blocked { code: ProblemCode::GatewaySlow });
}

#[test]
fn the_agent_starts_with_tags_by_hardware_and_os() {
    let world = World::earning();

    let tags = world
        .log
        .iter()
        .find_map(|effect| if let Effect::StartAgent { tags } = effect { Some(tags.clone()) } else { None });

    insta::assert_json_snapshot!(tags.unwrap(), @r#"
    {
      "ionet.arch": "x86_64",
      "ionet.cpu_threads": "16",
      "ionet.cuda": "12.8",
      "ionet.driver": "571.24",
      "ionet.gpu": "nvidia-geforce-rtx-4090",
      "ionet.gpu_count": "1",
      "ionet.gpu_memory_gb": "24",
      "ionet.memory_gb": "64",
      "ionet.os": "linux",
      "ionet.os_name": "",
      "ionet.os_version": ""
    }
    "#);
}

#[test]
fn a_pause_freezes_first_and_thaws_before_it_stops() {
    let mut world = World::earning();

    world.intent(Intent::Pause { until: PauseEnd::Resumed });

    let order = [
        Effect::Freeze,
        Effect::SetEligible(false),
        Effect::Thaw,
        Effect::StopAllocations,
        Effect::StopAgent,
    ];
    assert_eq!(world.giving_back(), order.iter().collect::<Vec<_>>());
    assert_eq!(world.phase(), Phase::Paused { until: PauseEnd::Resumed });
}

#[test]
fn with_gateway_and_region_gone_a_pause_still_stops_everything() {
    let mut world = World::earning();
    world.gateway_down = true;
    world.send(Event::Signal(Signal::RegionFault(CloudFault::NoNetwork)));

    world.intent(Intent::Pause { until: PauseEnd::Resumed });

    assert_eq!(world.state.agent, Agent::Stopped);
    assert_eq!(world.phase(), Phase::Paused { until: PauseEnd::Resumed });
}

#[test]
fn a_resumed_pc_comes_back_online_and_is_made_eligible_again() {
    let mut world = World::earning();
    world.intent(Intent::Pause { until: PauseEnd::Resumed });

    world.intent(Intent::Resume);
    world.node(false);

    assert_eq!(world.log.last(), Some(&Effect::SetEligible(true)));
}

#[test]
fn a_pause_with_an_end_ends_by_itself() {
    let mut world = World::earning();
    world.intent(Intent::Pause { until: PauseEnd::At { at: world.now.wall.plus(3_600_000) } });
    let wake = wake_at(&world.state, world.now);

    world.pass(3_600_000);

    assert_eq!(wake, Some(3_600_000));
    assert_eq!((world.state.target, world.state.agent), (Target::Earning, Agent::Running));
}

#[test]
fn a_pause_survives_a_restart_and_stops_what_an_earlier_life_left_running() {
    let saved = Saved { target: Target::SAFE, ..loaded().saved.unwrap() };

    let world =
        World::new(Loaded { saved: Ok(saved), device: Some(device()), agent_running: true, ..loaded() });

    assert_eq!(world.state.agent, Agent::Stopped);
    assert!(world.log.contains(&Effect::StopAgent));
    assert_eq!(world.phase(), Phase::Paused { until: PauseEnd::Resumed });
}

#[test]
fn an_app_killed_while_earning_goes_on_with_the_agent_its_guard_kept() {
    let mut world = World::new(Loaded { device: Some(device()), agent_running: true, ..loaded() });

    world.running_job();

    assert!(!world.log.iter().any(|effect| matches!(effect, Effect::StartAgent { .. })));
    assert_eq!(world.phase(), Phase::Earning);
}

#[test]
fn damaged_settings_read_back_as_paused_until_the_owner_resumes() {
    let mut world =
        World::new(Loaded { saved: Err(SettingsFault::Damaged), device: Some(device()), ..loaded() });
    assert_eq!(world.state.agent, Agent::Stopped);
    assert_eq!(world.problems().first(), Some(&ProblemCode::SettingsDamaged));

    world.intent(Intent::Agree { version: AGREEMENT_VERSION });
    assert_eq!(world.problems().first(), Some(&ProblemCode::SettingsDamaged), "to agree is not to choose");
    world.intent(Intent::Resume);

    assert_eq!(world.state.agent, Agent::Running);
    assert!(!world.problems().contains(&ProblemCode::SettingsDamaged));
}

#[test]
fn what_is_asked_before_the_settings_are_read_is_not_overwritten_by_them() {
    let mut state = State::default();
    let now = Now { wall: START, mono_ms: 0 };

    step(&mut state, Event::Intent(Intent::Pause { until: PauseEnd::Resumed }), now);
    step(&mut state, Event::Outcome(Outcome::Loaded(loaded())), now);

    assert_eq!(state.target, Target::SAFE);
}

#[test]
fn a_pause_after_the_agent_crashed_sweeps_the_work_that_it_left() {
    let mut world = World::earning();
    let now = world.now;
    let fault = AgentFault::Crashed { code: Some(2) };
    step(&mut world.state, Event::Signal(Signal::AgentExited { fault }), now);
    assert_eq!(world.state.agent, Agent::Stopped);

    world.intent(Intent::Pause { until: PauseEnd::Resumed });

    assert_eq!(world.giving_back(), [&Effect::StopAgent]);
}

#[test]
fn an_agent_that_ends_before_its_start_is_told_has_not_started() {
    let mut world = World::earning();
    world.intent(Intent::Pause { until: PauseEnd::Resumed });
    let now = world.now;
    step(&mut world.state, Event::Intent(Intent::Resume), now);
    assert_eq!(world.state.agent, Agent::Starting);

    let fault = AgentFault::Crashed { code: Some(2) };
    step(&mut world.state, Event::Signal(Signal::AgentExited { fault: fault.clone() }), now);
    step(&mut world.state, Event::Outcome(Outcome::AgentStarted(Ok(()))), now);

    assert_eq!((world.state.agent, &world.state.faults.agent), (Agent::Stopped, &Some(fault)));
}

#[test]
fn what_could_not_be_swept_is_swept_again_on_request() {
    let left_over = Some(WorkFault::EngineDown);
    let saved = Saved { target: Target::SAFE, ..loaded().saved.unwrap() };
    let mut world = World::new(Loaded { saved: Ok(saved), left_over, ..loaded() });
    assert_eq!(world.problems(), [ProblemCode::EngineDown]);

    world.intent(Intent::Retry);

    assert_eq!(world.giving_back(), [&Effect::StopAgent]);
    assert!(world.problems().is_empty());
}

#[test]
fn a_sign_in_that_finds_no_browser_goes_on_by_code() {
    let mut world = World::new(Loaded { saved: Ok(Saved::default()), session: None, ..loaded() });
    world.intent(Intent::SignIn { method: SignInMethod::Browser });

    world.send(Event::Outcome(Outcome::SignedIn(Err(SignInFault::NoBrowser))));

    assert_eq!(world.log.last(), Some(&Effect::SignIn(SignInMethod::DeviceCode)));
    assert_eq!((world.phase(), world.problems()), (Phase::SigningIn, vec![]));
}

#[test]
fn a_session_that_ended_can_be_begun_again() {
    let mut world = World::new(loaded());
    world.send(Event::Outcome(Outcome::Enrolled(Err(CloudFault::NotSignedIn))));
    assert_eq!(world.problems(), [ProblemCode::SessionEnded]);

    world.intent(Intent::SignIn { method: SignInMethod::Browser });

    assert_eq!(world.log.last(), Some(&Effect::SignIn(SignInMethod::Browser)));
}

#[test]
fn quitting_while_a_job_runs_asks_first() {
    let mut world = World::earning();
    world.running_job();

    world.intent(Intent::Quit { confirmed: false });
    assert!(view(&world.state).quit_asked);
    assert!(!world.log.contains(&Effect::Freeze));
    world.intent(Intent::Quit { confirmed: true });

    assert_eq!(world.phase(), Phase::Quitting);
    assert_eq!(world.log.last(), Some(&Effect::Exit));
}

#[test]
fn a_quit_during_a_pause_ends_the_program_after_it() {
    let mut state = World::earning().state;
    let now = Now { wall: START, mono_ms: 1 };
    let first = step(&mut state, Event::Intent(Intent::Pause { until: PauseEnd::Resumed }), now);

    step(&mut state, Event::Signal(Signal::Terminate), now);
    let mut last = first.into_iter().last();
    for outcome in [
        Outcome::Frozen(Ok(())),
        Outcome::EligibleSet { eligible: false, result: Err(CloudFault::Slow) },
        Outcome::Thawed(Err(WorkFault::NotPermitted)),
        Outcome::AllocationsStopped(Err(CloudFault::Slow)),
        Outcome::AgentStopped(Ok(())),
        Outcome::LogsFlushed(Ok(())),
    ] {
        last = step(&mut state, Event::Outcome(outcome), now).pop();
    }

    assert_eq!(last, Some(Effect::Exit));
}

#[test]
fn a_lost_pc_stops_and_stays_stopped() {
    let mut world = World::earning();

    world.send(Event::Signal(Signal::RegionFault(CloudFault::DeviceLost)));
    world.pass(600_000);

    assert_eq!(world.state.agent, Agent::Stopped);
    assert_eq!(world.phase(), Phase::Blocked { code: ProblemCode::DeviceLost });
}

#[test]
fn a_certificate_is_renewed_at_two_thirds_of_its_life_without_the_owner() {
    let mut world = World::earning();

    world.pass(7 * DAY_MS * 2 / 3);

    assert_eq!(world.log.iter().filter(|effect| **effect == Effect::Renew).count(), 1);
    assert_eq!(world.state.device, Some(renewed()));
}

#[test]
fn a_pc_that_was_off_for_eight_days_renews_before_it_starts_its_agent() {
    let old = Device { expires_at: START.plus(-DAY_MS), renew_at: START.plus(-3 * DAY_MS), ..device() };

    let world = World::new(Loaded { device: Some(old), ..loaded() });

    let position = |wanted: fn(&Effect) -> bool| world.log.iter().position(wanted).unwrap();
    assert!(
        position(|effect| *effect == Effect::Renew)
            < position(|effect| matches!(effect, Effect::StartAgent { .. }))
    );
}

#[test]
fn a_certificate_that_the_servers_refuse_is_said_and_renewed_at_growing_intervals_until_they_take_it() {
    let renewals = |world: &World| world.count(|effect| *effect == Effect::Renew);
    let mut world = World::not_taken_in(RegistrationFault::CertificateRefused);
    assert_eq!(world.phase(), Phase::Blocked { code: ProblemCode::CertificateRefused });
    assert_eq!(renewals(&world), 1, "a new one is asked for at once, and then not in a circle");

    for _ in 0..60 {
        world.pass(1_000);
    }
    assert!((4..=6).contains(&renewals(&world)), "{} renewals in a minute", renewals(&world));
    world.send(Event::Signal(Signal::Registration(Ok(()))));

    assert_eq!(world.phase(), Phase::Connecting);
}

#[test]
fn a_renewal_that_was_due_by_a_wrong_clock_alone_is_forgotten_with_its_fault() {
    let mut world = World::earning();
    world.gateway_down = true;
    world.pass(9 * DAY_MS);
    assert!(world.problems().contains(&ProblemCode::GatewayDown));

    world.pass(-9 * DAY_MS);

    assert!(world.problems().is_empty());
}

#[test]
fn a_certificate_that_the_gateway_refuses_is_renewed_too() {
    let mut world = World::earning();

    world.send(Event::Signal(Signal::RegionFault(CloudFault::CertificateRefused)));
    world.node(true);

    assert_eq!((world.phase(), world.problems()), (Phase::Waiting, vec![]));
    assert_eq!(world.state.device, Some(renewed()));
}

#[test]
fn a_denied_agent_is_started_anew_with_a_fresh_introduction_and_not_in_a_circle() {
    let starts = |world: &World| world.count(|effect| matches!(effect, Effect::StartAgent { .. }));
    let mut world = World::not_taken_in(RegistrationFault::Denied);
    assert_eq!((starts(&world), world.state.agent), (2, Agent::Running));
    assert!(!world.log.contains(&Effect::Freeze));

    world.send(Event::Signal(Signal::Registration(Err(RegistrationFault::Denied))));
    assert_eq!(starts(&world), 2);
    assert_eq!(world.phase(), Phase::Blocked { code: ProblemCode::RegistrationDenied });
    world.pass(1_000);
    assert_eq!(starts(&world), 3);
    world.send(Event::Signal(Signal::Registration(Ok(()))));
    world.node(true);

    assert_eq!(world.phase(), Phase::Waiting);
}

#[test]
fn an_agent_with_a_job_is_not_started_anew() {
    let mut world = World::earning();
    world.running_job();
    let jobs = world.state.last_view().unwrap().jobs.clone();
    let node = Some(Node { id: "n".into(), status: NodeStatus::Down, eligible: true });
    world.send(Event::Signal(Signal::Region(RegionView { node, jobs, ..RegionView::default() })));

    world.send(Event::Signal(Signal::Registration(Err(RegistrationFault::Denied))));

    assert_eq!(world.problems(), [ProblemCode::RegistrationDenied]);
    assert!(!world.log.contains(&Effect::Readmit));
}

#[test]
fn what_the_agent_said_of_its_registration_does_not_outweigh_the_regions_word() {
    let mut world = World::not_taken_in(RegistrationFault::ServersUnreachable);
    assert_eq!(world.problems(), [ProblemCode::ServersUnreachable]);

    world.send(Event::Signal(Signal::RegionFault(CloudFault::NoNetwork)));
    assert_eq!(world.problems(), [ProblemCode::NoNetwork], "the cause is said, and not its consequence");
    world.node(true);

    assert_eq!((world.phase(), world.problems()), (Phase::Waiting, vec![]));
    world.send(Event::Signal(Signal::Registration(Ok(()))));
    world.send(Event::Signal(Signal::Registration(Err(RegistrationFault::ServersUnreachable))));
    assert_eq!(world.problems(), [], "a heartbeat that fails once is no problem yet");
}

#[test]
fn the_regions_word_on_an_earlier_life_does_not_hide_that_the_agent_is_denied() {
    let mut world = World::earning();

    world.send(Event::Signal(Signal::Registration(Err(RegistrationFault::Denied))));

    assert!(world.log.contains(&Effect::Readmit));
}

#[test]
fn a_missing_agent_is_said_and_tried_again_later_and_on_request() {
    let mut world = World::new(Loaded { device: None, ..loaded() });
    world.intent(Intent::Pause { until: PauseEnd::Resumed });
    world.no_agent = true;
    world.intent(Intent::Resume);
    assert_eq!(world.phase(), Phase::Blocked { code: ProblemCode::AgentMissing });

    world.no_agent = false;
    world.intent(Intent::Retry);

    assert_eq!(world.state.agent, Agent::Running);
}

#[test]
fn without_a_card_nothing_starts_and_the_reason_is_said() {
    let mut world = World::new(Loaded { device: Some(device()), ..loaded() });
    world.intent(Intent::Pause { until: PauseEnd::Resumed });
    world.state.hardware = None;
    let now = world.now;
    step(&mut world.state, Event::Intent(Intent::Resume), now);

    step(&mut world.state, Event::Outcome(Outcome::Detected(Err(GpuFault::DriverMissing))), now);

    assert_eq!(world.state.agent, Agent::Stopped);
    assert_eq!(world.phase(), Phase::Blocked { code: ProblemCode::DriverMissing });
}

#[test]
fn signing_out_stops_the_work_first_and_pauses() {
    let mut world = World::earning();

    world.intent(Intent::SignOut);

    assert!(world.log.contains(&Effect::SignOut));
    assert_eq!(world.state.agent, Agent::Stopped);
    assert_eq!(world.state.account, Account::SignedOut);
    assert_eq!(world.state.target, Target::SAFE);
}

#[test]
fn a_wrong_clock_is_told_with_direction_and_size() {
    let mut world = World::new(Loaded { device: Some(device()), ..loaded() });

    world.send(Event::Signal(Signal::RegionFault(CloudFault::ClockWrong { skew_ms: 93_600_000 })));

    let problems = view(&world.state).problems;
    insta::assert_json_snapshot!(problems, @r#"
    [
      {
        "code": "clock-wrong",
        "args": {
          "direction": "ahead",
          "hours": "26",
          "minutes": "0"
        },
        "action": {
          "do": "retry"
        },
        "blocking": true
      }
    ]
    "#);
}

fn any_event() -> impl Strategy<Value = Event> {
    let cloud = prop_oneof![
        Just(Ok(())),
        Just(Err(CloudFault::Slow)),
        Just(Err(CloudFault::DeviceLost)),
        Just(Err(CloudFault::CertificateExpired)),
    ];
    let view = (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(node, eligible, lost)| RegionView {
        node: node.then(|| Node { id: "n".into(), status: NodeStatus::Ready, eligible }),
        lost,
        ..RegionView::default()
    });
    prop_oneof![
        Just(Event::Intent(Intent::Pause { until: PauseEnd::Resumed })),
        Just(Event::Intent(Intent::Resume)),
        Just(Event::Intent(Intent::SignIn { method: SignInMethod::Browser })),
        Just(Event::Intent(Intent::SignOut)),
        Just(Event::Intent(Intent::Agree { version: AGREEMENT_VERSION })),
        Just(Event::Intent(Intent::Retry)),
        Just(Event::Intent(Intent::Detect)),
        any::<bool>().prop_map(|confirmed| Event::Intent(Intent::Quit { confirmed })),
        Just(Event::Signal(Signal::Tick)),
        Just(Event::Signal(Signal::Terminate)),
        Just(Event::Signal(Signal::AgentExited { fault: AgentFault::Crashed { code: Some(1) } })),
        prop_oneof![
            Just(Ok(())),
            Just(Err(RegistrationFault::Denied)),
            Just(Err(RegistrationFault::CertificateRefused)),
        ]
        .prop_map(|result| Event::Signal(Signal::Registration(result))),
        view.prop_map(|view| Event::Signal(Signal::Region(view))),
        Just(Event::Signal(Signal::RegionFault(CloudFault::NoNetwork))),
        Just(Event::Outcome(Outcome::SignedIn(Err(SignInFault::Abandoned)))),
        Just(Event::Outcome(Outcome::SignedIn(Ok(SignedIn { name: name(), store: SessionStore::File })))),
        Just(Event::Outcome(Outcome::SignedOut)),
        Just(Event::Outcome(Outcome::Detected(Err(GpuFault::NoGpu)))),
        Just(Event::Outcome(Outcome::Detected(Ok(hardware())))),
        Just(Event::Outcome(Outcome::AgentStarted(Ok(())))),
        Just(Event::Outcome(Outcome::AgentStarted(Err(AgentFault::PortInUse)))),
        cloud.clone().prop_map(|result| Event::Outcome(Outcome::Enrolled(result.map(|()| device())))),
        cloud.prop_map(|result| Event::Outcome(Outcome::EligibleSet { eligible: false, result })),
        Just(Event::Outcome(Outcome::Frozen(Ok(())))),
        Just(Event::Outcome(Outcome::AgentStopped(Ok(())))),
    ]
}

proptest! {
    /// Whatever happens in whatever order: nothing runs that was not agreed to, enrolled and wanted.
    #[test]
    fn nothing_starts_without_consent_identity_and_the_owners_wish(
        events in proptest::collection::vec(any_event(), 0..60)
    ) {
        let mut state = State::default();
        let mut now = Now { wall: START, mono_ms: 0 };
        let fresh = Loaded { saved: Ok(Saved::default()), session: None, ..loaded() };
        step(&mut state, Event::Outcome(Outcome::Loaded(fresh)), now);
        for event in events {
            now.mono_ms += 400;
            let effects = step(&mut state, event, now);
            let starts = effects.iter().filter(|e| matches!(e, Effect::StartAgent { .. })).count();
            prop_assert!(starts <= 1);
            if starts == 1 {
                prop_assert_eq!(state.target, Target::Earning);
                prop_assert!(state.agreed.is_some() && state.device.is_some() && !state.is_lost());
            }
            // Nobody is woken for what is over.
            prop_assert!(wake_at(&state, now).is_none_or(|at| at > now.mono_ms));
            // Every state can be shown, and says something.
            let snapshot = view(&state);
            prop_assert!(serde_json::to_string(&snapshot).is_ok());
        }
    }

    /// However it got there: once the owner pauses and every effect comes back, no agent is left.
    #[test]
    fn a_pause_always_arrives(events in proptest::collection::vec(any_event(), 0..40)) {
        let mut world = World::new(Loaded { device: Some(device()), ..loaded() });
        for event in events {
            world.now.mono_ms += 700;
            if matches!(event, Event::Intent(Intent::Quit { .. }) | Event::Signal(Signal::Terminate)) {
                continue;
            }
            world.send(event);
        }
        world.intent(Intent::Pause { until: PauseEnd::Resumed });
        world.pass(120_000);
        prop_assert_eq!(world.state.agent, Agent::Stopped);
        prop_assert!(world.state.wind_down.is_none());
    }
}
