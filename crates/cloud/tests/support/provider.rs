//! The real identity provider of `platform/identity`, as a child process.

#![expect(clippy::print_stdout, reason = "a test that is left out says so")]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Longer than any machine takes for it.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// Dropping it ends it.
pub(crate) struct Provider {
    pub(crate) issuer: String,
    child: Child,
}

impl Provider {
    /// None, with a line that says so, where its packages are not installed.
    pub(crate) fn start() -> Option<Self> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../platform/identity");
        if !folder.join("node_modules").is_dir() {
            println!("skipped: needs npm ci in platform/identity");
            return None;
        }
        let mut child = Command::new("node")
            .args(["server.mjs", "--port", "0", "--access-token-ttl", "60"])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        // Ended also where it never says that it is ready.
        let mut provider = Self { issuer: String::new(), child };
        let (say, said) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(stdout).read_line(&mut line);
            let _ = say.send(line);
        });
        let line = said.recv_timeout(READY_WITHIN).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        provider.issuer = ready["issuer"].as_str().unwrap().to_owned();
        Some(provider)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
