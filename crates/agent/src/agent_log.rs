//! What the agent prints, without the words of its jobs. Its lines name tasks, images, command lines, addresses of
//! artifacts, and errors that quote any of them; those are the customers'. What is said about a job is reduced to what
//! happened to which allocation.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// A line as it may be kept. Text that is no JSON is printed before any job is known, or by the runtime as it breaks
/// down.
pub(crate) fn without_words(line: &str) -> Cow<'_, str> {
    let Ok(Value::Object(fields)) = serde_json::from_str(line) else { return Cow::Borrowed(line) };
    if is_about_a_job(&fields) {
        let kept = fields.into_iter().filter_map(|(name, value)| Some((name.clone(), kept(&name, value)?)));
        Cow::Owned(Value::Object(kept.collect()).to_string())
    } else {
        Cow::Borrowed(line)
    }
}

/// The allocation that has ended for good, if the line says so.
pub(crate) fn ended(line: &str) -> Option<String> {
    let said = line.contains("marking allocation for GC").then(|| serde_json::from_str(line).ok())?;
    let fields: Map<String, Value> = said?;
    let about = fields.get("@module")?.as_str()? == "client.gc";
    about.then(|| fields.get("alloc_id")?.as_str().map(ToOwned::to_owned))?
}

/// Where nothing of a job is spoken of, as long as the line names none of it.
const OWN_MODULES: [&str; 11] = [
    "agent",
    "http",
    "client",
    "client.rpc",
    "client.gc",
    "client.server_mgr",
    "client.fingerprint_mgr",
    "client.plugin",
    "client.proclib",
    "client.partitions",
    "client.device_mgr",
];

const ABOUT_A_JOB: [&str; 9] =
    ["alloc_id", "alloc", "task", "task_id", "job", "job_id", "task_name", "container_id", "driver_cfg"];

fn is_about_a_job(fields: &Map<String, Value>) -> bool {
    let module = fields.get("@module").and_then(Value::as_str).unwrap_or_default();
    let own = OWN_MODULES.iter().any(|own| {
        // A module's parts are its own; the drivers', which speak of jobs, are parts of another.
        module == *own
            || module.strip_prefix(own).is_some_and(|rest| rest.starts_with('.') && *own != "client")
    });
    let message = fields.get("@message").and_then(Value::as_str).unwrap_or_default();
    // What renders templates speaks as the agent itself, and begins so.
    let of_a_template = message.starts_with('(') || message.contains("/alloc/");
    !own || of_a_template || ABOUT_A_JOB.iter().any(|name| fields.contains_key(*name))
}

/// What is left of a line about a job.
fn kept(name: &str, value: Value) -> Option<Value> {
    match name {
        "@level" | "@module" | "@timestamp" | "alloc_id" | "container_id" | "failed" | "type"
        | "exit_code" | "signal" | "pid" | "attempt" | "attempts" | "delay" | "backoff" => {
            let word = value.as_str().is_none_or(is_a_plain_word);
            word.then_some(value)
        }
        "@message" if value.as_str().is_some_and(is_known) => Some(value),
        "@message" => Some(Value::from("(about a job)")),
        _ => None,
    }
}

/// Ids, numbers, times, and the kinds of a task's events, which are two or three words of Nomad's.
fn is_a_plain_word(text: &str) -> bool {
    text.len() <= 64 && text.chars().all(|letter| letter.is_ascii_alphanumeric() || " -_.:+".contains(letter))
}

/// Messages of Nomad's own that tell what happened. Others may be made of a job's words.
const KNOWN: [&str; 24] = [
    "Task event",
    "marking allocation for GC",
    "garbage collecting allocation",
    "alloc garbage collected",
    "starting task",
    "created container",
    "started container",
    "stopped container",
    "purged container",
    "OOM Killed",
    "failed to create container",
    "failed to create container configuration",
    "failed to start container",
    "failed to stop container",
    "failed pulling container",
    "image pull aborted due to inactivity",
    "failed to kill task",
    "failed to kill task. Resources may have been leaked",
    "not restarting task",
    "restarting task",
    "running driver failed",
    "prestart failed",
    "prerun failed",
    "error adding alloc",
];

