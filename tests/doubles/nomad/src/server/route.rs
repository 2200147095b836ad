//! Which request of the servers' HTTP API goes where.

use axum::http::Method;
use serde_json::json;

use super::answer::{Answer, ApiError};
use super::grants::Access;
use super::request::Request;
use super::{Region, acl, allocations, intro, jobs, nodes};

pub(super) fn route(region: &Region, request: &Request) -> Result<Answer, ApiError> {
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    let Some(("v1", path)) = path.split_first().map(|(first, rest)| (*first, rest)) else {
        return Err(ApiError::new(404, ""));
    };
    let verb = match request.method {
        Method::GET => Verb::Get,
        Method::PUT | Method::POST => Verb::Put,
        Method::DELETE => Verb::Delete,
        _ => return Err(ApiError::invalid_method()),
    };
    match path {
        ["acl", rest @ ..] => route_acl(region, request, verb, rest),
        ["agent" | "status" | "regions" | "metrics", ..] => route_agent(region, request, verb, path),
        ["nodes"] | ["node", ..] => route_nodes(region, request, verb, path),
        _ => route_jobs(region, request, verb, path),
    }
}

#[derive(Clone, Copy)]
enum Verb {
    Get,
    Put,
    Delete,
}

fn route_acl(region: &Region, request: &Request, verb: Verb, path: &[&str]) -> Result<Answer, ApiError> {
    let store = &region.store;
    match (verb, path) {
        (Verb::Put, ["bootstrap"]) => store.write(|state| acl::bootstrap(state, request)),
        (Verb::Put, ["token"]) => store.write(|state| acl::put_token(state, request)),
        (Verb::Get, ["token", "self"]) => store.read(|state| acl::token_self(state, request)),
        (Verb::Put, ["policy", name]) => store.write(|state| acl::put_policy(state, request, name)),
        (Verb::Get, ["policy", name]) => store.read(|state| acl::get_policy(state, request, name)),
        (Verb::Put, ["identity", "client-introduction-token"]) => {
            store.write(|state| intro::mint(state, request, &region.config.region, &region.plan))
        }
        (
            Verb::Get | Verb::Put | Verb::Delete,
            ["bootstrap" | "token"]
            | ["token", "self"]
            | ["policy", _]
            | ["identity", "client-introduction-token"],
        ) => Err(ApiError::invalid_method()),
        _ => Err(ApiError::new(404, "")),
    }
}

fn route_agent(region: &Region, request: &Request, verb: Verb, path: &[&str]) -> Result<Answer, ApiError> {
    if !matches!(verb, Verb::Get) {
        return Err(ApiError::invalid_method());
    }
    match path {
        ["agent", "health"] if request.query("type") == Some("client") => Err(ApiError::new(
            500,
            json!({"client": {"ok": false, "message": "client not enabled"}}).to_string(),
        )),
        ["agent", "health"] => Ok(Answer::json(json!({ "server": { "ok": true, "message": "ok" } }))),
        ["agent", "self"] => {
            if !region.store.read(|state| request.grants(state))?.agent(Access::Read) {
                return Err(ApiError::denied());
            }
            Ok(Answer::json(region.self_description()))
        }
        ["status", "leader"] => Ok(Answer::json(json!(region.config.advertised("rpc")))),
        ["status", "peers"] => Ok(Answer::json(json!([region.config.advertised("rpc")]))),
        ["regions"] => Ok(Answer::json(json!([region.config.region]))),
        ["metrics"] => Ok(Answer::json(json!({
            "Timestamp": "", "Gauges": [], "Counters": [], "Points": [], "Samples": []
        }))),
        _ => Err(ApiError::new(404, "")),
    }
}

fn route_nodes(region: &Region, request: &Request, verb: Verb, path: &[&str]) -> Result<Answer, ApiError> {
    let store = &region.store;
    match (verb, path) {
        (Verb::Get, ["nodes"]) => store.read(|state| nodes::list(state, request)),
        (Verb::Get, ["node", "pools"]) => store.read(|state| nodes::list_pools(state, request)),
        (Verb::Put, ["node", "pools"] | ["node", "pool", _]) => {
            store.write(|state| nodes::put_pool(state, request))
        }
        (Verb::Get, ["node", "pool", name]) => store.read(|state| nodes::read_pool(state, request, name)),
        (Verb::Get, ["node", id]) => store.read(|state| nodes::read(state, request, id)),
        (Verb::Get, ["node", id, "allocations"]) => {
            store.read(|state| allocations::of_node(state, request, id))
        }
        (Verb::Put, ["node", id, "drain"]) => store.write(|state| nodes::put_drain(state, request, id)),
        (Verb::Put, ["node", id, "eligibility"]) => {
            store.write(|state| nodes::put_eligibility(state, request, id))
        }
        (Verb::Put, ["node", id, "purge"]) => {
            region.forget(id);
            store.write(|state| nodes::purge(state, request, id))
        }
        (
            Verb::Get | Verb::Put | Verb::Delete,
            ["nodes"] | ["node", _] | ["node", _, "allocations" | "drain" | "eligibility" | "purge"],
        ) => Err(ApiError::invalid_method()),
        _ => Err(ApiError::new(404, "")),
    }
}

fn route_jobs(region: &Region, request: &Request, verb: Verb, path: &[&str]) -> Result<Answer, ApiError> {
    let store = &region.store;
    match (verb, path) {
        (Verb::Get, ["jobs"]) => store.read(|state| jobs::list(state, request)),
        (Verb::Put, ["jobs"]) => store.write(|state| jobs::put(state, request, &region.config.region)),
        (Verb::Get, ["job", id]) => store.read(|state| jobs::read(state, request, id)),
        (Verb::Get, ["job", id, "allocations"]) => {
            store.read(|state| allocations::of_job(state, request, id))
        }
        (Verb::Get, ["job", id, "evaluations"]) => store.read(|state| jobs::evaluations(state, request, id)),
        (Verb::Delete, ["job", id]) => store.write(|state| jobs::delete(state, request, id)),
        (Verb::Get, ["evaluation", id]) => store.read(|state| jobs::evaluation(state, request, id)),
        (Verb::Get, ["allocations"]) => store.read(|state| allocations::list(state, request)),
        (Verb::Get, ["allocation", id]) => store.read(|state| allocations::read(state, request, id)),
        (Verb::Put, ["allocation", id, "stop"]) => store.write(|state| allocations::stop(state, request, id)),
        (
            Verb::Get | Verb::Put | Verb::Delete,
            ["jobs" | "allocations"]
            | ["job" | "evaluation" | "allocation", _]
            | ["job", _, "allocations" | "evaluations"]
            | ["allocation", _, "stop"],
        ) => Err(ApiError::invalid_method()),
        _ => Err(ApiError::new(404, "")),
    }
}
