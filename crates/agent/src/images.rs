//! The images that jobs brought and nobody uses any more.

use std::path::Path;
use std::time::Duration;

use crate::platform;

/// Removes those that no job has used for so long; says how many. An image that was there before a job asked for it is the
/// owner's and stays, and so does one that any container uses. Does nothing while a job's container is there, or while disk or
/// engine do not answer.
pub async fn collect(data_dir: &Path, engine: &Path, unused_for: Duration) -> usize {
    platform::images::collect(data_dir, engine, unused_for).await
}
