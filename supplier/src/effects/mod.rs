//! Effect -> outcome. One match; each arm a line or two into a crate below. Effects run beside the loop.

mod agent;
mod logs;
mod region;

pub use logs::sources as log_sources;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ionet_agent::guard::Guard;
use ionet_agent::{teardown, workloads};
use ionet_cloud::{Cloud, CloudFault, IdentityFolder, PageWords, Secret, SignInFault, SignInHooks};
use ionet_core::event::{Link, Loaded, SignInMethod};
use ionet_core::fault::{AgentFault, GpuFault, LogFault, SettingsFault, WorkFault};
use ionet_core::hardware::Hardware;
use ionet_core::target::{AGREEMENT_VERSION, Saved};
use ionet_core::{Effect, Event, Outcome, Signal};
use ionet_logbook::{Logbook, Shipper};
use ionet_wire::paths::Folders;
use ionet_words::Words;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::desktop::Desktop;
use crate::engine::Perform;
use crate::settings;

/// What the effects act with.
pub struct Tools {
    pub folders: Folders,
    pub cloud: Cloud,
    pub identity: IdentityFolder,
    pub desktop: Box<dyn Desktop>,
    pub logbook: Arc<Logbook>,
    pub words: Words,
    /// Given on the command line: enrols this PC without an account's session.
    pub enrolment_token: Option<Secret<String>>,
    /// Whether somebody could be signed in here at all.
    pub sessions: bool,
}

#[derive(Clone)]
pub struct Effects {
    shared: Arc<Shared>,
}

struct Shared {
    tools: Tools,
    shipper: Shipper<logs::Bucket>,
    events: mpsc::Sender<Event>,
    guard: tokio::sync::Mutex<Option<Guard>>,
    signing_in: Mutex<CancellationToken>,
    /// Told when there is a new certificate: whoever refused the last one is asked again at once.
    renewed: Notify,
    /// Where the device code is typed in, while one is shown.
    code_page: Mutex<Option<String>>,
}

/// How long the owner waits for the region's word while the PC is given back. It is given back all the same.
const INELIGIBLE_WITHIN: Duration = Duration::from_secs(5);
const STOPPED_WITHIN: Duration = Duration::from_secs(20);
/// A driver that is waking a card takes a second or two; one that hangs, for ever.
const DETECTED_WITHIN: Duration = Duration::from_secs(20);
const FLUSHED_WITHIN: Duration = Duration::from_secs(8);

