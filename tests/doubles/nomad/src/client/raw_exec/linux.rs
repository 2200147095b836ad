//! The agent's side: starts the two helper processes and speaks with the executor over its socket.

use std::{
    process::{ExitCode, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    process::{Child, Command},
    time::timeout,
};

use super::{
    Exit, Handle, Launch,
    executor::{self, Ask, Told},
    logmon,
};

pub(crate) const DETECTED: bool = true;

/// Marks the helper processes, as the real ones are marked.
const COOKIE: &str = "NOMAD_PLUGIN_MAGIC_COOKIE";

/// Runs this process as a helper if it was started as one.
pub(crate) fn plugin(args: &[String]) -> Option<ExitCode> {
    match args {
        [word, config] if word == "executor" => Some(executor::run(config)),
        [word] if word == "logmon" => Some(logmon::run()),
        _ => None,
    }
}

pub(crate) async fn start(launch: &Launch) -> Result<Handle, String> {
    let logmon = start_logmon(launch).await?;
    let handle = start_executor(launch, logmon).await;
    if handle.is_err() {
        terminate(logmon);
    }
    handle
}

async fn start_executor(launch: &Launch, logmon_pid: u32) -> Result<Handle, String> {
    let config = serde_json::json!({
        "LogFile": launch.task_dir.join("executor.out"), "LogLevel": "info", "FSIsolation": false,
        "Compute": { "tc": 0, "nc": 0 },
    });
    let mut child = helper(&["executor", &config.to_string()], Stdio::null())?;
    let socket = first_line(&mut child).await?;
    let executor_pid = child.id().unwrap_or_default();
    reap(child);
    match ask(socket.as_ref(), &Ask::Launch(Box::new(launch.clone()))).await? {
        Told::Started { pid } => Ok(Handle { socket: socket.into(), executor_pid, logmon_pid, pid }),
        Told::Failed { reason } => {
            terminate(executor_pid);
            Err(reason)
        }
        Told::Ended(_) | Told::Done => Err("the executor did not start the task".into()),
    }
}

/// True when the executor of a task that was started earlier still answers.
pub(crate) async fn is_alive(handle: &Handle) -> bool {
    UnixStream::connect(&handle.socket).await.is_ok()
}

pub(crate) async fn wait(handle: &Handle) -> Result<Exit, String> {
    match ask(&handle.socket, &Ask::Wait).await? {
        Told::Ended(exit) => Ok(exit),
        Told::Started { .. } | Told::Failed { .. } | Told::Done => {
            Err("unexpected answer of the executor".into())
        }
    }
}

pub(crate) async fn signal(handle: &Handle, name: &str) {
    // A task that has just ended needs no signal.
    _ = ask(&handle.socket, &Ask::Signal(name.into())).await;
}

/// Ends whatever is left of the task, its executor, and (after its last line) its log collector.
pub(crate) async fn finish(handle: &Handle) {
    if ask(&handle.socket, &Ask::Shutdown).await.is_err() {
        terminate(handle.executor_pid);
    }
    end_logmon(handle).await;
}

pub(crate) async fn end_logmon(handle: &Handle) {
    terminate(handle.logmon_pid);
    let gone = async {
        while Pid::from_raw(handle.logmon_pid as i32).is_some_and(|pid| test_kill_process(pid).is_ok()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    // A log collector that does not end is left behind; the next start makes its own.
    _ = timeout(Duration::from_secs(2), gone).await;
}

async fn start_logmon(launch: &Launch) -> Result<u32, String> {
    let mut child = helper(&["logmon"], Stdio::piped())?;
    let mut config = serde_json::to_string(&logmon::Plan::of(launch)).map_err(|e| e.to_string())?;
    config.push('\n');
    let mut stdin = child.stdin.take().ok_or("logmon has no standard input")?;
    stdin.write_all(config.as_bytes()).await.map_err(|e| format!("logmon: {e}"))?;
    first_line(&mut child).await?;
    let pid = child.id().unwrap_or_default();
    reap(child);
    Ok(pid)
}

fn helper(args: &[&str], stdin: Stdio) -> Result<Child, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    Command::new(program)
        .args(args)
        .env(COOKIE, "rehearsal")
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("could not start {}: {e}", args[0]))
}

async fn first_line(child: &mut Child) -> Result<String, String> {
    let stdout = child.stdout.take().ok_or("no standard output")?;
    let mut line = String::new();
    let read = timeout(Duration::from_secs(10), BufReader::new(stdout).read_line(&mut line)).await;
    match read {
        Ok(Ok(n)) if n > 0 => Ok(line.trim_end().to_owned()),
        _ => Err("the helper process did not come up".into()),
    }
}

/// A helper that ends while the agent lives must not stay a zombie.
fn reap(mut child: Child) {
    tokio::spawn(async move { child.wait().await });
}

fn terminate(pid: u32) {
    if let Some(pid) = Pid::from_raw(pid as i32) {
        // It may be gone already.
        _ = kill_process(pid, Signal::TERM);
    }
}

async fn ask(socket: &std::path::Path, question: &Ask) -> Result<Told, String> {
    let lost = |e: std::io::Error| format!("executor: {e}");
    let mut stream = UnixStream::connect(socket).await.map_err(lost)?;
    let mut line = serde_json::to_string(question).map_err(|e| e.to_string())?;
    line.push('\n');
    stream.write_all(line.as_bytes()).await.map_err(lost)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).await.map_err(lost)?;
    serde_json::from_str(&answer).map_err(|_| "executor: plugin process exited".to_owned())
}
