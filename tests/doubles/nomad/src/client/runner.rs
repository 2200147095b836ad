//! Runs one allocation: its tasks, their restarts, their end.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    Agent,
    data::{KeptAlloc, KeptTask},
    raw_exec::{self, Exit, Handle, Launch},
};
use crate::{
    model::{Alloc, ClientStatus, rfc3339_now, task_event},
    rpc::AllocUpdate,
};

/// A running allocation; stopping it is asked for, and reported when it is done.
pub(super) struct Runner {
    stop: watch::Sender<bool>,
    run: Arc<Run>,
}

struct Run {
    agent: Arc<Agent>,
    alloc: Alloc,
    tasks: Mutex<BTreeMap<String, KeptTask>>,
}

impl Runner {
    /// `kept` is a new allocation without tasks, or one that an earlier agent had started.
    pub(super) fn spawn(agent: Arc<Agent>, kept: KeptAlloc) -> Self {
        let (stop, stopped) = watch::channel(false);
        let run = Arc::new(Run { agent, alloc: kept.alloc, tasks: Mutex::new(kept.tasks) });
        for task in run.task_plans() {
            tokio::spawn(run.clone().run_task(task, stopped.clone(), stop.clone()));
        }
        Self { stop, run }
    }

    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    pub(super) fn status(&self) -> ClientStatus {
        self.run.status()
    }

    /// Job, group, and the task names with their state.
    pub(super) fn tasks(&self) -> Vec<(String, String)> {
        let tasks = self.run.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.iter().map(|(name, kept)| (name.clone(), kept.state.state.clone())).collect()
    }

    pub(super) fn alloc(&self) -> &Alloc {
        &self.run.alloc
    }
}

/// What ended an attempt to run a task.
enum Ended {
    Exit(Exit),
    /// It never started, or its executor is gone.
    Broken(String),
    /// It was told to stop, and did.
    Stopped,
}

impl Run {
    fn task_plans(&self) -> Vec<Value> {
        let groups = self.alloc.job["TaskGroups"].as_array();
        let group =
            groups.and_then(|groups| groups.iter().find(|g| g["Name"] == self.alloc.task_group.as_str()));
        group.and_then(|group| group["Tasks"].as_array()).cloned().unwrap_or_default()
    }

    async fn run_task(
        self: Arc<Self>,
        plan: Value,
        mut stopped: watch::Receiver<bool>,
        stop: watch::Sender<bool>,
    ) {
        let name = plan["Name"].as_str().unwrap_or_default().to_owned();
        let mut attempts = Attempts::of(&plan["RestartPolicy"], self.alloc.job["Type"] == "batch");
        let mut handle = self.attached(&name).await;
        if handle.is_none() {
            self.event(&name, "Received", "Task received by client", json!({}), |_| {});
        }
        loop {
            let ended = self.attempt(&name, &plan, handle.take(), &mut stopped).await;
            if matches!(ended, Ended::Stopped) || *stopped.borrow() {
                self.finish(&name, false);
                return;
            }
            match attempts.next(&ended) {
                Next::Again(delay) => {
                    let message = format!("Task restarting in {}", go_duration(delay));
                    self.event(
                        &name,
                        "Restarting",
                        &message,
                        json!({ "start_delay": delay.as_nanos().to_string() }),
                        |task| {
                            task.state.state = "pending".into();
                            task.state.restarts += 1;
                            task.state.last_restart = Some(rfc3339_now());
                        },
                    );
                    // Whichever comes first: the delay, or the order to stop.
                    _ = timeout(delay, told(&mut stopped)).await;
                    if *stopped.borrow() {
                        self.finish(&name, false);
                        return;
                    }
                }
                Next::Done => {
                    self.finish(&name, false);
                    return;
                }
                Next::Failed(reason) => {
                    self.event(
                        &name,
                        "Not Restarting",
                        &reason,
                        json!({ "restart_reason": reason, "fails_task": "true" }),
                        |_| {},
                    );
                    self.finish(&name, true);
                    // One failed task takes its siblings with it.
                    stop.send_replace(true);
                    return;
                }
            }
        }
    }

    /// The task of an earlier agent, if its executor still answers.
    async fn attached(&self, name: &str) -> Option<Handle> {
        let kept = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        let handle = kept.and_then(|task| task.handle)?;
        raw_exec::is_alive(&handle).await.then_some(handle)
    }

