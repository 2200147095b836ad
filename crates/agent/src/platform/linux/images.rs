//! Images that jobs brought. Nomad removes one an hour after its last use, and counts that hour in the agent's memory, which
//! every pause ends. So the gate notes what is pulled through it and was not there before, a file an image, and whoever
//! collects goes by those files, whose age is the time since the last use.
//!
//! An image that was there before a job asked for it is the owner's and is never noted.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use hyper::{Method, Uri};
use sha2::{Digest, Sha256};

use super::engine::Engine;
use super::processes::Scope;
use crate::disk;

/// A pull takes minutes; the question before it is answered at once, or not waited for.
const ASKED_WITHIN: Duration = Duration::from_secs(2);
/// Many gigabytes of small files.
const REMOVED_WITHIN: Duration = Duration::from_secs(120);
/// No reference of an image is longer.
const LONGEST: u64 = 1024;

/// What the gate notes.
#[derive(Debug, Clone)]
pub(super) struct Images {
    engine: PathBuf,
    data_dir: PathBuf,
}

impl Images {
    pub(super) fn of(engine: &Path, data_dir: &Path) -> Self {
        Self { engine: engine.to_owned(), data_dir: data_dir.to_owned() }
    }

    /// Hears of a request before the engine does.
    pub(super) async fn hear(&self, method: &Method, uri: &Uri) {
        if let Some(image) = pulled(method, uri) {
            let is_known = self.note(image.clone(), true).await;
            let is_absent = || async {
                let engine = Engine::at(Some(&self.engine), ASKED_WITHIN)?;
                Some(engine.image(&image).await == Ok(None))
            };
            if is_known == Some(false) && is_absent().await == Some(true) {
                self.note(image, false).await;
            }
        } else if let Some(image) = asked_about(method, uri) {
            let images = self.clone();
            tokio::spawn(async move { images.note(image, true).await });
        }
    }

    /// That it was used now. Whether it is noted by now; none where the disk does not say.
    async fn note(&self, image: String, only_if_known: bool) -> Option<bool> {
        let data_dir = self.data_dir.clone();
        let noted = disk::read(&self.data_dir, ASKED_WITHIN, move || note(&data_dir, &image, only_if_known));
        noted.await?.inspect_err(|error| tracing::warn!(%error, "an image could not be noted")).ok()
    }
}

/// Removes what has not been used for so long, while no job's container is there: whoever ends one waits for nothing of
/// this. Never by force: what any container uses stays. How many went.
pub(crate) async fn collect(data_dir: &Path, engine: &Path, unused_for: Duration) -> usize {
    let there = data_dir.to_owned();
    let noted = disk::read(data_dir, ASKED_WITHIN, move || (Scope::new(&there), noted(&there))).await;
    let (Some((scope, noted)), Some(engine)) = (noted, Engine::at(Some(engine), ASKED_WITHIN)) else {
        return 0;
    };
    if noted.is_empty() {
        return 0;
    }
    let Ok(containers) = engine.containers(&scope).await else { return 0 };
    let used: BTreeSet<String> = containers.into_iter().map(|container| container.image_id).collect();
    let mut removed = 0;
    for (image, age) in noted {
        let now = match engine.image(&image).await {
            Ok(None) => Noted::Gone,
            Ok(Some(id)) if used.contains(&id) => Noted::Used,
            Ok(Some(_)) if !used.is_empty() || age < unused_for => continue,
            Ok(Some(_)) => match engine.within(REMOVED_WITHIN).remove_image(&image).await {
                Ok(true) => Noted::Gone,
                Ok(false) => Noted::Used,
                Err(_) => return removed,
            },
            Err(_) => return removed,
        };
        removed += usize::from(now == Noted::Gone);
        let there = data_dir.to_owned();
        let noted = disk::read(data_dir, ASKED_WITHIN, move || match now {
            Noted::Used => note(&there, &image, true).map(drop),
            Noted::Gone => fs::remove_file(note_file(&there, &image)),
        });
        if let Some(Err(error)) = noted.await {
            tracing::warn!(%error, "what is noted of an image could not be changed");
        }
    }
    removed
}

/// What has become of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Noted {
    Used,
    Gone,
}

fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("images")
}

fn note_file(data_dir: &Path, image: &str) -> PathBuf {
    let name: String = Sha256::digest(image).iter().map(|byte| format!("{byte:02x}")).collect();
    folder(data_dir).join(name)
}

fn note(data_dir: &Path, image: &str, only_if_known: bool) -> io::Result<bool> {
    let file = note_file(data_dir, image);
    if only_if_known && !file.exists() {
        return Ok(false);
    }
    ionet_private::folder(&folder(data_dir))?;
    ionet_private::replace(&file, image.as_bytes())?;
    Ok(true)
}

/// With the time since its last use. A file that is none of these counts for nothing.
fn noted(data_dir: &Path) -> Vec<(String, Duration)> {
    let files = fs::read_dir(folder(data_dir)).into_iter().flatten().flatten();
    let noted = files.filter_map(|file| {
        let used = file.metadata().ok()?.modified().ok()?;
        let image = String::from_utf8(ionet_private::read(&file.path(), LONGEST).ok()??).ok()?;
        let age = SystemTime::now().duration_since(used).unwrap_or_default();
        (note_file(data_dir, &image) == file.path()).then_some((image, age))
    });
    noted.collect()
}

/// The image that is asked for from a registry.
fn pulled(method: &Method, uri: &Uri) -> Option<String> {
    if *method != Method::POST || !uri.path().ends_with("/images/create") {
        return None;
    }
    let query = form_urlencoded::parse(uri.query()?.as_bytes());
    let (mut image, mut tag) = (None, None);
    for (name, value) in query {
        match &*name {
            "fromImage" => image = Some(value.into_owned()),
            "tag" => tag = Some(value.into_owned()),
            _ => {}
        }
    }
    let (image, tag) = (image?, tag.unwrap_or_default());
    match tag.as_str() {
        "" => reference(&image),
        digest if digest.contains(':') => reference(&format!("{image}@{digest}")),
        tag => reference(&format!("{image}:{tag}")),
    }
}

/// As before a container is made of it.
fn asked_about(method: &Method, uri: &Uri) -> Option<String> {
    let (_, image) = uri.path().strip_suffix("/json")?.split_once("/images/")?;
    (*method == Method::GET).then(|| reference(image)).flatten()
}

/// As every engine writes it, always with a tag or digest: without one it could be read as the beginning of another
/// image's id. None where it is not one of a registry's.
fn reference(image: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte);
    let sound = image.bytes().all(plain) && !image.contains("..") && !image.contains("//");
    let hub = ["index.docker.io/", "docker.io/"].iter().find_map(|hub| image.strip_prefix(hub));
    let image = hub.unwrap_or(image);
    let image = image.strip_prefix("library/").unwrap_or(image);
    let id_like = image.starts_with("sha256:") || image.starts_with(['/', ':', '@']) || image.is_empty();
    if !sound || id_like || image.len() as u64 > LONGEST - 8 {
        return None;
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    Some(if last.contains([':', '@']) { image.to_owned() } else { format!("{image}:latest") })
}

#[cfg(test)]
#[path = "images_tests.rs"]
mod tests;
