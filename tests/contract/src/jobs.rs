//! Jobs to submit, as JSON.

use serde_json::{Value, json};

/// A `raw_exec` job whose one task `t` runs this shell script, on the named node only.
pub fn shell(id: &str, kind: &str, node: &str, script: &str) -> Value {
    json!({
        "ID": id, "Name": id, "Type": kind, "Region": "eu", "Datacenters": ["home"], "NodePool": "gamers",
        "Constraints": [{ "LTarget": "${meta.ionet.host}", "Operand": "=", "RTarget": node }],
        "TaskGroups": [{
            "Name": "g", "Count": 1,
            "RestartPolicy": { "Attempts": 0, "Delay": 15_000_000_000_u64, "Interval": 1_800_000_000_000_u64, "Mode": "fail" },
            "EphemeralDisk": { "SizeMB": 10 },
            "Tasks": [{
                "Name": "t", "Driver": "raw_exec", "Env": { "MARK": "x" },
                "Config": { "command": "/bin/sh", "args": ["-c", script] },
                "KillTimeout": 5_000_000_000_u64,
                "Resources": { "CPU": 50, "MemoryMB": 32 },
                "LogConfig": { "MaxFiles": 2, "MaxFileSizeMB": 1 },
            }],
        }],
    })
}

/// A service that prints a line now and then and ends on its signal.
pub fn loop_service(id: &str, node: &str) -> Value {
    shell(id, "service", node, "echo $$ > pid; i=0; while true; do i=$((i+1)); echo line $i; sleep 0.2; done")
}

/// A service that ignores every signal it can.
pub fn stubborn_service(id: &str, node: &str) -> Value {
    shell(id, "service", node, "trap '' INT TERM; echo $$ > pid; while true; do sleep 0.1; done")
}

/// A batch job that is done at once.
pub fn short_batch(id: &str, node: &str) -> Value {
    shell(id, "batch", node, "echo done")
}
