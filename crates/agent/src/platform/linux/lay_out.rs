//! What a start needs before its agent begins: all that it reads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ionet_private::Trouble;

use super::protocol::NotStarted;
use crate::guard::Start;
use crate::{disk, files, introduction, state};

/// Lays out what the agent of that start reads.
pub(super) async fn prepared(start: Start) -> Result<(), NotStarted> {
    let data_dir = start.place.data_dir.clone();
    let made = disk::change(&data_dir, move || laid_out(&start));
    let silent =
        || NotStarted::Folder { full: false, why: "the disk of its folder does not answer".to_owned() };
    made.await.ok_or_else(silent)?.map_err(|error| {
        let full = Trouble::of(&error) == Trouble::Full;
        NotStarted::Folder { full, why: error.to_string() }
    })
}

fn laid_out(start: &Start) -> std::io::Result<()> {
    let data_dir = &start.place.data_dir;
    files::private_folder(data_dir)?;
    state::mend(data_dir);
    if let Some(device) = &start.node {
        state::belong_to(data_dir, device)?;
    }
    if let Some(token) = &start.introduction {
        introduction::place(data_dir, token)?;
    }
    bring(&start.files)?;
    if let Some(log) = start.agent_log.as_deref().and_then(Path::parent) {
        files::private_folder(log)?;
    }
    Ok(())
}

/// Files that an agent reads.
pub(super) fn bring(brought: &BTreeMap<PathBuf, String>) -> std::io::Result<()> {
    for (file, content) in brought {
        files::private_folder(file.parent().unwrap_or(file))?;
        files::write_private(file, content.as_bytes())?;
    }
    Ok(())
}
