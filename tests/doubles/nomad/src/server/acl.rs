//! Tokens, policies, and what they permit.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    http::{Answer, ApiError, Request},
    store::{State, Table},
};
use crate::{
    hcl::{self, Item},
    model::{new_id, rfc3339_now},
};

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Acl {
    bootstrapped: Option<u64>,
    tokens: BTreeMap<String, Token>,
    policies: BTreeMap<String, Policy>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Token {
    #[serde(rename = "AccessorID")]
    accessor_id: String,
    #[serde(rename = "SecretID")]
    secret_id: String,
    name: String,
    r#type: String,
    policies: Option<Vec<String>>,
    roles: Option<Vec<Value>>,
    global: bool,
    hash: String,
    create_time: String,
    expiration_time: Option<String>,
    create_index: u64,
    modify_index: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Policy {
    name: String,
    description: String,
    rules: String,
    create_index: u64,
    modify_index: u64,
}

/// What the bearer of a token may do.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    management: bool,
    accessor: String,
    node: Access,
    agent: Access,
    namespaces: BTreeMap<String, BTreeSet<String>>,
    pools: BTreeMap<String, Access>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Access {
    #[default]
    None,
    Read,
    Write,
}

impl Access {
    fn named(word: &str) -> Self {
        match word {
            "read" => Self::Read,
            "write" => Self::Write,
            _ => Self::None,
        }
    }
}

impl Grants {
    pub(crate) fn node(&self, wanted: Access) -> bool {
        self.management || self.node >= wanted
    }

    pub(crate) fn agent(&self, wanted: Access) -> bool {
        self.management || self.agent >= wanted
    }

    pub(crate) fn namespace(&self, namespace: &str, capability: &str) -> bool {
        self.management || self.namespaces.get(namespace).is_some_and(|found| found.contains(capability))
    }

    pub(crate) fn pool(&self, pool: &str, wanted: Access) -> bool {
        self.management || self.pools.get(pool).or_else(|| self.pools.get("*")).is_some_and(|a| *a >= wanted)
    }

    pub(crate) fn is_management(&self) -> bool {
        self.management
    }

    /// `token:ACCESSOR`, as a drain names who asked for it.
    pub(crate) fn who(&self) -> String {
        format!("token:{}", self.accessor)
    }

    fn add(&mut self, rules: &[Item]) {
        for item in rules {
            let hcl::Value::Object(inner) = &item.value else { continue };
            let policy = inner.iter().find(|i| i.keys[0] == "policy").and_then(|i| text(&i.value));
            let access = policy.map_or(Access::None, Access::named);
            let label = item.keys.get(1).map_or("default", String::as_str);
            match item.keys[0].as_str() {
                "node" => self.node = self.node.max(access),
                "agent" => self.agent = self.agent.max(access),
                "node_pool" => {
                    let slot = self.pools.entry(label.into()).or_default();
                    *slot = (*slot).max(access);
                }
                "namespace" => {
                    let slot = self.namespaces.entry(label.into()).or_default();
                    slot.extend(expand(policy.unwrap_or_default()).iter().map(|c| (*c).to_owned()));
                    let listed = inner.iter().find(|i| i.keys[0] == "capabilities").map(|i| &i.value);
                    if let Some(hcl::Value::List(list)) = listed {
                        slot.extend(list.iter().filter_map(text).map(str::to_owned));
                    }
                }
                _ => {}
            }
        }
    }
}

fn text(value: &hcl::Value) -> Option<&str> {
    if let hcl::Value::Text(text) = value { Some(text) } else { None }
}

/// The capabilities behind a namespace's short policy.
fn expand(policy: &str) -> &'static [&'static str] {
    match policy {
        "read" => &["list-jobs", "parse-job", "read-job"],
        "write" => &[
            "list-jobs",
            "parse-job",
            "read-job",
            "submit-job",
            "dispatch-job",
            "read-logs",
            "read-fs",
            "alloc-exec",
            "alloc-lifecycle",
        ],
        _ => &[],
    }
}

impl State {
    /// `None` for a token that does not exist; no token at all is the anonymous one, with no rights.
    pub(crate) fn grants(&self, secret: &str) -> Option<Grants> {
        if secret.is_empty() {
            return Some(Grants { accessor: "anonymous".into(), ..Grants::default() });
        }
        let token = self.acl.tokens.values().find(|token| token.secret_id == secret)?;
        let mut grants = Grants {
            management: token.r#type == "management",
            accessor: token.accessor_id.clone(),
            ..Grants::default()
        };
        for name in token.policies.iter().flatten() {
            if let Some(rules) = self.acl.policies.get(name).and_then(|policy| hcl::parse(&policy.rules).ok())
            {
                grants.add(&rules);
            }
        }
        Some(grants)
    }
}

pub(super) fn bootstrap(state: &mut State, request: &Request) -> Result<Answer, ApiError> {
    if let Some(index) = state.acl.bootstrapped {
        return Err(ApiError::new(400, format!("ACL bootstrap already done (reset index: {index})")));
    }
    let asked = request.optional_json()?;
    let secret = match asked["BootstrapSecret"].as_str().filter(|secret| !secret.is_empty()) {
        None => new_id(),
        Some(secret) if uuid::Uuid::parse_str(secret).is_ok() => secret.to_owned(),
        Some(_) => return Err(ApiError::new(400, "invalid acl token")),
    };
    let token = add_token(state, secret, "Bootstrap Token".into(), "management".into(), None, true);
    state.acl.bootstrapped = Some(state.index);
    Ok(token)
}

pub(super) fn put_token(state: &mut State, request: &Request) -> Result<Answer, ApiError> {
    request.management(state)?;
    let asked = request.json()?;
    let kind = asked["Type"].as_str().unwrap_or("client").to_owned();
    let policies: Option<Vec<String>> = serde_json::from_value(asked["Policies"].clone()).unwrap_or_default();
    if kind == "client" && policies.as_ref().is_none_or(Vec::is_empty) {
        return Err(ApiError::new(
            400,
            "invalid token: 1 error occurred:\n\t* client token missing policies or roles\n\n",
        ));
    }
    let name = asked["Name"].as_str().unwrap_or_default().to_owned();
    let global = asked["Global"].as_bool().unwrap_or(false);
    let policies = if kind == "management" { None } else { policies };
    Ok(add_token(state, new_id(), name, kind, policies, global))
}

fn add_token(
    state: &mut State,
    secret_id: String,
    name: String,
    r#type: String,
    policies: Option<Vec<String>>,
    global: bool,
) -> Answer {
    let index = state.next_index(&[Table::Acl]);
    let token = Token {
        accessor_id: new_id(),
        secret_id,
        name,
        r#type,
        policies,
        roles: None,
        global,
        hash: String::new(),
        create_time: rfc3339_now(),
        expiration_time: None,
        create_index: index,
        modify_index: index,
    };
    let answer = Answer::json(json!(token)).at(index);
    state.acl.tokens.insert(token.accessor_id.clone(), token);
    answer
}

pub(super) fn token_self(state: &State, request: &Request) -> Result<Answer, ApiError> {
    if request.token.is_empty() {
        return Ok(Answer::json(json!({
            "AccessorID": "anonymous", "SecretID": "", "Name": "Anonymous Token", "Type": "client",
            "Policies": ["anonymous"], "Roles": null, "Global": false, "Hash": "",
            "CreateTime": "0001-01-01T00:00:00Z", "ExpirationTime": null, "CreateIndex": 0, "ModifyIndex": 0,
        })));
    }
    let found = state.acl.tokens.values().find(|token| token.secret_id == request.token);
    found.map(|token| Answer::json(json!(token)).at(token.modify_index)).ok_or_else(ApiError::denied)
}

pub(super) fn put_policy(state: &mut State, request: &Request, name: &str) -> Result<Answer, ApiError> {
    request.management(state)?;
    let asked = request.json()?;
    let rules = asked["Rules"].as_str().unwrap_or_default().to_owned();
    if let Err(error) = hcl::parse(&rules) {
        return Err(ApiError::new(400, format!("failed to parse rules: {error}")));
    }
    let index = state.next_index(&[Table::Acl]);
    let create_index = state.acl.policies.get(name).map_or(index, |policy| policy.create_index);
    let description = asked["Description"].as_str().unwrap_or_default().to_owned();
    let policy = Policy { name: name.into(), description, rules, create_index, modify_index: index };
    state.acl.policies.insert(name.into(), policy);
    Ok(Answer::empty().at(index))
}

/// Whoever carries a policy may read it.
pub(super) fn get_policy(state: &State, request: &Request, name: &str) -> Result<Answer, ApiError> {
    let token = state.acl.tokens.values().find(|token| token.secret_id == request.token);
    let carries = token.is_some_and(|token| token.policies.iter().flatten().any(|policy| policy == name));
    if !carries {
        request.management(state)?;
    }
    let policy = state.acl.policies.get(name).ok_or_else(|| ApiError::new(404, "ACL policy not found"))?;
    Ok(Answer::json(json!(policy)).at(policy.modify_index))
}
