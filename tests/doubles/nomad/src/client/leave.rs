//! What an interrupted agent does before it ends.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Agent, RPC_LIMIT, runner};
use crate::{
    model::Node,
    rpc::{Call, Reply},
};

/// How leaving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// Exit status 0. It says nothing about the tasks.
    Quietly,
    /// The real agent falls over a null pointer here.
    Panicked,
}

impl Agent {
    /// Drains this node if the configuration asks for it. Never fails for want of servers.
    pub(crate) async fn leave(&self) -> Left {
        let Some(plan) = &self.plan.drain_on_shutdown else { return Left::Quietly };
        let limit = plan.deadline + Duration::from_secs(5);
        if !self.is_registered() && !self.registration.lock().is_ok_and(|kept| kept.has_registered) {
            sleep(Duration::from_secs(10)).await;
            return Left::Panicked;
        }
        let Node { id, secret_id, .. } = self.node();
        let drain = Call::DrainSelf {
            node_id: id.clone(),
            secret_id: secret_id.clone(),
            deadline: i64::try_from(plan.deadline.as_nanos()).unwrap_or(i64::MAX),
            ignore_system_jobs: plan.ignore_system_jobs,
        };
        if let Err(error) = self.call(drain, RPC_LIMIT).await {
            self.log.error("client", "error draining self", json!({ "error": error.to_string() }));
            self.log.error("agent", "client leave failed", json!({ "error": error.to_string() }));
            return Left::Quietly;
        }
        self.log.info("client.drain", "monitoring self-drain", Value::Null);
        let until = Instant::now() + limit;
        while Instant::now() < until {
            let asked = Call::IsDraining { node_id: id.clone(), secret_id: secret_id.clone() };
            match self.call(asked, RPC_LIMIT).await {
                Ok(Reply::Draining(false)) => break,
                Ok(_) => sleep(Duration::from_secs(1)).await,
                Err(_) => break,
            }
        }
        // The drain is over before the tasks are: they have until their kill timeout.
        runner::all_ended(self, limit + self.plan.max_kill_timeout).await;
        Left::Quietly
    }
}