    async fn attempt(
        &self,
        name: &str,
        plan: &Value,
        attached: Option<Handle>,
        stopped: &mut watch::Receiver<bool>,
    ) -> Ended {
        let handle = match attached {
            Some(handle) => handle,
            None if *stopped.borrow() => return Ended::Stopped,
            None => match self.start(name, plan).await {
                Ok(handle) => handle,
                Err(reason) => {
                    self.event(name, "Driver Failure", &reason, json!({ "driver_error": reason }), |_| {});
                    return Ended::Broken(reason);
                }
            },
        };
        let exit = tokio::select! {
            exit = raw_exec::wait(&handle) => exit.map(|exit| (exit, false)),
            () = told(stopped) => self.kill(name, plan, &handle).await.map(|exit| (exit, true)),
        };
        let ended = match exit {
            Ok((exit, killed)) => {
                raw_exec::finish(&handle).await;
                self.terminated(name, exit);
                if killed {
                    self.event(name, "Killed", "Task successfully killed", json!({}), |_| {});
                    Ended::Stopped
                } else {
                    Ended::Exit(exit)
                }
            }
            Err(reason) => {
                raw_exec::end_logmon(&handle).await;
                Ended::Broken(reason)
            }
        };
        self.change(name, |task| task.handle = None);
        ended
    }

    async fn start(&self, name: &str, plan: &Value) -> Result<Handle, String> {
        let message = "Building Task Directory";
        self.event(name, "Task Setup", message, json!({ "message": message }), |task| {
            task.state.state = "pending".into();
        });
        let launch = self.launch(name, plan)?;
        let handle = raw_exec::start(&launch).await?;
        self.event(name, "Started", "Task started by client", json!({}), |task| {
            task.handle = Some(handle.clone());
            task.state.state = "running".into();
            task.state.started_at = Some(rfc3339_now());
        });
        Ok(handle)
    }

