//! The requests about tokens and policies.

use serde_json::json;

use super::{
    answer::{Answer, ApiError},
    grants::{Policy, Token},
    request::Request,
    store::{State, Table},
};
use crate::{
    hcl,
    model::{new_id, rfc3339_now},
};

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
