//! The folder that a test's whole world lies in.

use std::path::{Path, PathBuf};

use anyhow::Result;
use tempfile::TempDir;

use crate::{mounts, processes};

/// Where everything lies. Short, since sockets lie in it. Dropping it ends every process that has to do with it, so
/// a walk that is broken off leaves nothing either.
#[derive(Debug)]
pub(crate) struct Root {
    path: PathBuf,
    _temporary: Option<TempDir>,
}

impl Root {
    pub(crate) fn new(given: Option<&Path>) -> Result<Self> {
        if let Some(dir) = given {
            ionet_wire::paths::private_folder(dir)?;
            return Ok(Self { path: dir.canonicalize()?, _temporary: None });
        }
        let temporary = tempfile::Builder::new().prefix("ionet-").tempdir_in("/tmp")?;
        Ok(Self { path: temporary.path().to_owned(), _temporary: Some(temporary) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        processes::sweep(&self.path);
        mounts::clear(&self.path);
    }
}
