//! What the bearer of a token may do, by the policies that it carries.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::hcl::{self, Item};

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Acl {
    pub(super) bootstrapped: Option<u64>,
    pub(super) tokens: BTreeMap<String, Token>,
    pub(super) policies: BTreeMap<String, Policy>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Token {
    #[serde(rename = "AccessorID")]
    pub(super) accessor_id: String,
    #[serde(rename = "SecretID")]
    pub(super) secret_id: String,
    pub(super) name: String,
    pub(super) r#type: String,
    pub(super) policies: Option<Vec<String>>,
    pub(super) roles: Option<Vec<Value>>,
    pub(super) global: bool,
    pub(super) hash: String,
    pub(super) create_time: String,
    pub(super) expiration_time: Option<String>,
    pub(super) create_index: u64,
    pub(super) modify_index: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Policy {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) rules: String,
    pub(super) create_index: u64,
    pub(super) modify_index: u64,
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

impl Acl {
    /// `None` for a token that does not exist; no token at all is the anonymous one, with no rights.
    pub(crate) fn grants(&self, secret: &str) -> Option<Grants> {
        if secret.is_empty() {
            return Some(Grants { accessor: "anonymous".into(), ..Grants::default() });
        }
        let token = self.tokens.values().find(|token| token.secret_id == secret)?;
        let mut grants = Grants {
            management: token.r#type == "management",
            accessor: token.accessor_id.clone(),
            ..Grants::default()
        };
        for name in token.policies.iter().flatten() {
            if let Some(rules) = self.policies.get(name).and_then(|policy| hcl::parse(&policy.rules).ok()) {
                grants.add(&rules);
            }
        }
        Some(grants)
    }
}