fn is_known(message: &str) -> bool {
    KNOWN.contains(&message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(line: &str) -> Map<String, Value> {
        serde_json::from_str(&without_words(line)).unwrap()
    }

    /// As a driver and a task runner print them, with a word in every place that a job's specification reaches.
    #[test]
    fn of_a_line_about_a_job_no_word_of_the_job_is_kept() {
        let lines = [
            r#"{"@level":"info","@message":"starting task","@module":"client.driver_mgr.raw_exec","@timestamp":"t","driver":"raw_exec","driver_cfg":"{Command:/bin/word1 Args:[word2]}"}"#,
            r#"{"@level":"error","@message":"running driver failed","@module":"client.alloc_runner.task_runner","@timestamp":"t","alloc_id":"fedbb3b1-dae0-a47b-538b-62dec51212a9","error":"rpc error: fork/exec /word3: no such file","task":"word4"}"#,
            r#"{"@level":"info","@message":"Task event","@module":"client.alloc_runner.task_runner","@timestamp":"t","alloc_id":"fedbb3b1-dae0-a47b-538b-62dec51212a9","failed":true,"msg":"Template failed: word5","task":"word6","type":"Template"}"#,
            r#"{"@level":"error","@message":"failed to download artifact word7","@module":"client.alloc_runner.task_runner.artifact","@timestamp":"t","error":"GET https://user:word8@example.test/word9"}"#,
            r#"{"@level":"error","@message":"error adding alloc","@module":"client","@timestamp":"t","alloc_id":"fedbb3b1-dae0-a47b-538b-62dec51212a9","error":"word10"}"#,
            r#"{"@level":"error","@message":"word11 word12","@module":"some.plugin","@timestamp":"t","path":"/x/word13","type":"word14=/x"}"#,
            r#"{"@level":"error","@message":"failed pulling container","@module":"client.driver_mgr.docker","driver":"docker","image_ref":"registry/word15:word16","error":"word17"}"#,
        ];

        for line in lines {
            let kept = without_words(line);
            assert!(!kept.contains("word"), "{kept}");
            assert!(fields(line).contains_key("@module"), "{kept}");
        }
        assert_eq!(fields(lines[2])["type"], "Template");
        assert_eq!(fields(lines[1])["alloc_id"], "fedbb3b1-dae0-a47b-538b-62dec51212a9");
    }

    #[test]
    fn what_the_agent_says_of_itself_is_kept_as_it_is() {
        let own = [
            r#"{"@level":"error","@message":"error registering","@module":"client","error":"rpc error: Permission denied"}"#,
            r#"{"@level":"info","@message":"node registration complete","@module":"client"}"#,
            "==> Error loading configuration from agent.hcl",
        ];

        for line in own {
            assert_eq!(without_words(line), line);
        }
    }

    /// From a real agent, with a word in each name, command, argument, variable, template and artifact of a job.
    #[test]
    fn of_a_real_agents_lines_no_planted_word_is_kept() {
        let lines = include_str!("../tests/agent_job_lines.ndjson");

        for line in lines.lines() {
            assert!(line.contains("planted"));
            assert!(!without_words(line).contains("planted"), "{line}");
        }
        assert_eq!(lines.lines().count(), 13);
    }

    #[test]
    fn what_has_ended_is_heard() {
        let line = r#"{"@level":"info","@message":"marking allocation for GC","@module":"client.gc","@timestamp":"2026-11-26T16:11:44.348968Z","alloc_id":"fedbb3b1-dae0-a47b-538b-62dec51212a9"}"#;

        assert_eq!(ended(line).as_deref(), Some("fedbb3b1-dae0-a47b-538b-62dec51212a9"));
        assert_eq!(ended(r#"{"@message":"marking allocation for GC","@module":"x","alloc_id":"y"}"#), None);
    }
}
