//! What the engine is asked, for what the gate is asked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, UPGRADE};
use hyper::upgrade::OnUpgrade;
use rustix::process::{Resource, getrlimit};

use super::allocations::Allocations;
use super::engine::{Engine, Image};
use super::images::{Images, Pull};
use super::sources::{Has, Looked, Sources};
use crate::admission::{self, Container, Most, Program, Refusal, Route, Rules, Terminal};
use crate::disk;
use crate::http::Body;

/// Longer than any container's description.
pub(super) const LONGEST: usize = 1024 * 1024;

/// A disk that sleeps takes its time to turn.
pub(super) const LOOKED_UP_WITHIN: Duration = Duration::from_secs(5);

/// Whoever lets in knows what there is.
pub(super) struct Door {
    pub(super) engine: PathBuf,
    pub(super) data_dir: PathBuf,
    pub(super) cards: Vec<String>,
    pub(super) images: Images,
    pub(super) allocations: Arc<Allocations>,
    pub(super) sources: Sources,
}

/// What the engine is asked.
pub(super) struct Admitted {
    pub(super) request: Request<Body>,
    pub(super) asked: Asked,
    /// Whoever asked, where the engine takes the connection over.
    pub(super) near: OnUpgrade,
}

/// What is to be known of its answer.
pub(super) enum Asked {
    Container(Has),
    /// Of this container.
    Start(String),
    Pull(Pull),
    Image,
    Other,
}

/// Why the engine is not asked.
pub(super) enum Denied {
    Refused(Refusal),
    /// Not for jobs, and so not there for whoever asks on their behalf.
    NoImage,
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A request as it is written.
struct Anew {
    target: String,
    body: String,
    asked: Asked,
}

impl Door {
    /// What the engine is asked is written anew: of the request goes on what was understood of it.
    pub(super) async fn admit(&self, mut request: Request<Incoming>) -> Result<Admitted, Denied> {
        let way = admission::way(request.method(), request.uri())?;
        let near = hyper::upgrade::on(&mut request);
        let (head, body) = request.into_parts();
        let unread = || Refusal::of("a description that is too long or breaks off");
        let body = Limited::new(body, LONGEST).collect().await.map_err(|_| unread())?.to_bytes();
        if !way.route.has_body() && !body.is_empty() {
            return Err(Refusal::of("a description where none belongs").into());
        }
        let headers = headers(&way.route, &head.headers);
        let Anew { target, body, asked } = self.anew(way.route, way.target, body).await?;
        let request = Request::builder().method(head.method).uri(target).body(whole(Bytes::from(body)));
        let mut request = request.map_err(|_| unread())?;
        *request.headers_mut() = headers;
        Ok(Admitted { request, asked, near })
    }

    async fn anew(&self, route: Route, target: String, body: Bytes) -> Result<Anew, Denied> {
        let mut written = String::new();
        let asked = match route {
            Route::Create(name) => return self.create(&target, body, name).await,
            Route::Free => Asked::Other,
            Route::Exec => {
                written = json(&Program::read(&body)?);
                Asked::Other
            }
            Route::ExecStart => {
                written = json(&Terminal::read(&body)?);
                Asked::Other
            }
            Route::Start(container) => {
                self.admit_start(&container).await?;
                Asked::Start(container)
            }
            Route::Remove(container) => {
                self.allocations.removed(&container);
                self.sources.removed(&container);
                Asked::Other
            }
            Route::Pull(image) => Asked::Pull(self.images.pull(image).await?),
            Route::Image(image) => {
                self.images.uses(&image);
                Asked::Image
            }
            Route::RemoveImage(image) => {
                self.admit_removal(&image).await?;
                Asked::Other
            }
        };
        Ok(Anew { target, body: written, asked })
    }

