//! What a client keeps in its data directory between starts. Nomad has all but ids and token in one database, `client/state.db`;
//! the double's files begin with that name, so that whoever removes the one removes the other.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::raw_exec::Handle;
use crate::{
    go,
    model::{Alloc, TaskState, new_id},
    platform::with_mode,
};

pub(super) struct Data {
    dir: PathBuf,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Registration {
    pub(super) has_registered: bool,
    pub(super) identity: Option<String>,
}

/// An allocation that was running when the agent last wrote it down.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptAlloc {
    pub(super) alloc: Alloc,
    pub(super) tasks: std::collections::BTreeMap<String, KeptTask>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct KeptTask {
    pub(super) state: TaskState,
    pub(super) handle: Option<Handle>,
}

impl Data {
    pub(super) fn new(data_dir: &Path) -> Result<Self, String> {
        let dir = data_dir.join("client");
        let failed =
            |e: std::io::Error| format!("client setup failed: mkdir {}: {}", dir.display(), go::words(&e));
        fs::create_dir_all(&dir).map_err(failed)?;
        fs::create_dir_all(data_dir.join("alloc")).map_err(failed)?;
        Ok(Self { dir })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Waits for ever while another agent uses the same directory, as the real one does.
    pub(super) fn lock(&self) -> Result<File, String> {
        let file = private(&self.dir.join("state.db")).map_err(|e| format!("client setup failed: {e}"))?;
        file.lock().map_err(|e| format!("client setup failed: {e}"))?;
        Ok(file)
    }

    /// The value in `client/NAME`, made on first use.
    pub(super) fn id(&self, name: &str) -> Result<String, String> {
        let path = self.dir.join(name);
        if let Ok(text) = fs::read_to_string(&path)
            && !text.trim().is_empty()
        {
            return Ok(text.trim().to_owned());
        }
        let id = new_id();
        let written = private(&path).and_then(|mut file| file.write_all(id.as_bytes()));
        written.map(|()| id).map_err(|e| format!("client setup failed: {e}"))
    }

    /// The introduction token that a supervisor laid down, if it did.
    pub(super) fn intro_token(&self) -> Option<String> {
        let text = fs::read_to_string(self.dir.join("intro_token.jwt")).ok()?;
        Some(text.trim().to_owned()).filter(|token| !token.is_empty())
    }

    pub(super) fn registration(&self) -> Registration {
        read(&self.file("registration")).unwrap_or_default()
    }

    pub(super) fn keep_registration(&self, registration: &Registration) {
        write(&self.file("registration"), registration);
    }

    pub(super) fn meta(&self) -> std::collections::BTreeMap<String, Option<String>> {
        read(&self.file("meta")).unwrap_or_default()
    }

    pub(super) fn keep_meta(&self, meta: &std::collections::BTreeMap<String, Option<String>>) {
        write(&self.file("meta"), meta);
    }

    pub(super) fn allocs(&self) -> Vec<KeptAlloc> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let kept = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("state.db.alloc-"));
        kept.filter_map(|entry| read(&entry.path())).collect()
    }

    pub(super) fn keep_alloc(&self, kept: &KeptAlloc) {
        write(&self.file(&format!("alloc-{}", kept.alloc.id)), kept);
    }

    fn file(&self, what: &str) -> PathBuf {
        self.dir.join(format!("state.db.{what}"))
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Replaces the file whole. A disk that refuses leaves the old one; the agent goes on.
fn write<T: Serialize>(path: &Path, value: &T) {
    let name = path.file_name().unwrap_or_default().to_string_lossy().replace("state.db.", "state.db.new-");
    let fresh = path.with_file_name(name);
    let text = serde_json::to_vec(value).unwrap_or_default();
    if private(&fresh).and_then(|mut file| file.set_len(0).and_then(|()| file.write_all(&text))).is_ok() {
        _ = fs::rename(fresh, path);
    }
}

fn private(path: &Path) -> std::io::Result<File> {
    with_mode(OpenOptions::new().create(true).truncate(false).write(true), 0o600).open(path)
}
