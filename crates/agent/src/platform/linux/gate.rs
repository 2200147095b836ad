//! The gate: the container engine's socket as the agent sees it. What the engine is asked is [`crate::admission`]'s to build.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use super::admit::{Admitted, Asked, Denied, Door, LONGEST, LOOKED_UP_WITHIN, whole};
use super::allocations::Allocations;
use super::beside::{AtGate, Tell};
use super::engine::Image;
use super::images::Images;
use super::refused;
use super::sources::{Has, Sources};
use crate::disk;
use crate::http::Body;

/// An open gate. Dropping it closes it to newcomers.
#[must_use]
#[derive(Debug)]
pub(crate) struct Gate {
    socket: PathBuf,
    keeper: JoinHandle<()>,
}

impl Gate {
    /// Listens at `socket`, whose folder must be this user's alone, and asks the engine for what jobs may have whose folders lie
    /// below `data_dir`, of the graphics cards with these UUIDs. Tells what the engine makes of containers as far as it is about
    /// this PC, and what was refused.
    pub(crate) fn open(
        socket: PathBuf,
        engine: &Path,
        data_dir: &Path,
        cards: Vec<String>,
        tell: Tell,
    ) -> io::Result<Self> {
        let listener = listen(&socket)?;
        let images = Images::of(engine, data_dir);
        let (engine, data_dir) = (engine.to_owned(), data_dir.to_owned());
        let keeper = tokio::spawn(async move {
            // Nobody is let in before: what comes later is none of these.
            let allocations = Arc::new(Allocations::before(&data_dir).await);
            let door = Door { engine, data_dir, cards, images, allocations, sources: Sources::default() };
            let way = Arc::new(Way { door, tell });
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
    door: Door,
    tell: Tell,
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
        let Admitted { request, asked, near } = match self.door.admit(request).await {
            Ok(admitted) => admitted,
            Err(Denied::NoImage) => return no_image(),
            Err(Denied::Refused(refusal)) => {
                tracing::warn!(rule = &*refusal.rule, "a job was refused at the gate");
                let told = refusal.to_string();
                if !refusal.of_this_pc {
                    (self.tell)(AtGate::Refused(refusal.rule));
                }
                return said(StatusCode::FORBIDDEN, &told);
            }
        };
        match self.forward(request, near).await {
            Ok(response) => self.note(asked, response).await,
            Err(error) => {
                said(StatusCode::BAD_GATEWAY, &format!("the container engine does not answer: {error}"))
            }
        }
    }

    /// The answer as it came.
    async fn note(&self, asked: Asked, response: Response<Body>) -> Response<Body> {
        let status = response.status();
        let is_refused = status.is_client_error() || status.is_server_error();
        if let Asked::Start(container) = &asked {
            self.door.allocations.started(container, is_refused);
        }
        match asked {
            Asked::Container(..) | Asked::Start(_) if is_refused => {
                self.read(response, |body| self.refused(body)).await
            }
            Asked::Container(has) => self.read(response, |body| self.made(body, has)).await,
            Asked::Start(_) => {
                (self.tell)(AtGate::Engine(Ok(())));
                response
            }
            Asked::Pull(pull) => self.door.images.watch(pull, response),
            Asked::Image if status == StatusCode::OK => self.image(response).await,
            Asked::Image | Asked::Other => response,
        }
    }

    /// What the engine says of an image, to whoever may hear it.
    async fn image(&self, response: Response<Body>) -> Response<Body> {
        let mut image = None;
        let response =
            self.read(response, |said| image = serde_json::from_value::<Image>(said.clone()).ok()).await;
        match image {
            Some(image) if self.door.images.is_for_jobs(&image).await => response,
            _ => no_image(),
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

    fn made(&self, container: &Value, has: Has) {
        if let Some(id) = container["Id"].as_str() {
            self.door.allocations.made(id, has.allocation.clone());
            self.door.sources.made(id, has);
        }
    }

    /// Beside the answer, which waits for no disk. One that does not answer is looked after elsewhere.
    fn refused(&self, said: &Value) {
        let Some(message) = said["message"].as_str().map(ToOwned::to_owned) else { return };
        let (data_dir, tell) = (self.door.data_dir.clone(), Arc::clone(&self.tell));
        let allocations = Arc::clone(&self.door.allocations);
        tokio::spawn(async move {
            let there = data_dir.clone();
            let may_have_run = move |allocation: &str| allocations.may_have_run(allocation);
            let blame = move || refused::of_this_pc(&message, &there, may_have_run);
            if let Some(Some(fault)) = disk::read(&data_dir, LOOKED_UP_WITHIN, blame).await {
                tell(AtGate::Engine(Err(fault)));
            }
        });
    }

    /// One connection to the engine for each request: it ends with it. Where the engine takes the connection over (a
    /// program's input and output), both ends are joined.
    async fn forward(
        &self,
        request: Request<Body>,
        near: OnUpgrade,
    ) -> Result<Response<Body>, Box<dyn std::error::Error + Send + Sync>> {
        let stream = UnixStream::connect(&self.door.engine).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection.with_upgrades());
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

/// As the engine says it of one that is not there: then the driver asks a registry.
fn no_image() -> Response<Body> {
    said(StatusCode::NOT_FOUND, "No such image")
}

/// As the engine says what went wrong.
fn said(status: StatusCode, message: &str) -> Response<Body> {
    let mut response = Response::new(whole(Bytes::from(json!({ "message": message }).to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
