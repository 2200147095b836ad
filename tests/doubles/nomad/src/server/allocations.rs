//! Allocations as callers of the API read and stop them.

use serde_json::{Value, json};

use super::{
    answer::{Answer, ApiError},
    grants::Access,
    jobs::NAMESPACE,
    request::Request,
    schedule,
    store::{State, Table},
};
use crate::model::{Alloc, alloc_stub, alloc_view};

pub(super) fn list(state: &State, request: &Request) -> Result<Answer, ApiError> {
    if !request.grants(state)?.namespace(NAMESPACE, "read-job") {
        return Err(ApiError::denied());
    }
    let prefix = request.query("prefix").unwrap_or_default();
    let found: Vec<Value> =
        state.allocs.values().filter(|a| a.id.starts_with(prefix)).map(alloc_stub).collect();
    Ok(Answer::json(json!(found)).at(state.table_index(Table::Allocs)))
}

pub(super) fn read(state: &State, request: &Request, id: &str) -> Result<Answer, ApiError> {
    let visible = request.grants(state)?.namespace(NAMESPACE, "read-job");
    let alloc = find(state, id)?;
    if !visible {
        return Err(ApiError::new(500, format!("Unknown allocation \"{id}\"")));
    }
    Ok(Answer::json(alloc_view(alloc)).at(alloc.modify_index))
}

pub(super) fn of_node(state: &State, request: &Request, id: &str) -> Result<Answer, ApiError> {
    let grants = request.grants(state)?;
    if !grants.node(Access::Read) {
        return Err(ApiError::denied());
    }
    let visible = grants.namespace(NAMESPACE, "read-job");
    let found: Vec<Value> =
        state.allocs.values().filter(|alloc| visible && alloc.node_id == id).map(alloc_view).collect();
    Ok(Answer::json(json!(found)).at(state.table_index(Table::Allocs)))
}

pub(super) fn of_job(state: &State, request: &Request, id: &str) -> Result<Answer, ApiError> {
    if !request.grants(state)?.namespace(NAMESPACE, "read-job") {
        return Err(ApiError::denied());
    }
    let found: Vec<Value> =
        state.allocs.values().filter(|alloc| alloc.job_id == id).map(alloc_stub).collect();
    Ok(Answer::json(json!(found)).at(state.table_index(Table::Allocs)))
}

/// Stops one allocation; its job is placed again where it can run.
pub(super) fn stop(state: &mut State, request: &Request, id: &str) -> Result<Answer, ApiError> {
    let permitted = request.grants(state)?.namespace(NAMESPACE, "alloc-lifecycle");
    find(state, id)?;
    if !permitted {
        return Err(ApiError::denied());
    }
    let eval = schedule::migrate(state, &[id.to_owned()], "alloc-stop").unwrap_or_default();
    let index = state.index;
    Ok(Answer::json(json!({ "EvalID": eval, "Index": index })).at(index))
}

fn find<'a>(state: &'a State, id: &str) -> Result<&'a Alloc, ApiError> {
    if id.len() != 36 {
        return Err(ApiError::new(500, "alloc lookup failed: index error: UUID must be 36 characters"));
    }
    state.allocs.get(id).ok_or_else(|| ApiError::new(404, "alloc not found"))
}
