//! Jobs: submitting, reading, stopping.

use serde_json::{Map, Value, json};

use super::{
    answer::{Answer, ApiError},
    request::Request,
    schedule,
    store::{State, Table},
};
use crate::model::unix_nanos;

pub(super) const NAMESPACE: &str = "default";

pub(super) fn put(state: &mut State, request: &Request, region: &str) -> Result<Answer, ApiError> {
    let asked = request.json()?;
    permitted(state, request, "submit-job")?;
    let job = &asked["Job"];
    let id = job["ID"].as_str().unwrap_or_default().to_owned();
    if !job.is_object() || id.is_empty() {
        return Err(ApiError::new(400, "Job must be specified"));
    }
    let mut job = canonical(job.clone(), region);
    if let Some(problem) = problem(&job) {
        return Err(ApiError::new(500, format!("1 error occurred:\n\t* {problem}\n\n")));
    }
    let index = state.next_index(&[Table::Jobs, Table::Evals]);
    let before = state.jobs.get(&id);
    let version = before.and_then(|job| job["Version"].as_u64()).map_or(0, |version| version + 1);
    job["CreateIndex"] = before.map_or(json!(index), |job| job["CreateIndex"].clone());
    job["JobModifyIndex"] = json!(index);
    job["ModifyIndex"] = json!(index);
    job["Version"] = json!(version);
    job["SubmitTime"] = json!(unix_nanos());
    state.jobs.insert(id.clone(), job);
    if version > 0 {
        schedule::replace_old_versions(state, &id);
    }
    let eval = schedule::evaluate(state, &id, "job-register");
    Ok(Answer::json(json!({
        "EvalCreateIndex": index, "EvalID": eval, "Index": index, "JobModifyIndex": index,
        "KnownLeader": false, "LastContact": 0, "NextToken": "", "Warnings": "",
    }))
    .at(index))
}

pub(super) fn list(state: &State, request: &Request) -> Result<Answer, ApiError> {
    permitted(state, request, "list-jobs")?;
    let stub = |job: &Value| {
        let fields = [
            "CreateIndex",
            "Datacenters",
            "ID",
            "JobModifyIndex",
            "ModifyIndex",
            "Name",
            "Namespace",
            "NodePool",
            "Priority",
            "Status",
            "StatusDescription",
            "Stop",
            "SubmitTime",
            "Type",
            "Version",
        ];
        let pairs = fields.iter().map(|name| ((*name).to_owned(), job[*name].clone()));
        Value::Object(pairs.collect())
    };
    let found: Vec<Value> = state.jobs.values().map(stub).collect();
    Ok(Answer::json(json!(found)).at(state.table_index(Table::Jobs)))
}

pub(super) fn read(state: &State, request: &Request, id: &str) -> Result<Answer, ApiError> {
    permitted(state, request, "read-job")?;
    let job = state.jobs.get(id).ok_or_else(|| ApiError::new(404, "job not found"))?;
    Ok(Answer::json(job.clone()).at(job["ModifyIndex"].as_u64().unwrap_or(1)))
}

pub(super) fn evaluations(state: &State, request: &Request, id: &str) -> Result<Answer, ApiError> {
    permitted(state, request, "read-job")?;
    let mut found: Vec<_> = state.evals.values().filter(|eval| eval.job_id == id).collect();
    found.sort_by_key(|eval| std::cmp::Reverse(eval.create_index));
    Ok(Answer::json(json!(found)).at(state.table_index(Table::Evals)))
}

pub(super) fn evaluation(state: &State, request: &Request, id: &str) -> Result<Answer, ApiError> {
    permitted(state, request, "read-job")?;
    let eval = state.evals.get(id).ok_or_else(|| ApiError::new(404, "eval not found"))?;
    Ok(Answer::json(json!(eval)).at(eval.modify_index))
}

