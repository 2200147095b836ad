//! What the guard itself says, redacted, in a log beside the agent's. Its standard streams are closed, and whoever
//! started it may be gone.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use ionet_redact::{Redactor, printable};
use tracing_subscriber::filter::LevelFilter;

use super::log_file::Writer;

/// Makes that file the program's one place for its lines. Where it has another already, that stays.
pub(super) fn keep(file: &Path) -> Arc<Writer> {
    let writer = Arc::new(Writer::at(file));
    let lines = Lines { redactor: Redactor::of_this_pc(), writer: Arc::clone(&writer) };
    let _ = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(LevelFilter::INFO)
        .with_writer(Mutex::new(lines))
        .try_init();
    writer
}

struct Lines {
    redactor: Redactor,
    writer: Arc<Writer>,
}

/// A whole line at a time.
impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let clean = self.redactor.redact(line);
        self.writer.write(printable(String::from_utf8_lossy(&clean).trim_end()).into_owned());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[tokio::test]
    async fn a_secret_is_kept_out_of_the_guards_log() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("guard.log");
        let writer = Arc::new(Writer::at(&file));
        let mut lines = Lines { redactor: Redactor::of_this_pc(), writer: Arc::clone(&writer) };

        lines.write_all(b"{\"message\":\"HF_TOKEN=hf_0123456789abcdef\"}\n").unwrap();
        lines.write_all(b"{\"message\":\"swept\"}\n").unwrap();
        writer.written().await;

        let kept = std::fs::read_to_string(file).unwrap();
        assert!(!kept.contains("hf_0123") && kept.contains("swept"), "{kept}");
        assert_eq!(kept.lines().count(), 2);
    }
}
