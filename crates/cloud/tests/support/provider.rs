//! The real identity provider of `platform/identity`, as a child process.

#![expect(clippy::print_stdout, reason = "a test that is left out says so")]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

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
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        Some(Self { issuer: ready["issuer"].as_str().unwrap().to_owned(), child })
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
