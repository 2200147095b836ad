//! Runs one allocation: its tasks, their restarts, their end.

mod launch;
mod record;
mod restarts;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use self::restarts::{Next, Restarts};
use super::{
    Agent,
    data::{KeptAlloc, KeptTask},
    raw_exec::{self, Exit, Handle},
};
use crate::{
    go,
    model::{Alloc, ClientStatus, rfc3339_now},
};

/// A running allocation; stopping it is asked for, and reported when it is done.
pub(super) struct Runner {
    stop: watch::Sender<bool>,
    run: Arc<Run>,
}

impl Runner {
    /// `kept` is a new allocation without tasks, or one that an earlier agent had started.
    pub(super) fn spawn(agent: Arc<Agent>, kept: KeptAlloc) -> Self {
        let (stop, stopped) = watch::channel(false);
        let run = Arc::new(Run { agent, alloc: kept.alloc, tasks: Mutex::new(kept.tasks) });
        for task in run.task_plans() {
            tokio::spawn(run.clone().run_task(task.clone(), stopped.clone(), stop.clone()));
        }
        Self { stop, run }
    }

    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    pub(super) fn status(&self) -> ClientStatus {
        self.run.status()
    }

    /// The names of the tasks with their state.
    pub(super) fn tasks(&self) -> Vec<(String, String)> {
        self.run.tasks().iter().map(|(name, kept)| (name.clone(), kept.state.state.clone())).collect()
    }

    pub(super) fn alloc(&self) -> &Alloc {
        &self.run.alloc
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

struct Run {
    agent: Arc<Agent>,
    alloc: Alloc,
    tasks: Mutex<BTreeMap<String, KeptTask>>,
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
    fn task_plans(&self) -> &[Value] {
        self.alloc.group().and_then(|group| group["Tasks"].as_array()).map_or(&[], Vec::as_slice)
    }

    fn tasks(&self) -> MutexGuard<'_, BTreeMap<String, KeptTask>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run_task(
        self: Arc<Self>,
        plan: Value,
        mut stopped: watch::Receiver<bool>,
        stop: watch::Sender<bool>,
    ) {
        let name = plan["Name"].as_str().unwrap_or_default().to_owned();
        let mut restarts = Restarts::of(&plan["RestartPolicy"], self.alloc.job["Type"] == "batch");
        let mut handle = self.attached(&name).await;
        if handle.is_none() {
            self.event(&name, "Received", "Task received by client", json!({}), |_| {});
        }
        loop {
            let ended = self.attempt(&name, &plan, handle.take(), &mut stopped).await;
            if matches!(ended, Ended::Stopped) || *stopped.borrow() {
                return self.finish(&name, false);
            }
            match restarts.next(&ended) {
                Next::Again(delay) => {
                    self.restarting(&name, delay);
                    // Whichever comes first: the delay, or the order to stop.
                    _ = timeout(delay, told(&mut stopped)).await;
                }
                Next::Done => return self.finish(&name, false),
                Next::Failed(reason) => {
                    let details = json!({ "restart_reason": reason, "fails_task": "true" });
                    self.event(&name, "Not Restarting", &reason, details, |_| {});
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
        let kept = self.tasks().get(name).cloned();
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
        let launch = self.launch(name, plan).await?;
        let handle = raw_exec::start(&launch).await?;
        self.event(name, "Started", "Task started by client", json!({}), |task| {
            task.handle = Some(handle.clone());
            task.state.state = "running".into();
            task.state.started_at = Some(rfc3339_now());
        });
        Ok(handle)
    }

    /// The stop signal, then, after the shorter of the two kill timeouts, the hard end.
    async fn kill(&self, name: &str, plan: &Value, handle: &Handle) -> Result<Exit, String> {
        let asked = Duration::from_nanos(plan["KillTimeout"].as_u64().unwrap_or(5_000_000_000));
        let patience = asked.min(self.agent.plan.max_kill_timeout);
        let message = format!("Sent interrupt. Waiting {} before force killing", go::duration_text(patience));
        let details = json!({ "kill_timeout": go::duration_text(patience) });
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
}

/// Returns when the allocation is told to stop.
async fn told(stopped: &mut watch::Receiver<bool>) {
    // The sender is kept by the runner and by each of its tasks.
    _ = stopped.wait_for(|stop| *stop).await;
}