pub(super) fn delete(state: &mut State, request: &Request, id: &str) -> Result<Answer, ApiError> {
    permitted(state, request, "submit-job")?;
    let purge = request.query("purge") == Some("true");
    let index = state.next_index(&[Table::Jobs, Table::Evals]);
    let mut eval = String::new();
    if let Some(job) = state.jobs.get_mut(id) {
        job["Stop"] = json!(true);
        job["ModifyIndex"] = json!(index);
        eval = schedule::evaluate(state, id, "job-deregister");
        if purge {
            state.jobs.remove(id);
        }
    }
    Ok(Answer::json(json!({
        "EvalCreateIndex": index, "EvalID": eval, "Index": index, "JobModifyIndex": index,
        "KnownLeader": false, "LastContact": 0, "NextToken": "", "VolumeEvalID": "", "VolumeEvalIndex": 0,
    }))
    .at(index))
}

fn permitted(state: &State, request: &Request, capability: &str) -> Result<(), ApiError> {
    if request.grants(state)?.namespace(NAMESPACE, capability) { Ok(()) } else { Err(ApiError::denied()) }
}

fn problem(job: &Value) -> Option<String> {
    let groups = job["TaskGroups"].as_array().filter(|groups| !groups.is_empty());
    let Some(groups) = groups else { return Some("Missing job task groups".into()) };
    for group in groups {
        let tasks = group["Tasks"].as_array().filter(|tasks| !tasks.is_empty());
        let Some(tasks) = tasks else {
            return Some(format!(
                "Task group {} validation failed: Missing tasks for task group",
                group["Name"]
            ));
        };
        if let Some(task) = tasks.iter().find(|task| task["Driver"].as_str().is_none_or(str::is_empty)) {
            return Some(format!(
                "Task group {} validation failed: Task {} validation failed: Missing task driver",
                group["Name"], task["Name"]
            ));
        }
    }
    None
}

/// The job with every field that it did not name, as Nomad would store it.
fn canonical(job: Value, region: &str) -> Value {
    let batch = job["Type"] == "batch";
    let mut job = filled(job, job_defaults(region));
    if job["Name"] == "" {
        job["Name"] = job["ID"].clone();
    }
    for group in job["TaskGroups"].as_array_mut().into_iter().flatten() {
        *group = filled(group.take(), group_defaults(batch));
        let restart = group["RestartPolicy"].clone();
        for task in group["Tasks"].as_array_mut().into_iter().flatten() {
            *task = filled(task.take(), task_defaults(&restart));
        }
    }
    job
}

/// Objects are filled field by field; whatever was given and is not null stays.
fn filled(given: Value, defaults: Value) -> Value {
    match (given, defaults) {
        (Value::Object(given), Value::Object(mut defaults)) => {
            for (key, value) in given {
                let default = defaults.remove(&key).unwrap_or(Value::Null);
                defaults.insert(key, filled(value, default));
            }
            Value::Object(defaults)
        }
        (Value::Null, defaults) => defaults,
        (given, _) => given,
    }
}

fn job_defaults(region: &str) -> Value {
    let mut job = nulls(&[
        "Affinities",
        "Constraints",
        "Meta",
        "Multiregion",
        "ParameterizedJob",
        "Payload",
        "Periodic",
        "Spreads",
        "UI",
        "VersionTag",
    ]);
    job.extend(fields(json!({
        "AllAtOnce": false, "ConsulNamespace": "", "CreateIndex": 0, "Datacenters": ["*"],
        "DispatchIdempotencyToken": "", "Dispatched": false, "ID": "", "JobModifyIndex": 0, "ModifyIndex": 0,
        "Name": "", "Namespace": NAMESPACE, "NodePool": "default", "NomadTokenID": "", "ParentID": "",
        "Priority": 50, "Region": region, "Stable": false, "Status": "pending", "StatusDescription": "",
        "Stop": false, "SubmitTime": 0, "TaskGroups": null, "Type": "service", "VaultNamespace": "", "Version": 0,
        "Update": {
            "AutoPromote": false, "AutoRevert": false, "Canary": 0, "HealthCheck": "", "HealthyDeadline": 0,
            "MaxParallel": 1, "MinHealthyTime": 0, "ProgressDeadline": 0, "Stagger": 30_000_000_000_u64,
        },
    })));
    Value::Object(job)
}

