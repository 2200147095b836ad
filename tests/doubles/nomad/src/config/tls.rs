//! The `tls` block.

use std::path::PathBuf;

use super::block::Block;

#[derive(Debug, Clone, Default)]
pub(crate) struct Tls {
    pub(crate) http: bool,
    pub(crate) rpc: bool,
    pub(crate) ca_file: PathBuf,
    pub(crate) cert_file: PathBuf,
    pub(crate) key_file: PathBuf,
    pub(crate) verify_server_hostname: bool,
    pub(crate) verify_https_client: bool,
}

impl Tls {
    pub(super) fn apply(&mut self, block: &mut Block) -> Result<(), String> {
        block.flag("http", &mut self.http)?;
        block.flag("rpc", &mut self.rpc)?;
        block.path("ca_file", &mut self.ca_file)?;
        block.path("cert_file", &mut self.cert_file)?;
        block.path("key_file", &mut self.key_file)?;
        block.flag("verify_server_hostname", &mut self.verify_server_hostname)?;
        block.flag("verify_https_client", &mut self.verify_https_client)?;
        block.skip(&["tls_min_version"]);
        Ok(())
    }
}
