//! What every plugin of Nomad's answers: what it is, and what it is to do.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use tonic::{Request, Response, Status, async_trait};

use crate::NAME;
use crate::desk::Desk;
use crate::offer::Lent;
use crate::protocol::services::base_plugin_server::BasePlugin;
use crate::protocol::{Block, Config, ConfigSchema, Empty, Kind, Object, PluginInfo, Spec, SpecAttribute};

/// Of the protocol.
const API: &str = "v0.1.0";

/// The ids of the cards that are lent. Without it, none is.
const CARDS: &str = "cards";

pub(crate) struct Base(pub(crate) Arc<Desk>);

/// The `config` block.
#[derive(Debug, Deserialize)]
struct Settings {
    #[serde(default)]
    cards: Option<Lent>,
}

#[async_trait]
impl BasePlugin for Base {
    async fn plugin_info(&self, _: Request<Empty>) -> Result<Response<PluginInfo>, Status> {
        Ok(Response::new(PluginInfo {
            kind: Kind::Device.into(),
            api_versions: vec![API.to_owned()],
            version: env!("CARGO_PKG_VERSION").to_owned(),
            name: NAME.to_owned(),
        }))
    }

    async fn config_schema(&self, _: Request<Empty>) -> Result<Response<ConfigSchema>, Status> {
        let attribute =
            SpecAttribute { name: CARDS.to_owned(), kind: "list(string)".to_owned(), required: false };
        let cards = Spec { block: Some(Block::Attribute(attribute)) };
        let object = Object { attributes: BTreeMap::from([(CARDS.to_owned(), cards)]) };
        Ok(Response::new(ConfigSchema { spec: Some(Spec { block: Some(Block::Object(object)) }) }))
    }

    async fn set_config(&self, config: Request<Config>) -> Result<Response<Empty>, Status> {
        let Config { msgpack, api_version } = config.into_inner();
        if api_version != API {
            return Err(Status::invalid_argument(format!("it speaks {API} and not {api_version}")));
        }
        let settings: Settings =
            rmp_serde::from_slice(&msgpack).map_err(|error| Status::invalid_argument(error.to_string()))?;
        self.0.lend(settings.cards.unwrap_or_default());
        Ok(Response::new(Empty {}))
    }
}