    /// Where its folders lead is the disk's to say, and nobody but this request waits for that. What its image says of a
    /// container is the engine's to tell.
    async fn create(&self, target: &str, body: Bytes, name: Option<String>) -> Result<Anew, Denied> {
        let (data_dir, cards) = (self.data_dir.clone(), self.cards.clone());
        let read = disk::read(&self.data_dir, LOOKED_UP_WITHIN, move || {
            let rules = Rules { data_dir: &data_dir, cards: &cards, most: most() };
            let container = Container::read(&body, rules)?;
            let looked = Looked::at(container.sources()).map_err(|_| Refusal::of("Binds"))?;
            Ok((container, looked))
        });
        let slow = Refusal::of_this_pc("folders on a disk that does not answer");
        let (container, looked) = read.await.unwrap_or(Err(slow))?;
        if name.is_some_and(|name| name != container.name()) {
            return Err(Refusal::of("a container under another name than its task's").into());
        }
        let Some(image) = self.ask_image(container.image()).await? else { return Err(Denied::NoImage) };
        if !self.images.is_for_jobs(&image).await {
            return Err(Denied::NoImage);
        }
        let container = container.made_of(&image.id, &image.config)?;
        let target = format!("{target}?name={}", container.name());
        let (allocation, cards) = (container.allocation().to_owned(), container.cards());
        let asked = Asked::Container(Has { allocation, folders: looked, cards });
        Ok(Anew { target, body: container.written(), asked })
    }

    async fn admit_start(&self, container: &str) -> Result<(), Refusal> {
        let unknown = Refusal::of("a container that was not made for a job");
        let has = self.sources.of(container).ok_or(unknown)?;
        self.admit_cards(&has).await?;
        let look = disk::read(&self.data_dir, LOOKED_UP_WITHIN, move || has.folders.are_the_same());
        if look.await != Some(true) {
            return Err(Refusal::of("a container whose folders are others by now"));
        }
        self.allocations.starts(container);
        Ok(())
    }

    /// The scheduler gives a card to one allocation at a time; a job's own words can name another's.
    async fn admit_cards(&self, has: &Has) -> Result<(), Refusal> {
        let rivals = self.sources.rivals(has);
        if rivals.is_empty() {
            return Ok(());
        }
        let taken = || Refusal::of("a card that another job has");
        let engine = Engine::at(Some(&self.engine), LOOKED_UP_WITHIN).ok_or_else(taken)?;
        for rival in rivals {
            if engine.runs(&rival).await.map_err(|_| taken())? {
                return Err(taken());
            }
        }
        Ok(())
    }

    async fn admit_removal(&self, image: &str) -> Result<(), Denied> {
        match self.ask_image(image).await? {
            Some(there) if self.images.has_brought(&there.id).await => Ok(()),
            _ => Err(Denied::NoImage),
        }
    }

    async fn ask_image(&self, image: &str) -> Result<Option<Image>, Refusal> {
        let silent = || Refusal::of_this_pc("an image that the engine says too much of, or nothing");
        let engine = Engine::at(Some(&self.engine), LOOKED_UP_WITHIN).ok_or_else(silent)?;
        engine.image(image).await.map_err(|_| silent())
    }
}

/// A registry's, as the driver has it from the job that wants an image from there.
const ACCOUNT: &str = "x-registry-auth";

fn headers(route: &Route, asked: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::from_iter([
        (HOST, HeaderValue::from_static("engine")),
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
    ]);
    if *route == Route::ExecStart {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("tcp"));
    }
    if let (Route::Pull(_), Some(account)) = (route, asked.get(ACCOUNT)) {
        headers.insert(ACCOUNT, account.clone());
    }
    headers
}

fn json(value: &impl serde::Serialize) -> String {
    // Nothing that is built has a name that is no text, so it can be written.
    serde_json::to_string(value).unwrap_or_default()
}

/// An engine that this user started has no more than this process.
fn most() -> Most {
    let hard = |of| getrlimit(of).maximum.and_then(|hard| i64::try_from(hard).ok()).unwrap_or(i64::MAX);
    Most { core: hard(Resource::Core), memlock: hard(Resource::Memlock), nofile: hard(Resource::Nofile) }
}

pub(super) fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}