#[expect(clippy::too_many_lines, reason = "one list of defaults")]
fn group_defaults(batch: bool) -> Value {
    let mut group = nulls(&[
        "Affinities",
        "Constraints",
        "Consul",
        "Disconnect",
        "MaxClientDisconnect",
        "MaxRunDuration",
        "Meta",
        "Networks",
        "Scaling",
        "Services",
        "ShutdownDelay",
        "Spreads",
        "StopAfterClientDisconnect",
        "Volumes",
    ]);
    let (attempts, interval) = if batch { (3, 86_400_000_000_000_u64) } else { (2, 1_800_000_000_000) };
    let reschedule = if batch {
        json!({
            "Attempts": 1, "Delay": 5_000_000_000_u64, "DelayFunction": "constant",
            "Interval": 86_400_000_000_000_u64, "MaxDelay": 0, "Unlimited": false,
        })
    } else {
        json!({
            "Attempts": 0, "Delay": 30_000_000_000_u64, "DelayFunction": "exponential", "Interval": 0,
            "MaxDelay": 3_600_000_000_000_u64, "Unlimited": true,
        })
    };
    group.extend(fields(json!({
        "Count": 1, "EphemeralDisk": { "Migrate": false, "SizeMB": 300, "Sticky": false }, "Name": "",
        "PreventRescheduleOnLost": false, "ReschedulePolicy": reschedule, "Tasks": null,
        "RestartPolicy": {
            "Attempts": attempts, "Delay": 15_000_000_000_u64, "Interval": interval, "Mode": "fail",
            "RenderTemplates": false,
        },
    })));
    if !batch {
        group.extend(fields(json!({
            "Migrate": {
                "HealthCheck": "checks", "HealthyDeadline": 300_000_000_000_u64, "MaxParallel": 1,
                "MinHealthyTime": 10_000_000_000_u64,
            },
            "Update": {
                "AutoPromote": false, "AutoRevert": false, "Canary": 0, "HealthCheck": "checks",
                "HealthyDeadline": 300_000_000_000_u64, "MaxParallel": 1, "MinHealthyTime": 10_000_000_000_u64,
                "ProgressDeadline": 600_000_000_000_u64, "Stagger": 30_000_000_000_u64,
            },
        })));
    }
    Value::Object(group)
}

fn task_defaults(restart: &Value) -> Value {
    let mut task = nulls(&[
        "Actions",
        "Affinities",
        "Artifacts",
        "CSIPluginConfig",
        "Config",
        "Constraints",
        "Consul",
        "DispatchPayload",
        "Env",
        "Identities",
        "Lifecycle",
        "Meta",
        "ScalingPolicies",
        "Schedule",
        "Secrets",
        "Services",
        "Templates",
        "Vault",
        "VolumeMounts",
    ]);
    task.extend(fields(json!({
        "Driver": "", "KillSignal": "", "KillTimeout": 5_000_000_000_u64, "Kind": "", "Leader": false, "Name": "",
        "RestartPolicy": restart, "ShutdownDelay": 0, "User": "",
        "Identity": {
            "Audience": ["nomadproject.io"], "ChangeMode": "", "ChangeSignal": "", "Env": false,
            "ExtraClaims": null, "File": false, "Filepath": "", "Name": "default", "ServiceName": "", "TTL": 0,
        },
        "LogConfig": { "Disabled": false, "MaxFileSizeMB": 10, "MaxFiles": 10 },
        "Resources": {
            "CPU": 100, "Cores": 0, "Devices": null, "DiskMB": 0, "IOPS": 0, "MemoryMB": 300, "MemoryMaxMB": 0,
            "NUMA": null, "Networks": null, "SecretsMB": 0,
        },
    })));
    Value::Object(task)
}

fn nulls(names: &[&str]) -> Map<String, Value> {
    names.iter().map(|name| ((*name).to_owned(), Value::Null)).collect()
}

fn fields(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}
