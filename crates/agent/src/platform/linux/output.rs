//! The end of what the agent prints. Everything is read, so that it never waits for us; only the end is kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::task::JoinSet;

const KEPT: usize = 16 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Output {
    kept: Arc<Mutex<VecDeque<u8>>>,
    readers: JoinSet<()>,
}

impl Output {
    pub(crate) fn read(&mut self, mut from: impl AsyncRead + Unpin + Send + 'static) {
        let kept = Arc::clone(&self.kept);
        self.readers.spawn(async move {
            let mut chunk = vec![0; 4096];
            while let Ok(length @ 1..) = from.read(&mut chunk).await {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend(&chunk[..length]);
                let surplus = kept.len().saturating_sub(KEPT);
                kept.drain(..surplus);
            }
        });
    }

    /// The end of it, once the process is gone. What it left running may hold the pipes open for ever, so a quarter
    /// of a second is enough.
    pub(crate) async fn end(mut self) -> String {
        let all_read = async { while self.readers.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_millis(250), all_read).await;
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = kept.iter().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
