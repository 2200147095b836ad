//! What is known of an allocation's tasks: kept on disk, told to the servers, said in the log.

use std::time::Duration;

use serde_json::{Value, json};

use super::Run;
use crate::{
    client::{
        data::{KeptAlloc, KeptTask},
        raw_exec::Exit,
    },
    go,
    model::{ClientStatus, rfc3339_now, task_event},
    rpc::AllocUpdate,
};

impl Run {
    pub(super) fn status(&self) -> ClientStatus {
        let tasks = self.tasks();
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

    pub(super) fn event(
        &self,
        name: &str,
        kind: &str,
        message: &str,
        details: Value,
        change: impl FnOnce(&mut KeptTask),
    ) {
        self.add_event(name, task_event(kind, message, details), change);
    }

    pub(super) fn restarting(&self, name: &str, delay: Duration) {
        let message = format!("Task restarting in {}", go::duration_text(delay));
        let details = json!({ "start_delay": delay.as_nanos().to_string() });
        self.event(name, "Restarting", &message, details, |task| {
            task.state.state = "pending".into();
            task.state.restarts += 1;
            task.state.last_restart = Some(rfc3339_now());
        });
    }

    pub(super) fn terminated(&self, name: &str, exit: Exit) {
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

    pub(super) fn finish(&self, name: &str, failed: bool) {
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

    /// Changes a task's record, keeps it, and reports it to the servers.
    pub(super) fn change(&self, name: &str, change: impl FnOnce(&mut KeptTask)) {
        let tasks = {
            let mut tasks = self.tasks();
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
}
