//! The container engine, over its socket: only the verbs that are needed to leave nothing, and to look after images.

use std::io;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use hyper::Method;
use ionet_core::fault::WorkFault;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tokio::net::UnixStream;

use super::listing::Elements;
use crate::http::{self, Answer};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Engine<'a> {
    socket: &'a Path,
    /// For one answer.
    within: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Container {
    pub(crate) id: String,
    /// `running`, `exited` …
    pub(crate) state: String,
    #[serde(rename = "ImageID", default, deserialize_with = "or_nothing")]
    pub(crate) image_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Image {
    pub(crate) id: String,
    /// What a container that is made of it takes over.
    #[serde(default)]
    pub(crate) config: Value,
}

/// An engine may write `null` for what is not there.
fn or_nothing<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl Container {
    /// Nothing in it runs, nor will.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.state.as_str(), "exited" | "dead" | "removing")
    }
}

impl<'a> Engine<'a> {
    /// None where no engine has its socket: then nothing of ours can be in one.
    pub(crate) fn at(socket: Option<&'a Path>, within: Duration) -> Option<Self> {
        socket.filter(|socket| socket.exists()).map(|socket| Self { socket, within })
    }

    /// All that it has, whatever their state: it is the capsule's own.
    pub(crate) async fn containers(&self) -> Result<Vec<Container>, WorkFault> {
        let target = "/containers/json?all=1";
        let request = http::request(Method::GET, target, None).map_err(|_| WorkFault::EngineDown)?;
        let (mut elements, mut all) = (Elements::default(), Vec::new());
        let mut keep = |element: &[u8]| {
            let container = serde_json::from_slice::<Container>(element);
            container.map(|container| all.push(container)).is_ok()
        };
        let mut is_list = true;
        // To the end, whatever it says: what follows an answer's status may be no list.
        let hear = |piece: &[u8]| {
            is_list = is_list && elements.take(piece, &mut keep);
            true
        };
        let heard = http::hear(self.connect().await?, request, self.within, hear).await;
        match heard {
            Ok(403) => Err(WorkFault::NotPermitted),
            Ok(200) if is_list && elements.is_over() => Ok(all),
            Ok(_) | Err(_) => Err(WorkFault::EngineDown),
        }
    }

    /// Stops and removes all of them, each with that much time to leave.
    ///
    /// # Errors
    /// What is there all the same: an engine keeps the files of one that has ended until it has removed it.
    pub(crate) async fn remove_all(&self, patience: Duration) -> Result<(), WorkFault> {
        let found = self.containers().await?;
        let removed = join_all(found.iter().map(|container| self.remove(container, patience))).await;
        let left = self.containers().await?;
        let ended = left.iter().filter(|container| container.has_ended()).count();
        match left.len() - ended {
            0 if ended == 0 => removed.into_iter().collect(),
            0 => Err(WorkFault::FilesLeft { left: ended as u32 }),
            running => Err(WorkFault::StillThere { left: running as u32 }),
        }
    }

    /// Whether anything runs in that container; nothing does where there is none.
    pub(crate) async fn runs(&self, container: &str) -> Result<bool, WorkFault> {
        let answer = self.ask(Method::GET, &format!("/containers/{container}/json")).await?;
        match answer.status {
            200 => {
                let said: Value = serde_json::from_slice(&answer.body).map_err(|_| WorkFault::EngineDown)?;
                Ok(said["State"]["Running"] != false)
            }
            404 => Ok(false),
            _ => Err(WorkFault::EngineDown),
        }
    }

    /// What it says of the image with this reference; none where there is no such image.
    pub(crate) async fn image(&self, reference: &str) -> Result<Option<Image>, WorkFault> {
        let answer = self.ask(Method::GET, &format!("/images/{reference}/json")).await?;
        match answer.status {
            200 => serde_json::from_slice(&answer.body).map(Some).map_err(|_| WorkFault::EngineDown),
            404 => Ok(None),
            _ => Err(WorkFault::EngineDown),
        }
    }

    /// Takes the reference away, and with the last one the image. Whether it is gone: what a container uses stays.
    pub(crate) async fn remove_image(&self, reference: &str) -> Result<bool, WorkFault> {
        let answer = self.ask(Method::DELETE, &format!("/images/{reference}")).await?;
        match answer.status {
            200..=299 | 404 => Ok(true),
            409 => Ok(false),
            _ => Err(WorkFault::EngineDown),
        }
    }

    pub(crate) fn within(self, within: Duration) -> Self {
        Self { within, ..self }
    }

    async fn remove(&self, container: &Container, patience: Duration) -> Result<(), WorkFault> {
        if !patience.is_zero() && container.state == "running" {
            let patient = Self { within: self.within * 2 + patience, ..*self };
            // One that says "not found" or "not in that state" has nothing left to do: whoever asks looks again.
            let target = format!("/containers/{}/stop?t={}", container.id, patience.as_secs().max(1));
            patient.ask(Method::POST, &target).await?;
        }
        let target = format!("/containers/{}?force=1&v=1", container.id);
        Self { within: self.within * 2, ..*self }.ask(Method::DELETE, &target).await.map(|_| ())
    }

    async fn ask(&self, method: Method, target: &str) -> Result<Answer, WorkFault> {
        let stream = self.connect().await?;
        let answer =
            http::ask(stream, method, target, None, self.within).await.map_err(|_| WorkFault::EngineDown)?;
        tracing::debug!(target, status = answer.status, "asked the container engine");
        if answer.status == 403 { Err(WorkFault::NotPermitted) } else { Ok(answer) }
    }

    async fn connect(&self) -> Result<UnixStream, WorkFault> {
        UnixStream::connect(self.socket).await.map_err(|error| {
            let denied = error.kind() == io::ErrorKind::PermissionDenied;
            if denied { WorkFault::NotPermitted } else { WorkFault::EngineDown }
        })
    }
}
