//! Where things lie inside a capsule, for whoever tells those inside of them.

/// Nomad's data folder.
pub const AGENT_DATA: &str = "/data/agent";
/// What the agent and its guard say.
pub const LOGS: &str = "/data/logs";
/// The agent's program.
pub const AGENT: &str = "/opt/ionet/nomad";
/// Nomad's folder of plugins, below which [`crate::Programs::beside`] lays what is named `plugins/…`.
pub const PLUGINS: &str = "/opt/ionet/plugins";
/// A rehearsal's card, laid in the same way.
pub const PLAYED: &str = "/opt/ionet/played";
/// The agent's configuration and this PC's certificate: in memory, and gone with the capsule.
pub const CONFIGURATION: &str = "/run/agent";
/// The guard's folder.
pub const GUARD: &str = "/run/guard";
/// The engine's socket.
pub const ENGINE: &str = "/run/engine.sock";
