//! The gate: the container engine's socket as the agent sees it. What passes is [`crate::admission`]'s to say.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use super::allocations::Allocations;
use super::beside::Tell;
use super::engine::Engine;
use super::images::{Images, Pull};
use super::processes::Containers;
use super::refused;
use crate::admission::{self, Refusal, Route};
use crate::disk;
use crate::http::Body;

/// Longer than any container's description.
const LONGEST: usize = 1024 * 1024;

/// A disk that sleeps takes its time to turn.
const LOOKED_UP_WITHIN: Duration = Duration::from_secs(5);

/// An open gate. Dropping it closes it to newcomers.
#[must_use]
#[derive(Debug)]
pub(crate) struct Gate {
    socket: PathBuf,
    keeper: JoinHandle<()>,
}

impl Gate {
    /// Listens at `socket`, whose folder must be this user's alone, and passes on to the engine what is admitted for
    /// jobs whose folders lie below `data_dir`. Takes note of the containers that are made, and tells what the engine makes of
    /// them as far as it is about this PC.
    pub(crate) fn open(
        socket: PathBuf,
        engine: &Path,
        data_dir: &Path,
        containers: Containers,
        tell: Tell,
    ) -> io::Result<Self> {
        let listener = listen(&socket)?;
        let images = Images::of(engine, data_dir);
        let (engine, data_dir) = (engine.to_owned(), data_dir.to_owned());
        let keeper = tokio::spawn(async move {
            // Nobody is let in before: what comes later is none of these.
            let allocations = Arc::new(Allocations::before(&data_dir).await);
            let way = Arc::new(Way { engine, data_dir, containers, images, allocations, tell });
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => drop(tokio::spawn(serve(Arc::clone(&way), stream))),
                    // Out of descriptors, most likely: they come back as connections end.
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        });
        Ok(Self { socket, keeper })
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.keeper.abort();
        let _ = fs::remove_file(&self.socket);
    }
}

