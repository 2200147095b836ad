//! The io.net side on loopback: identity provider, S3, and for each region a Nomad server and the supplier gateway, started for real, watched, and
//! ended without leaving anything behind. Used by `./dev demo`, the journeys and the benches alike.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use ionet_stage::{Options, Stage};
//!
//! let stage = Stage::start(Options::new("/tmp/stage")).await?;
//! stage.endpoints().install("/tmp/home".as_ref())?;
//! stage.submit_job(&ionet_stage::example_job("demo", false)).await?;
//! stage.stop().await;
//! # Ok(())
//! # }
//! ```

mod agent;
mod bucket;
mod child;
mod engine;
mod facts;
mod gateway;
mod ground;
mod identity;
mod options;
mod pki;
mod platform;
mod ports;
mod region;
mod regions;
mod servers;
mod stage;

pub use agent::{Agent, AgentKind, NomadChoice};
pub use engine::{Engine, offer_example};
pub use facts::{CustomerAccess, Endpoints, Facts, RegionFacts};
pub use options::Options;
pub use pki::{KeyPairFiles, Pki};
pub use platform::asked_to_end;
pub use region::{ApiFiles, Region, RegionError, Token, example_job};
pub use regions::StagedRegion;
pub use servers::Heartbeat;
pub use stage::Stage;
