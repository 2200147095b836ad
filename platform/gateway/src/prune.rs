//! What is of no more use is forgotten: expired certificates and enrolment tokens. The ledger is kept.

use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::Shared;
use crate::clock::now_ms;

const BETWEEN: Duration = Duration::from_secs(3600);
/// A token's end is told from one that never was for so long, by whoever reads the database.
const TOKENS_KEPT_MS: i64 = 7 * 24 * 3600 * 1000;

/// Prunes at once and every hour, until shutdown.
pub(crate) async fn run(gateway: Shared) {
    let mut hour = tokio::time::interval(BETWEEN);
    hour.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = hour.tick() => {}
            () = gateway.shutdown.cancelled() => return,
        }
        let now = now_ms();
        let pruning = async {
            let certificates = gateway.store.forget_certificates(now).await?;
            Ok::<_, sqlx::Error>((certificates, gateway.store.forget_tokens(now - TOKENS_KEPT_MS).await?))
        };
        match pruning.await {
            Ok((0, 0)) => {}
            Ok((certificates, tokens)) => tracing::info!(certificates, tokens, "expired rows were forgotten"),
            Err(error) => tracing::error!(error = %error, "expired rows could not be forgotten"),
        }
    }
}
