//! How to behave; the addresses are in [`crate::Endpoints`].

use std::time::Duration;

use crate::proxy::SystemProxy;

#[derive(Debug, Clone)]
pub struct Options {
    pub user_agent: String,
    /// Whether the desktop's keyring may be used. The demo and the tests keep out of it.
    pub keyring: bool,
    /// How long a sign-in waits for the browser to come back.
    pub sign_in_abandoned_after: Duration,
    /// When a sign-in that waits for the browser says so once more: see [`crate::SignInHooks::still_waiting`].
    pub still_waiting_after: Duration,
    /// How long the provider is asked on, where it gives no answer, once the person has done their part.
    pub grant_patience: Duration,
    pub connect_timeout: Duration,
    /// From the request to the end of its answer. The long poll has its own wait on top.
    pub answer_timeout: Duration,
    /// Servers and stores on loopback are spoken to, the stores in plain HTTP too. Never so in a package, whatever its
    /// files say.
    pub rehearsal: bool,
    /// The way out that the system names.
    pub proxy: SystemProxy,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            user_agent: concat!("ionet-supplier/", env!("CARGO_PKG_VERSION")).into(),
            keyring: true,
            sign_in_abandoned_after: Duration::from_secs(600),
            still_waiting_after: Duration::from_secs(60),
            grant_patience: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(30),
            rehearsal: false,
            proxy: SystemProxy::of_this_pc(),
        }
    }
}