/// A socket in place of whatever an earlier life left there. Its folder is 0700 before it exists, so nobody else can be
/// quicker than its own 0600.
pub(super) fn listen(socket: &Path) -> io::Result<UnixListener> {
    ionet_private::make_way(socket)?;
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(socket)?;
    fs::set_permissions(socket, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

struct Way {
    engine: PathBuf,
    data_dir: PathBuf,
    containers: Containers,
    images: Images,
    allocations: Arc<Allocations>,
    tell: Tell,
}

/// What was let through, and what is to be known of its answer.
enum Asked {
    /// Of this allocation, where its driver says so.
    Container(Option<String>),
    /// Of this container.
    Start(String),
    Pull(Pull),
    Other,
}

async fn serve(way: Arc<Way>, stream: UnixStream) {
    let answer = service_fn(move |request| {
        let way = Arc::clone(&way);
        async move { Ok::<_, Infallible>(way.answer(request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), answer)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection through the gate ended badly");
    }
}

impl Way {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        match self.admit(request).await {
            Ok((admitted, asked)) => match self.forward(admitted).await {
                Ok(response) => self.note(asked, response).await,
                Err(error) => {
                    said(StatusCode::BAD_GATEWAY, &format!("the container engine does not answer: {error}"))
                }
            },
            Err(refusal) => {
                tracing::warn!(rule = refusal.rule, "a job was refused at the gate");
                said(StatusCode::FORBIDDEN, &refusal.to_string())
            }
        }
    }

    /// The answer as it came.
    async fn note(&self, asked: Asked, response: Response<Body>) -> Response<Body> {
        let status = response.status();
        let is_refused = status.is_client_error() || status.is_server_error();
        if let Asked::Start(container) = &asked {
            self.allocations.started(container, is_refused);
        }
        match asked {
            Asked::Container(_) | Asked::Start(_) if is_refused => {
                self.read(response, |body| self.refused(body)).await
            }
            Asked::Container(allocation) => self.read(response, |body| self.made(body, allocation)).await,
            Asked::Start(_) => {
                (self.tell)(Ok(()));
                response
            }
            Asked::Pull(pull) => self.images.watch(pull, response),
            Asked::Other => response,
        }
    }

    async fn read(&self, response: Response<Body>, note: impl FnOnce(&Value)) -> Response<Body> {
        let (head, body) = response.into_parts();
        let Ok(body) = Limited::new(body, LONGEST).collect().await else {
            return said(StatusCode::BAD_GATEWAY, "the container engine's answer breaks off");
        };
        let bytes = body.to_bytes();
        if let Ok(said) = serde_json::from_slice(&bytes) {
            note(&said);
        }
        Response::from_parts(head, whole(bytes))
    }

    fn made(&self, container: &Value, allocation: Option<String>) {
        if let Some(id) = container["Id"].as_str() {
            if let Some(allocation) = allocation {
                self.allocations.made(id, allocation);
            }
            self.containers.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
        }
    }

    /// Beside the answer, which waits for no disk. One that does not answer is looked after elsewhere.
    fn refused(&self, said: &Value) {
        let Some(message) = said["message"].as_str().map(ToOwned::to_owned) else { return };
        let (data_dir, tell) = (self.data_dir.clone(), Arc::clone(&self.tell));
        let allocations = Arc::clone(&self.allocations);
        tokio::spawn(async move {
            let there = data_dir.clone();
            let may_have_run = move |allocation: &str| allocations.may_have_run(allocation);
            let blame = move || refused::of_this_pc(&message, &there, may_have_run);
            if let Some(Some(fault)) = disk::read(&data_dir, LOOKED_UP_WITHIN, blame).await {
                tell(Err(fault));
            }
        });
    }

    /// The request as it came, once its body has passed; a container's as it was read.
    async fn admit(&self, request: Request<Incoming>) -> Result<(Request<Body>, Asked), Refusal> {
        let route = admission::route(request.method(), request.uri().path());
        let unknown =
            || Refusal::with("the request", format!("{} {}", request.method(), request.uri().path()));
        let route = route.ok_or_else(unknown)?;
        if route == Route::Free {
            if let Some(container) = admission::removed(request.method(), request.uri().path()) {
                self.allocations.removed(container);
            }
            let pull = self.images.hear(request.method(), request.uri()).await;
            return Ok((request.map(BodyExt::boxed_unsync), pull.map_or(Asked::Other, Asked::Pull)));
        }
        let (mut head, body) = request.into_parts();
        let unread = || Refusal::of("a description that cannot be read or says one thing twice");
        let bytes = Limited::new(body, LONGEST).collect().await.map_err(|_| unread())?.to_bytes();
        match route {
            Route::Start if bytes.is_empty() => {
                let container = head.uri.path().rsplit('/').nth(1).unwrap_or_default().to_owned();
                self.allocations.starts(&container);
                Ok((Request::from_parts(head, whole(bytes)), Asked::Start(container)))
            }
            Route::Start => Err(Refusal::of("a container that is described anew at its start")),
            Route::Exec => {
                admission::exec(&admission::json::read(&bytes).ok_or_else(unread)?)?;
                Ok((Request::from_parts(head, whole(bytes)), Asked::Other))
            }
            Route::Container | Route::Free => {
                let asked = admission::json::read(&bytes).ok_or_else(unread)?;
                let admitted = self.admit_container(asked).await?;
                let allocation = admission::allocation(&admitted).map(ToOwned::to_owned);
                // It may be another one by now.
                head.headers.remove(CONTENT_LENGTH);
                let body = whole(Bytes::from(admitted.to_string()));
                Ok((Request::from_parts(head, body), Asked::Container(allocation)))
            }
        }
    }

    /// Where its folders lead is the disk's to say, and nobody but this request waits for that.
    async fn admit_container(&self, asked: Value) -> Result<Value, Refusal> {
        let data_dir = self.data_dir.clone();
        let admitted = disk::read(&self.data_dir, LOOKED_UP_WITHIN, move || {
            admission::container(&asked, &data_dir).map(|()| admission::with_runtime(asked))
        });
        let admitted =
            admitted.await.unwrap_or_else(|| Err(Refusal::of("folders on a disk that does not answer")))?;
        self.admit_image(&admitted).await?;
        Ok(admitted)
    }

    /// What its image says of a container is the engine's to tell. One that is not there is its to refuse.
    async fn admit_image(&self, asked: &Value) -> Result<(), Refusal> {
        let Some(name) = admission::image(asked)? else { return Ok(()) };
        let Some(engine) = Engine::at(Some(&self.engine), LOOKED_UP_WITHIN) else { return Ok(()) };
        match engine.image(name).await {
            Ok(Some(image)) => admission::image_config(&image.config),
            Ok(None) => Ok(()),
            Err(_) => Err(Refusal::of("an image that the engine says too much of, or nothing")),
        }
    }

    /// One connection to the engine for each request: it ends with it. Where the engine takes the connection over (a
    /// program's input and output), both ends are joined.
    async fn forward(
        &self,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, Box<dyn std::error::Error + Send + Sync>> {
        let stream = UnixStream::connect(&self.engine).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection.with_upgrades());
        let near = hyper::upgrade::on(&mut request);
        let mut response = sender.send_request(request).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let far = hyper::upgrade::on(&mut response);
            tokio::spawn(async move {
                let (Ok(near), Ok(far)) = tokio::join!(near, far) else { return };
                let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(near), &mut TokioIo::new(far)).await;
            });
        }
        Ok(response.map(BodyExt::boxed_unsync))
    }
}

/// As the engine says what went wrong.
fn said(status: StatusCode, message: &str) -> Response<Body> {
    let mut response = Response::new(whole(Bytes::from(json!({ "message": message }).to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    response
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}
