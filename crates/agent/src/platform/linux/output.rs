//! What the agent prints. Everything is read, so that it never waits for us; each whole line is heard, and the end
//! is kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::task::JoinSet;

const KEPT: usize = 16 * 1024;

/// A line that is longer than this is not heard.
const LONGEST_LINE: usize = 64 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Output {
    kept: Arc<Mutex<VecDeque<u8>>>,
    readers: JoinSet<()>,
}

impl Output {
    pub(crate) fn read(
        &mut self,
        mut from: impl AsyncRead + Unpin + Send + 'static,
        mut hear: impl FnMut(&str) + Send + 'static,
    ) {
        let kept = Arc::clone(&self.kept);
        self.readers.spawn(async move {
            let mut chunk = vec![0; 4096];
            let mut lines = Lines::default();
            while let Ok(length @ 1..) = from.read(&mut chunk).await {
                lines.take(&chunk[..length], &mut hear);
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend(&chunk[..length]);
                let surplus = kept.len().saturating_sub(KEPT);
                kept.drain(..surplus);
            }
        });
    }

    /// The end of it in whole lines, once the process is gone. What it left running may hold the pipes open for ever, so a quarter
    /// of a second is enough.
    pub(crate) async fn end(mut self) -> String {
        let all_read = async { while self.readers.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_millis(250), all_read).await;
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = kept.iter().copied().collect();
        let torn = if bytes.len() < KEPT {
            0
        } else {
            bytes.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1)
        };
        String::from_utf8_lossy(&bytes[torn..]).into_owned()
    }
}

/// Cuts what is read into lines.
#[derive(Default)]
struct Lines {
    begun: Vec<u8>,
    too_long: bool,
}

impl Lines {
    fn take(&mut self, bytes: &[u8], hear: &mut impl FnMut(&str)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.too_long |= self.begun.len() + piece.len() > LONGEST_LINE;
            if !self.too_long {
                self.begun.extend(piece);
            }
            if piece.ends_with(b"\n") {
                if !self.too_long {
                    hear(String::from_utf8_lossy(&self.begun).trim_end());
                }
                self.begun.clear();
                self.too_long = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_they_were_read_and_one_without_end_is_passed_over() {
        let mut lines = Lines::default();
        let mut heard = Vec::new();
        let mut hear = |line: &str| heard.push(line.to_owned());

        lines.take(b"one\ntw", &mut hear);
        lines.take(b"o\n", &mut hear);
        lines.take(&[b'x'; LONGEST_LINE], &mut hear);
        lines.take(b"x\nthree\nrest", &mut hear);

        assert_eq!(heard, ["one", "two", "three"]);
    }
}
