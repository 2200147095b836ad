//! The servers' RPC port: what client agents ask.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use super::{
    Region, http, intro, nodes,
    request::Request,
    schedule,
    store::{State, Table},
};
use crate::{
    config::Enforcement,
    model::{Alloc, Eligibility, Node},
    rpc::{AllocUpdate, Call, Reply, Rights, read_frame, write_frame},
};

const DENIED: &str = "Permission denied";

/// Serves one connection: one call.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(region: Arc<Region>, mut stream: S) {
    // A caller that goes away or speaks something else needs no answer.
    if let Ok(call) = read_frame::<_, Call>(&mut stream).await {
        let reply = answer(&region, call).await;
        _ = write_frame(&mut stream, &reply).await;
    }
}

#[expect(clippy::too_many_lines, reason = "one arm a method")]
async fn answer(region: &Arc<Region>, call: Call) -> Reply {
    let store = &region.store;
    match call {
        Call::Register { node, proof } => register(region, *node, proof.as_deref()),
        Call::UpdateStatus { node_id, secret_id, status } => store.write(|state| {
            if let Err(refused) = known(state, &node_id, &secret_id) {
                return refused;
            }
            nodes::set_status(state, &node_id, status);
            beat(region, state, &node_id, false)
        }),
        Call::ClientAllocs { node_id, secret_id, index, wait_ms } => {
            client_allocs(region, &node_id, &secret_id, index, Duration::from_millis(wait_ms)).await
        }
        Call::UpdateAllocs { node_id, secret_id, updates } => store.write(|state| {
            if let Err(refused) = known(state, &node_id, &secret_id) {
                return refused;
            }
            update_allocs(state, &node_id, updates);
            Reply::Done
        }),
        Call::DrainSelf { node_id, secret_id, deadline, ignore_system_jobs } => store.write(|state| {
            if let Err(refused) = known(state, &node_id, &secret_id) {
                return refused;
            }
            let who = format!("node:{node_id}");
            let meta = json!({ "message": "shutting down" });
            nodes::start_drain(state, &node_id, deadline, ignore_system_jobs, meta, &who);
            Reply::Done
        }),
        Call::IsDraining { node_id, secret_id } => {
            store.read(|state| match known(state, &node_id, &secret_id) {
                Ok(node) => Reply::Draining(node.drain_strategy.is_some()),
                Err(refused) => refused,
            })
        }
        Call::ResolveToken { token } => store.read(|state| rights(state, &token)),
        Call::Http { method, target, token, body } => match method.parse() {
            Ok(method) => http::handed_on(region, &Request::new(method, &target, token, body.into())).await,
            Err(_) => Reply::Refused("invalid method".into()),
        },
    }
}

fn register(region: &Arc<Region>, node: Node, proof: Option<&str>) -> Reply {
    region.store.write(|state| {
        if state.nodes.get(&node.id).is_some_and(|known| known.secret_id != node.secret_id) {
            return Reply::Refused("node secret ID does not match".into());
        }
        if let Err(denial) = intro::admit(state, &node, proof)
            && region.plan.enforcement != Enforcement::None
        {
            region.log_denial(&node, &denial);
            if region.plan.enforcement == Enforcement::Strict {
                return Reply::Refused(DENIED.into());
            }
        }
        let id = node.id.clone();
        let was_down = nodes::register(state, node);
        let mut reply = beat(region, state, &id, was_down);
        if let Reply::Beat { identity, .. } = &mut reply
            && let Some(node) = state.nodes.get(&id)
        {
            *identity = Some(intro::identity(state, node, &region.config.region));
        }
        reply
    })
}

/// Resets the node's heartbeat and says when the next one is due.
fn beat(region: &Region, state: &State, node_id: &str, was_down: bool) -> Reply {
    let ttl = region.reset_heartbeat(node_id);
    let eligible =
        state.nodes.get(node_id).is_some_and(|n| n.scheduling_eligibility == Eligibility::Eligible);
    Reply::Beat {
        ttl_ms: u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX),
        identity: None,
        eligible,
        was_down,
    }
}

fn known<'a>(state: &'a State, id: &str, secret: &str) -> Result<&'a Node, Reply> {
    let node = state.nodes.get(id).ok_or_else(|| Reply::Refused("node not found".into()))?;
    if node.secret_id == secret { Ok(node) } else { Err(Reply::Refused(DENIED.into())) }
}

async fn client_allocs(region: &Region, id: &str, secret: &str, index: u64, wait: Duration) -> Reply {
    let look = || {
        region.store.read(|state| {
            let node = known(state, id, secret);
            node.map(|_| {
                state.allocs.values().filter(|alloc| alloc.node_id == id).cloned().collect::<Vec<Alloc>>()
            })
        })
    };
    let newer = async {
        let mut changes = region.store.watch();
        loop {
            match look() {
                Err(refused) => return refused,
                Ok(allocs) => {
                    let at = allocs.iter().map(|alloc| alloc.alloc_modify_index).max().unwrap_or(0);
                    if at > index {
                        return Reply::Allocs { index: at, allocs };
                    }
                }
            }
            if changes.changed().await.is_err() {
                return Reply::Refused("No cluster leader".into());
            }
        }
    };
    match timeout(wait, newer).await {
        Ok(reply) => reply,
        Err(_) => match look() {
            Ok(allocs) => Reply::Allocs { index, allocs },
            Err(refused) => refused,
        },
    }
}

fn update_allocs(state: &mut State, node_id: &str, updates: Vec<AllocUpdate>) {
    let index = state.next_index(&[Table::Allocs]);
    let mut ended = Vec::new();
    for update in updates {
        let Some(before) = state.allocs.get(&update.id).filter(|alloc| alloc.node_id == node_id) else {
            continue;
        };
        let was_over = before.client_status.is_terminal();
        if was_over && before.client_status != update.client_status && !update.client_status.is_terminal() {
            continue;
        }
        schedule::change_alloc(state, &update.id, index, "AllocationUpdated", |alloc| {
            // What was given up for lost stays so, whatever its client says later.
            if !was_over {
                alloc.client_status = update.client_status;
                alloc.client_description = update.client_description;
            }
            alloc.task_states = update.task_states;
        });
        if !was_over && update.client_status.is_terminal() {
            ended.push(update.id);
        }
    }
    if let Some(node) = state.nodes.get(node_id).cloned() {
        state.emit_node(index, "AllocationUpdated", &node);
    }
    for id in ended {
        schedule::alloc_ended(state, &id);
    }
}

fn rights(state: &State, token: &str) -> Reply {
    use super::grants::Access;
    let Some(grants) = state.acl.grants(token) else { return Reply::Refused(DENIED.into()) };
    Reply::Rights(Rights {
        agent_read: grants.agent(Access::Read),
        node_read: grants.node(Access::Read),
        node_write: grants.node(Access::Write),
        read_job: grants.namespace("default", "read-job"),
    })
}
