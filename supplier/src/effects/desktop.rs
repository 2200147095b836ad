//! What the owner's desktop is asked for.

use std::sync::Arc;

use ionet_core::effect::Desktop;
use ionet_core::event::Link;

use super::Shared;

impl Shared {
    pub(super) fn desktop(self: &Arc<Self>, deed: Desktop) {
        match deed {
            Desktop::OpenWindow => self.tools.desktop.open_window(),
            Desktop::OpenLink(link) => self.open_link(link),
        }
    }

    /// Whether a browser took it; whoever does not wait for that loses nothing.
    pub(super) fn open_page(self: &Arc<Self>, page: String) -> tokio::task::JoinHandle<bool> {
        let shared = self.clone();
        tokio::task::spawn_blocking(move || shared.tools.desktop.open_page(&page))
    }

    fn open_link(self: &Arc<Self>, link: Link) {
        let page = match link {
            Link::DriverDownload => Some("https://www.nvidia.com/drivers".to_owned()),
            Link::AgentInstall => Some("https://developer.hashicorp.com/nomad/install".to_owned()),
            Link::Help => Some("https://docs.io.net".to_owned()),
            Link::DeviceCodePage => self.signing_in.code_page(),
        };
        if let Some(page) = page {
            drop(self.open_page(page));
        }
    }
}
