//! What a task is started with: its folders, its environment, its command.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde_json::Value;

use super::Run;
use crate::client::raw_exec::Launch;

/// What the agent keeps from its tasks when the configuration does not say.
const DENIED_BY_DEFAULT: &str = "CONSUL_TOKEN,CONSUL_HTTP_TOKEN,CONSUL_HTTP_TOKEN_FILE,NOMAD_TOKEN,VAULT_TOKEN,\
    CONSUL_LICENSE,NOMAD_LICENSE,VAULT_LICENSE,CONSUL_LICENSE_PATH,NOMAD_LICENSE_PATH,VAULT_LICENSE_PATH,\
    AWS_ACCESS_KEY_ID,AWS_SECRET_ACCESS_KEY,AWS_SESSION_TOKEN,AWS_METADATA_URL,\
    GOOGLE_APPLICATION_CREDENTIALS,GOOGLE_OAUTH_ACCESS_TOKEN";

impl Run {
    pub(super) async fn launch(&self, name: &str, plan: &Value) -> Result<Launch, String> {
        let root = self.root();
        let task_dir = root.join(name);
        let shared = ["alloc/logs", "alloc/tmp", "alloc/data"].map(|dir| root.join(dir));
        let own = ["local", "secrets", "private", "tmp"].map(|dir| task_dir.join(dir));
        for dir in shared.iter().chain(&own) {
            fs::create_dir_all(dir).map_err(|e| format!("failed to build task directory: {e}"))?;
        }
        let config = &plan["Config"];
        let env = self.environment(name, plan, self.reserved(name).await?);
        let command = config["command"].as_str().ok_or("missing command for raw_exec")?;
        let args = config["args"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let log = &plan["LogConfig"];
        Ok(Launch {
            alloc_id: self.alloc.id.clone(),
            task: name.into(),
            command: interpolated(command, &env),
            args: args.map(|arg| interpolated(arg, &env)).collect(),
            env,
            task_dir,
            log_dir: root.join("alloc").join("logs"),
            max_files: log["MaxFiles"].as_u64().unwrap_or(10),
            max_file_bytes: log["MaxFileSizeMB"].as_u64().unwrap_or(10) << 20,
        })
    }

    /// What its devices add to a task's environment.
    async fn reserved(&self, name: &str) -> Result<BTreeMap<String, String>, String> {
        let given = self.alloc.rest.get("AllocatedResources").map(|given| &given["Tasks"][name]["Devices"]);
        let mut env = BTreeMap::new();
        for device in given.and_then(Value::as_array).into_iter().flatten() {
            let ids = device["DeviceIDs"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let devices = self.agent.devices.as_ref().ok_or("no plugin has its devices")?;
            env.extend(devices.reserve(ids.map(str::to_owned).collect()).await?);
        }
        Ok(env)
    }

    /// The agent's own environment, except what is denied, then Nomad's variables, then the job's, then its devices'.
    fn environment(
        &self,
        name: &str,
        plan: &Value,
        devices: BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let denied = self.agent.plan.options.get("env.denylist").map_or(DENIED_BY_DEFAULT, String::as_str);
        let denied: Vec<&str> = denied.split(',').map(str::trim).collect();
        let mut env: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(key, _)| !denied.contains(&key.as_str()))
            .collect();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let directory = |parts: &[&str]| {
            let path = parts.iter().fold(self.root(), |path, part| path.join(part));
            path.to_string_lossy().into_owned()
        };
        let index = self.alloc.name.rsplit_once('[').map_or("0", |(_, rest)| rest.trim_end_matches(']'));
        env.extend(
            [
                ("NOMAD_ALLOC_ID", self.alloc.id.clone()),
                ("NOMAD_SHORT_ALLOC_ID", self.alloc.id[..8].to_owned()),
                ("NOMAD_ALLOC_NAME", self.alloc.name.clone()),
                ("NOMAD_ALLOC_INDEX", index.to_owned()),
                ("NOMAD_ALLOC_DIR", directory(&["alloc"])),
                ("NOMAD_TASK_DIR", directory(&[name, "local"])),
                ("NOMAD_SECRETS_DIR", directory(&[name, "secrets"])),
                ("NOMAD_JOB_ID", self.alloc.job_id.clone()),
                ("NOMAD_JOB_NAME", text(&self.alloc.job["Name"])),
                ("NOMAD_GROUP_NAME", self.alloc.task_group.clone()),
                ("NOMAD_TASK_NAME", name.to_owned()),
                ("NOMAD_NAMESPACE", self.alloc.namespace.clone()),
                ("NOMAD_REGION", self.agent.config.region.clone()),
                ("NOMAD_DC", self.agent.config.datacenter.clone()),
                ("NOMAD_CPU_LIMIT", plan["Resources"]["CPU"].to_string()),
                ("NOMAD_MEMORY_LIMIT", plan["Resources"]["MemoryMB"].to_string()),
            ]
            .map(|(key, value)| (key.to_owned(), value)),
        );
        for (key, value) in plan["Env"].as_object().into_iter().flatten() {
            let value = interpolated(value.as_str().unwrap_or_default(), &env);
            env.insert(key.clone(), value);
        }
        env.extend(devices);
        env
    }

    fn root(&self) -> PathBuf {
        self.agent.config.data_dir.join("alloc").join(&self.alloc.id)
    }
}

/// `${NOMAD_X}` and the job's own variables, as far as they are known.
fn interpolated(text: &str, env: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        match after.split_once('}') {
            Some((name, after)) if env.contains_key(name) => {
                out.push_str(&env[name]);
                rest = after;
            }
            _ => {
                out.push_str("${");
                rest = after;
            }
        }
    }
    out + rest
}
