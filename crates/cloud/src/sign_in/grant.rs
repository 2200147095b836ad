//! What a sign-in gives.

use std::time::Duration;

use ionet_core::target::AccountName;

use crate::secret::Secret;

pub(crate) struct Grant {
    pub(crate) name: AccountName,
    pub(crate) tokens: TokenPair,
}

/// Good for one refresh, and for requests until it expires.
pub(crate) struct TokenPair {
    pub(crate) refresh: Secret<String>,
    pub(crate) access: Secret<String>,
    pub(crate) expires_in: Duration,
}
