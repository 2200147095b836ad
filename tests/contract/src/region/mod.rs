//! A region to try expectations on: one server with TLS, ACL and strict introduction, and as many
//! client agents as an expectation starts.

#![expect(clippy::print_stdout, reason = "a test that is left out says so")]

mod agents;
mod api;
pub mod cards;
mod configuration;
mod set_up;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicU32},
};

use anyhow::Result;

use self::set_up::free_port;
pub use self::{
    agents::{ClientAgent, Options},
    api::Reply,
};
use crate::{
    pki::{Pair, Pki},
    process::{self, Process},
};

pub const REGION: &str = "eu";
pub const POOL: &str = "gamers";

/// What stands behind the region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Double,
    Real,
}

pub struct Region {
    pub kind: Kind,
    binary: PathBuf,
    dir: tempfile::TempDir,
    pub pki: Pki,
    pub http_port: u16,
    pub rpc_port: u16,
    server: Mutex<Option<Process>>,
    api: reqwest::Client,
    pub management: String,
    /// The least policy that the gateway needs, with `alloc-lifecycle`.
    pub gateway: String,
    /// `node:read` alone.
    pub node_read: String,
    clients: AtomicU32,
}

impl Region {
    /// A region of its own, ready to take clients; `None` (and a line that says why) when there is no
    /// such program to try.
    pub async fn start(kind: Kind) -> Result<Option<Self>> {
        let Some(binary) = set_up::program(kind)? else {
            println!("skipped: needs NOMAD=/path");
            return Ok(None);
        };
        // Ignored: another test of this process has installed the same one.
        _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::Builder::new().prefix("contract-").tempdir()?;
        let pki = Pki::new(&dir.path().join("tls"), REGION)?;
        let pair = pki.server(REGION)?;
        let (http_port, rpc_port) = (free_port()?, free_port()?);
        let api = api::https(&pki.ca_file(), &pair)?;
        let mut region = Self {
            kind,
            binary,
            dir,
            pki,
            http_port,
            rpc_port,
            server: Mutex::new(None),
            api,
            management: String::new(),
            gateway: String::new(),
            node_read: String::new(),
            clients: AtomicU32::new(0),
        };
        region.start_server(&pair)?;
        region.prepare().await?;
        Ok(Some(region))
    }

    pub fn binary(&self) -> &Path {
        &self.binary
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn server_output(&self) -> String {
        self.server().as_ref().map(Process::output).unwrap_or_default()
    }

    pub fn kill_server(&self) {
        *self.server() = None;
    }

    fn server(&self) -> MutexGuard<'_, Option<Process>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start_server(&self, pair: &Pair) -> Result<()> {
        let dir = self.dir.path().join("server");
        fs::create_dir_all(&dir)?;
        let file = dir.join("server.hcl");
        fs::write(&file, self.server_configuration(&dir, pair)?)?;
        *self.server() = Some(set_up::start_agent(&self.binary, &file, &dir, &[])?);
        Ok(())
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        self.kill_server();
        process::sweep(self.dir.path());
    }
}