impl Effects {
    pub fn new(tools: Tools, events: mpsc::Sender<Event>) -> Self {
        let shipper = tools.logbook.shipper(logs::Bucket::new(tools.cloud.clone()));
        let shared = Shared {
            tools,
            shipper,
            events,
            guard: tokio::sync::Mutex::new(None),
            signing_in: Mutex::new(CancellationToken::new()),
            renewed: Notify::new(),
            code_page: Mutex::new(None),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The last word to the owner: whether anything of ours is left.
    pub fn farewell(&self, clean: bool) {
        let (title, body) = self.shared.tools.words.farewell(clean);
        self.shared.tools.desktop.notify(&title, &body);
    }
}

impl Perform for Effects {
    fn perform(&self, effect: Effect) {
        let shared = self.shared.clone();
        // Taken before the task runs, so that a cancel sent right behind the sign-in finds it.
        let cancel = shared.signing_in(&effect);
        tokio::spawn(async move {
            let carried_out = tokio::spawn(shared.clone().carry_out(effect.clone(), cancel)).await;
            // The core waits for every outcome, so an effect that breaks off has one too.
            let outcome = carried_out.unwrap_or_else(|_| broken_off(&effect));
            if let Some(outcome) = outcome {
                shared.send(Event::Outcome(outcome)).await;
            }
        });
    }
}

impl Shared {
    async fn carry_out(self: Arc<Self>, effect: Effect, cancel: CancellationToken) -> Option<Outcome> {
        let cloud = &self.tools.cloud;
        Some(match effect {
            Effect::Load => Outcome::Loaded(self.load().await),
            Effect::Save(saved) => Outcome::Saved(self.save(saved).await),
            Effect::SignIn(method) => Outcome::SignedIn(self.sign_in(method, cancel).await),
            Effect::CancelSignIn => {
                self.cancel_sign_in();
                return None;
            }
            Effect::SignOut => {
                cloud.sign_out().await;
                Outcome::SignedOut
            }
            Effect::Enrol => Outcome::Enrolled(self.enrol().await),
            Effect::Renew => Outcome::Renewed(self.renew().await),
            Effect::Detect => Outcome::Detected(self.detect().await),
            Effect::Watch => {
                tokio::spawn(self.clone().watch());
                return None;
            }
            Effect::StartAgent { tags } => Outcome::AgentStarted(self.start_agent(tags).await),
            Effect::SetEligible(eligible) => {
                let result = timeout(INELIGIBLE_WITHIN, cloud.set_eligible(eligible)).await;
                Outcome::EligibleSet { eligible, result: result.unwrap_or(Err(CloudFault::Slow)) }
            }
            Effect::Freeze => {
                Outcome::Frozen(workloads::freeze(&self.agent_data(), self.engine().as_deref()).await)
            }
            Effect::Thaw => {
                Outcome::Thawed(workloads::thaw(&self.agent_data(), self.engine().as_deref()).await)
            }
            Effect::StopAllocations => {
                let result = timeout(STOPPED_WITHIN, self.stop_allocations()).await;
                Outcome::AllocationsStopped(result.unwrap_or(Err(CloudFault::Slow)))
            }
            Effect::StopAgent => Outcome::AgentStopped(self.stop_agent().await),
            Effect::Readmit => Outcome::AgentStopped(self.readmit().await),
            Effect::FlushLogs => Outcome::LogsFlushed(self.flush_logs().await),
            Effect::OpenWindow => {
                self.tools.desktop.open_window();
                return None;
            }
            Effect::OpenLink(link) => {
                self.open_link(link);
                return None;
            }
            // The loop ends itself.
            Effect::Exit => return None,
        })
    }

    async fn send(&self, event: Event) {
        // Nobody listens any more only when the program is ending.
        let _ = self.events.send(event).await;
    }

    async fn load(self: &Arc<Self>) -> Loaded {
        let tools = &self.tools;
        let saved = settings::load(&tools.folders.settings());
        let agent_running = self.adopt_agent().await;
        let (data, engine) = (self.agent_data(), self.engine());
        let left_over = if agent_running {
            // An earlier life may have ended between freezing and thawing.
            workloads::thaw(&data, engine.as_deref()).await.err()
        } else {
            teardown::sweep(&data, engine.as_deref()).await.err()
        };
        if let Some(fault) = &left_over {
            tracing::warn!(%fault, "an earlier life left something behind");
        }
        Loaded {
            saved,
            device: tools.cloud.load_device(),
            session: if tools.sessions { tools.cloud.session().await } else { None },
            agent_running,
            left_over,
            enrolment_token: tools.enrolment_token.is_some(),
            rehearsal: cfg!(feature = "rehearsal"),
        }
    }

    async fn save(&self, saved: Saved) -> Result<(), SettingsFault> {
        let path = self.tools.folders.settings();
        tokio::task::spawn_blocking(move || settings::save(&path, &saved))
            .await
            .unwrap_or_else(|error| Err(SettingsFault::CannotWrite(error.to_string())))
    }

    fn signing_in(&self, effect: &Effect) -> CancellationToken {
        let mut current = self.signing_in.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(effect, Effect::SignIn(_)) {
            *current = CancellationToken::new();
        }
        current.clone()
    }

    fn cancel_sign_in(&self) {
        self.signing_in.lock().unwrap_or_else(PoisonError::into_inner).cancel();
    }

    async fn sign_in(
        self: &Arc<Self>,
        method: SignInMethod,
        cancel: CancellationToken,
    ) -> Result<ionet_core::event::SignedIn, SignInFault> {
        let (at_browser, at_code) = (self.clone(), self.clone());
        let say = |id: &str| self.tools.words.say(id, &[]);
        let hooks = SignInHooks {
            open_browser: Box::new(move |url| {
                let opened = at_browser.open_page(url.to_string());
                Box::pin(async move { opened.await.unwrap_or(false) })
            }),
            device_code: Box::new(move |code| {
                *at_code.code_page.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(code.verification_uri.clone());
                let _ = at_code.events.try_send(Event::Signal(Signal::DeviceCode(code)));
            }),
            words: PageWords {
                done_title: say("callback-done-title"),
                done_text: say("callback-done-body"),
                failed_title: say("callback-failed-title"),
                failed_text: say("callback-failed-body"),
            },
        };
        self.tools.cloud.sign_in(method, hooks, cancel).await
    }

    async fn enrol(&self) -> Result<ionet_core::event::Device, CloudFault> {
        let token = self.tools.enrolment_token.as_ref().map(|token| Secret::new(token.reveal().clone()));
        let label = ionet_sensors::host_name();
        self.tools.cloud.enrol(&label, AGREEMENT_VERSION, token).await
    }

    /// A running agent reads its new certificate when it is told to.
    async fn renew(&self) -> Result<ionet_core::event::Device, CloudFault> {
        let device = self.tools.cloud.renew().await?;
        self.renewed.notify_waiters();
        if let Some(guard) = &*self.guard.lock().await {
            guard.reload().await;
        }
        Ok(device)
    }

    async fn detect(&self) -> Result<Hardware, GpuFault> {
        let broken = |why: &str| GpuFault::DriverBroken(why.to_owned());
        let found = timeout(DETECTED_WITHIN, tokio::task::spawn_blocking(ionet_sensors::detect))
            .await
            .map_err(|_| broken("it does not answer"))?
            .unwrap_or_else(|error| Err(broken(&error.to_string())))?;
        self.tools.identity.know_gpus(found.gpus.iter().map(|gpu| gpu.uuid.clone()));
        Ok(found)
    }

    /// Whether a browser took it; whoever does not wait for that loses nothing.
    fn open_page(self: &Arc<Self>, page: String) -> tokio::task::JoinHandle<bool> {
        let shared = self.clone();
        tokio::task::spawn_blocking(move || shared.tools.desktop.open_page(&page))
    }

    fn open_link(self: &Arc<Self>, link: Link) {
        let page = match link {
            Link::DriverDownload => "https://www.nvidia.com/drivers".to_owned(),
            Link::AgentInstall => "https://developer.hashicorp.com/nomad/install".to_owned(),
            Link::Help => "https://docs.io.net".to_owned(),
            Link::DeviceCodePage => {
                let page = self.code_page.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let Some(page) = page else { return };
                page
            }
        };
        drop(self.open_page(page));
    }

    fn agent_data(&self) -> std::path::PathBuf {
        self.tools.folders.agent_data()
    }
}

/// What an effect that panicked comes back as: it did not work.
fn broken_off(effect: &Effect) -> Option<Outcome> {
    tracing::error!(?effect, "an effect broke off");
    let unsaid = || "a fault of the app's own".to_owned();
    let cloud = || CloudFault::Refused(unsaid());
    Some(match effect {
        Effect::Load => Outcome::Loaded(Loaded {
            saved: Err(SettingsFault::Damaged),
            device: None,
            session: None,
            agent_running: false,
            left_over: None,
            enrolment_token: false,
            rehearsal: false,
        }),
        Effect::Save(_) => Outcome::Saved(Err(SettingsFault::CannotWrite(unsaid()))),
        Effect::SignIn(_) => Outcome::SignedIn(Err(SignInFault::Refused(unsaid()))),
        Effect::SignOut => Outcome::SignedOut,
        Effect::Enrol => Outcome::Enrolled(Err(cloud())),
        Effect::Renew => Outcome::Renewed(Err(cloud())),
        Effect::Detect => Outcome::Detected(Err(GpuFault::DriverBroken(unsaid()))),
        Effect::StartAgent { .. } => Outcome::AgentStarted(Err(AgentFault::NoGuard(unsaid()))),
        Effect::SetEligible(eligible) => Outcome::EligibleSet { eligible: *eligible, result: Err(cloud()) },
        Effect::Freeze => Outcome::Frozen(Err(WorkFault::NotPermitted)),
        Effect::Thaw => Outcome::Thawed(Err(WorkFault::NotPermitted)),
        Effect::StopAllocations => Outcome::AllocationsStopped(Err(cloud())),
        Effect::StopAgent | Effect::Readmit => Outcome::AgentStopped(Err(WorkFault::NotPermitted)),
        Effect::FlushLogs => Outcome::LogsFlushed(Err(LogFault::Unreachable)),
        Effect::CancelSignIn | Effect::Watch | Effect::OpenWindow | Effect::OpenLink(_) | Effect::Exit => {
            return None;
        }
    })
}