    fn launch(&self, name: &str, plan: &Value) -> Result<Launch, String> {
        let root = self.root();
        let task_dir = root.join(name);
        for dir in ["alloc/logs", "alloc/tmp", "alloc/data"] {
            fs::create_dir_all(root.join(dir)).map_err(|e| format!("failed to build task directory: {e}"))?;
        }
        for dir in ["local", "secrets", "private", "tmp"] {
            fs::create_dir_all(task_dir.join(dir))
                .map_err(|e| format!("failed to build task directory: {e}"))?;
        }
        let config = &plan["Config"];
        let env = self.environment(name, plan);
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

    /// The agent's own environment, except what is denied, then Nomad's variables, then the job's.
    fn environment(&self, name: &str, plan: &Value) -> BTreeMap<String, String> {
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
        env
    }

    /// The stop signal, then, after the shorter of the two kill timeouts, the hard end.
    async fn kill(&self, name: &str, plan: &Value, handle: &Handle) -> Result<Exit, String> {
        let asked = Duration::from_nanos(plan["KillTimeout"].as_u64().unwrap_or(5_000_000_000));
        let patience = asked.min(self.agent.plan.max_kill_timeout);
        let message = format!("Sent interrupt. Waiting {} before force killing", go_duration(patience));
        let details = json!({ "kill_timeout": go_duration(patience) });
        self.event(name, "Killing", &message, details, |_| {});
        let signal = plan["KillSignal"].as_str().filter(|signal| !signal.is_empty()).unwrap_or("SIGINT");
        raw_exec::signal(handle, signal).await;
        match timeout(patience, raw_exec::wait(handle)).await {
            Ok(exit) => exit,
            Err(_) => {
                raw_exec::signal(handle, "SIGKILL").await;
                raw_exec::wait(handle).await
            }
        }
    }

    fn terminated(&self, name: &str, exit: Exit) {
        let message = if exit.signal == 0 {
            format!("Exit Code: {}", exit.code)
        } else {
            format!("Exit Code: {}, Signal: {}", exit.code, exit.signal)
        };
        let details = json!({
            "exit_code": exit.code.to_string(), "signal": exit.signal.to_string(), "oom_killed": "false",
        });
        let mut event = task_event("Terminated", &message, details);
        event["ExitCode"] = json!(exit.code);
        event["Signal"] = json!(exit.signal);
        self.add_event(name, event, |_| {});
    }

    fn finish(&self, name: &str, failed: bool) {
        self.change(name, |task| {
            task.state.state = "dead".into();
            task.state.failed = failed;
            task.state.finished_at = Some(rfc3339_now());
            task.handle = None;
        });
        if self.status().is_terminal() {
            self.agent.log.info(
                "client.gc",
                "marking allocation for GC",
                json!({ "alloc_id": self.alloc.id }),
            );
        }
    }

    fn event(
        &self,
        name: &str,
        kind: &str,
        message: &str,
        details: Value,
        change: impl FnOnce(&mut KeptTask),
    ) {
        self.add_event(name, task_event(kind, message, details), change);
    }

    fn add_event(&self, name: &str, event: Value, change: impl FnOnce(&mut KeptTask)) {
        self.agent.log.info(
            "client.alloc_runner.task_runner",
            "Task event",
            json!({
                "alloc_id": self.alloc.id, "failed": false, "msg": event["DisplayMessage"], "task": name,
                "type": event["Type"],
            }),
        );
        self.change(name, |task| {
            task.state.events.push(event);
            let too_many = task.state.events.len().saturating_sub(10);
            task.state.events.drain(..too_many);
            change(task);
        });
    }

    /// Changes a task's record, keeps it, and reports it to the servers.
    fn change(&self, name: &str, change: impl FnOnce(&mut KeptTask)) {
        let tasks = {
            let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            let task = tasks.entry(name.to_owned()).or_default();
            if task.state.state.is_empty() {
                task.state.state = "pending".into();
            }
            change(task);
            tasks.clone()
        };
        let client_status = self.status();
        let client_description = match client_status {
            ClientStatus::Pending => "No tasks have started",
            ClientStatus::Running => "Tasks are running",
            ClientStatus::Complete => "All tasks have completed",
            ClientStatus::Failed => "Failed tasks",
            ClientStatus::Lost => "",
        };
        let task_states = tasks.iter().map(|(name, task)| (name.clone(), task.state.clone())).collect();
        self.agent.data.keep_alloc(&KeptAlloc { alloc: self.alloc.clone(), tasks });
        // The receiver lives as long as the agent.
        _ = self.agent.updates.send(AllocUpdate {
            id: self.alloc.id.clone(),
            client_status,
            client_description: client_description.into(),
            task_states,
        });
    }

    fn status(&self) -> ClientStatus {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let all_known = tasks.len() >= self.task_plans().len();
        let is = |state: &'static str| move |task: &KeptTask| task.state.state == state;
        if all_known && tasks.values().all(is("dead")) {
            if tasks.values().any(|task| task.state.failed) {
                ClientStatus::Failed
            } else {
                ClientStatus::Complete
            }
        } else if tasks.values().any(is("running")) {
            ClientStatus::Running
        } else {
            ClientStatus::Pending
        }
    }

    fn root(&self) -> PathBuf {
        self.agent.config.data_dir.join("alloc").join(&self.alloc.id)
    }
}

/// Returns when the allocation is told to stop.
async fn told(stopped: &mut watch::Receiver<bool>) {
    // The sender is kept by the runner and by each of its tasks.
    _ = stopped.wait_for(|stop| *stop).await;
}

/// What the agent keeps from its tasks when the configuration does not say.
const DENIED_BY_DEFAULT: &str = "CONSUL_TOKEN,CONSUL_HTTP_TOKEN,CONSUL_HTTP_TOKEN_FILE,NOMAD_TOKEN,VAULT_TOKEN,\
    CONSUL_LICENSE,NOMAD_LICENSE,VAULT_LICENSE,CONSUL_LICENSE_PATH,NOMAD_LICENSE_PATH,VAULT_LICENSE_PATH,\
    AWS_ACCESS_KEY_ID,AWS_SECRET_ACCESS_KEY,AWS_SESSION_TOKEN,AWS_METADATA_URL,\
    GOOGLE_APPLICATION_CREDENTIALS,GOOGLE_OAUTH_ACCESS_TOKEN";

struct Attempts {
    left: u64,
    allowed: u64,
    delay: Duration,
    interval: Duration,
    batch: bool,
}

enum Next {
    Again(Duration),
    Done,
    Failed(String),
}

impl Attempts {
    fn of(policy: &Value, batch: bool) -> Self {
        let nanos = |name: &str| Duration::from_nanos(policy[name].as_u64().unwrap_or_default());
        let allowed = policy["Attempts"].as_u64().unwrap_or_default();
        Self { left: allowed, allowed, delay: nanos("Delay"), interval: nanos("Interval"), batch }
    }

    fn next(&mut self, ended: &Ended) -> Next {
        if self.batch && matches!(ended, Ended::Exit(Exit { code: 0, .. })) {
            return Next::Done;
        }
        if self.left == 0 {
            let (allowed, interval) = (self.allowed, go_duration(self.interval));
            let reason = match ended {
                Ended::Broken(reason) if self.allowed == 0 => reason.clone(),
                Ended::Broken(_) | Ended::Exit(_) | Ended::Stopped => {
                    format!("Exceeded allowed attempts {allowed} in interval {interval} and mode is \"fail\"")
                }
            };
            return Next::Failed(reason);
        }
        self.left -= 1;
        Next::Again(self.delay.mul_f64(1.0 + rand::random::<f64>() / 4.0))
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

fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, duration.as_secs_f64() % 60.0) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s}s"),
        (h, m, s) => format!("{h}h{m}m{s}s"),
    }
}

/// True once nothing of these allocations runs any more.
pub(super) async fn all_ended(agent: &Agent, limit: Duration) -> bool {
    let ended = async {
        while agent.runners().values().any(|runner| !runner.status().is_terminal()) {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(limit, ended).await.is_ok()
}
