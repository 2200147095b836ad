//! Images that jobs brought. Nomad removes one an hour after its last use, and counts that hour in the agent's memory, which
//! every pause ends. So the gate notes what is pulled through it and was not there before, a file an image, and whoever
//! collects goes by those files, whose age is the time since the last use.
//!
//! A job brought what came with its pull, and not what it only named: an image is noted with its id once its pull has ended
//! well, and it is removed only while its name still means that one. What was there before a job asked for it, and what
//! somebody has put under its name since, is the owner's: no job gets a container of it, moves its name or removes it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::header::CONTENT_LENGTH;
use sha2::{Digest, Sha256};

use super::engine::{Engine, Image};
use super::progress::Progress;
use crate::admission::Refusal;
use crate::admission::image::{LONGEST, is_offered, reference};
use crate::disk;
use crate::http::Body;

/// A pull takes minutes; the question before it is answered at once, or not waited for.
const ASKED_WITHIN: Duration = Duration::from_secs(2);
/// Many gigabytes of small files.
const REMOVED_WITHIN: Duration = Duration::from_secs(120);

/// What the gate notes.
#[derive(Debug, Clone)]
pub(super) struct Images {
    engine: PathBuf,
    data_dir: PathBuf,
}

/// An image that comes with a job's pull, by its reference.
#[derive(Debug)]
pub(super) struct Pull(String);

impl Images {
    pub(super) fn of(engine: &Path, data_dir: &Path) -> Self {
        Self { engine: engine.to_owned(), data_dir: data_dir.to_owned() }
    }

    /// Before the engine hears of it. What is there under this name and came with no job's pull is the owner's, whose name it
    /// stays: nobody's pull makes it mean something else.
    pub(super) async fn pull(&self, image: String) -> Result<Pull, Refusal> {
        const SILENT: Refusal = Refusal::of_this_pc("an image that the engine or the disk tells nothing of");
        let (data_dir, of) = (self.data_dir.clone(), image.clone());
        let noted = disk::read(&self.data_dir, ASKED_WITHIN, move || Note::read(&note_file(&data_dir, &of)));
        let noted = noted.await.ok_or(SILENT)?;
        let engine = Engine::at(Some(&self.engine), ASKED_WITHIN).ok_or(SILENT)?;
        if let Some(there) = engine.image(&image).await.map_err(|_| SILENT)? {
            if noted.is_none_or(|noted| noted.id != there.id) {
                return Err(Refusal::of("an image under a name that is taken in its engine"));
            }
            self.uses(&image).await;
        }
        Ok(Pull(image))
    }

    /// Looked at for a job, as before a container is made of it. Whoever asks goes on once it is noted, so that what comes after it is
    /// noted after it.
    pub(super) async fn uses(&self, image: &str) {
        if let Some(image) = reference(image) {
            self.change(move |data_dir| used(data_dir, &image)).await;
        }
    }

    /// Whether it came with a job's pull, under whatever name.
    pub(super) async fn has_brought(&self, id: &str) -> bool {
        let (data_dir, id) = (self.data_dir.clone(), id.to_owned());
        let brought = move || noted(&data_dir).iter().any(|note| note.id == id);
        disk::read(&self.data_dir, ASKED_WITHIN, brought).await.unwrap_or(false)
    }

    /// Whether a job may have a container of it.
    pub(super) async fn is_for_jobs(&self, image: &Image) -> bool {
        is_offered(&image.config) || self.has_brought(&image.id).await
    }

    /// The engine's answer to it as it comes, whose end is the pull's.
    pub(super) fn watch(&self, pull: Pull, response: Response<Body>) -> Response<Body> {
        let (mut head, body) = response.into_parts();
        // Whoever knows the length reads no further, to no end.
        head.headers.remove(CONTENT_LENGTH);
        let progress = Progress::of(head.status);
        let state = (body, progress, self.clone(), pull);
        let watched = stream::unfold(state, |(mut body, mut progress, images, pull)| async move {
            let frame = body.frame().await;
            match &frame {
                Some(Ok(frame)) => progress.take(frame.data_ref()),
                Some(Err(_)) => progress.fail(),
                None if progress.ended_well() => images.brought(&pull).await,
                None => {}
            }
            frame.map(|frame| (frame, (body, progress, images, pull)))
        });
        Response::from_parts(head, StreamBody::new(watched.fuse()).boxed_unsync())
    }

    async fn brought(&self, pull: &Pull) {
        let Some(engine) = Engine::at(Some(&self.engine), ASKED_WITHIN) else { return };
        if let Ok(Some(there)) = engine.image(&pull.0).await {
            let image = pull.0.clone();
            self.change(move |data_dir| note(data_dir, &image, &there.id)).await;
        }
    }

    async fn change(&self, change: impl FnOnce(&Path) -> io::Result<()> + Send + 'static) {
        let data_dir = self.data_dir.clone();
        let changed = disk::read(&self.data_dir, ASKED_WITHIN, move || change(&data_dir));
        if let Some(Err(error)) = changed.await {
            tracing::warn!(%error, "an image could not be noted");
        }
    }
}

/// Removes what has not been used for so long, while no job's container is there: whoever ends one waits for nothing of
/// this. Never by force: what any container uses stays. How many went.
pub(crate) async fn collect(data_dir: &Path, engine: &Path, unused_for: Duration) -> usize {
    let there = data_dir.to_owned();
    let noted = disk::read(data_dir, ASKED_WITHIN, move || noted(&there)).await;
    let (Some(noted), Some(engine)) = (noted, Engine::at(Some(engine), ASKED_WITHIN)) else {
        return 0;
    };
    if noted.is_empty() {
        return 0;
    }
    let Ok(containers) = engine.containers().await else { return 0 };
    let in_use: BTreeSet<String> = containers.into_iter().map(|container| container.image_id).collect();
    let mut removed = 0;
    for note in noted {
        let Some(now) = fate(&engine, &note, &in_use, unused_for).await else { return removed };
        removed += usize::from(now == Fate::Gone);
        let there = data_dir.to_owned();
        let noted = disk::read(data_dir, ASKED_WITHIN, move || match now {
            Fate::Waits => Ok(()),
            Fate::Used => used(&there, &note.image),
            Fate::Gone | Fate::Another => fs::remove_file(note_file(&there, &note.image)),
        });
        if let Some(Err(error)) = noted.await {
            tracing::warn!(%error, "what is noted of an image could not be changed");
        }
    }
    removed
}

/// What has become of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Waits,
    Used,
    Gone,
    /// Its name means another by now.
    Another,
}

/// None where the engine does not say.
async fn fate(
    engine: &Engine<'_>,
    note: &Note,
    in_use: &BTreeSet<String>,
    unused_for: Duration,
) -> Option<Fate> {
    let Some(there) = engine.image(&note.image).await.ok()? else { return Some(Fate::Gone) };
    if there.id != note.id {
        return Some(Fate::Another);
    }
    if in_use.contains(&there.id) {
        return Some(Fate::Used);
    }
    if !in_use.is_empty() || note.age < unused_for {
        return Some(Fate::Waits);
    }
    let is_gone = engine.within(REMOVED_WITHIN).remove_image(&note.image).await.ok()?;
    Some(if is_gone { Fate::Gone } else { Fate::Used })
}

/// A file of two lines.
#[derive(Debug)]
struct Note {
    image: String,
    id: String,
    /// Since its last use.
    age: Duration,
}

impl Note {
    fn read(file: &Path) -> Option<Self> {
        let used = file.metadata().ok()?.modified().ok()?;
        let text = String::from_utf8(ionet_private::read(file, 2 * LONGEST as u64).ok()??).ok()?;
        let (image, id) = text.split_once('\n')?;
        let age = SystemTime::now().duration_since(used).unwrap_or_default();
        Some(Self { image: image.to_owned(), id: id.to_owned(), age })
    }
}

fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("images")
}

fn note_file(data_dir: &Path, image: &str) -> PathBuf {
    let name: String = Sha256::digest(image).iter().map(|byte| format!("{byte:02x}")).collect();
    folder(data_dir).join(name)
}

fn note(data_dir: &Path, image: &str, id: &str) -> io::Result<()> {
    ionet_private::folder(&folder(data_dir))?;
    ionet_private::replace(&note_file(data_dir, image), format!("{image}\n{id}").as_bytes())?;
    Ok(())
}

/// Just now, if it is noted.
fn used(data_dir: &Path, image: &str) -> io::Result<()> {
    match fs::File::options().write(true).open(note_file(data_dir, image)) {
        Ok(file) => file.set_modified(SystemTime::now()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// A file that is none of these counts for nothing. One that an earlier version wrote does not say which image its name
/// meant, and goes.
fn noted(data_dir: &Path) -> Vec<Note> {
    let files = fs::read_dir(folder(data_dir)).into_iter().flatten().flatten();
    let noted = files.filter_map(|file| {
        let file = file.path();
        let note = Note::read(&file).filter(|note| note_file(data_dir, &note.image) == file);
        if note.is_none() && is_of_a_name_alone(data_dir, &file) {
            let _ = fs::remove_file(&file);
        }
        note
    });
    noted.collect()
}

fn is_of_a_name_alone(data_dir: &Path, file: &Path) -> bool {
    let image = ionet_private::read(file, LONGEST as u64)
        .ok()
        .flatten()
        .and_then(|text| String::from_utf8(text).ok());
    image.is_some_and(|image| note_file(data_dir, &image) == file)
}

#[cfg(test)]
#[path = "images_tests.rs"]
mod tests;
