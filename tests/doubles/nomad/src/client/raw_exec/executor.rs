//! The executor process: parent of one task, reachable over a socket, alive until told to shut down.

#![expect(clippy::print_stdout, reason = "its parent reads it")]

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{BufRead, BufReader, Write},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
        process::{CommandExt, ExitStatusExt},
    },
    process::{Child, Command, ExitCode, Stdio},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
};

use rustix::process::{Pid, Signal, kill_process, setsid};
use serde::{Deserialize, Serialize};

use super::{Exit, Launch, logmon};

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    Launch(Box<Launch>),
    Wait,
    /// A signal's name, such as `SIGINT`.
    Signal(String),
    Shutdown,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Told {
    Started { pid: u32 },
    Failed { reason: String },
    Ended(Exit),
    Done,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    log_file: std::path::PathBuf,
}

#[derive(Default)]
struct Task {
    launch: Mutex<Option<(Launch, u32)>>,
    exit: Mutex<Option<Exit>>,
    ended: Condvar,
}

pub(super) fn run(config: &str) -> ExitCode {
    let Ok(config) = serde_json::from_str::<Config>(config) else { return ExitCode::FAILURE };
    // A session of its own keeps the agent's signals away.
    _ = setsid();
    let log = OpenOptions::new().create(true).append(true).open(&config.log_file);
    let socket = std::env::temp_dir().join(format!("plugin{}", uuid::Uuid::new_v4().simple()));
    let Ok(listener) = UnixListener::bind(&socket) else { return ExitCode::FAILURE };
    if fs::set_permissions(&socket, Permissions::from_mode(0o600)).is_err() {
        return ExitCode::FAILURE;
    }
    println!("{}", socket.display());
    if let Ok(mut log) = log {
        _ = writeln!(log, "{{\"@level\":\"info\",\"@message\":\"executor started\"}}");
    }
    let task = Arc::new(Task::default());
    for stream in listener.incoming().flatten() {
        let (task, socket) = (task.clone(), socket.clone());
        #[expect(
            clippy::disallowed_methods,
            reason = "nothing is left to drop, and the other threads never end"
        )]
        thread::spawn(move || {
            if converse(&task, stream).is_some_and(|told| matches!(told, Told::Done)) {
                _ = fs::remove_file(socket);
                std::process::exit(0);
            }
        });
    }
    ExitCode::SUCCESS
}

/// Answers one question; `Done` is the end of the executor.
fn converse(task: &Arc<Task>, stream: UnixStream) -> Option<Told> {
    let mut line = String::new();
    BufReader::new(stream.try_clone().ok()?).read_line(&mut line).ok()?;
    let told = match serde_json::from_str(&line).ok()? {
        Ask::Launch(launch) => {
            start(task, *launch).map_or_else(|reason| Told::Failed { reason }, |pid| Told::Started { pid })
        }
        Ask::Wait => Told::Ended(task.wait()),
        Ask::Signal(name) => {
            task.signal(&name);
            Told::Failed { reason: String::new() }
        }
        Ask::Shutdown => {
            task.kill_all();
            Told::Done
        }
    };
    let mut stream = stream;
    writeln!(stream, "{}", serde_json::to_string(&told).ok()?).ok()?;
    Some(told)
}

fn start(task: &Arc<Task>, launch: Launch) -> Result<u32, String> {
    let pipe = |kind| -> Result<File, String> {
        let path = logmon::fifo(&launch.log_dir, &launch.task, kind);
        OpenOptions::new().write(true).open(path).map_err(|e| e.to_string())
    };
    let (stdout, stderr) = (pipe("stdout")?, pipe("stderr")?);
    let mut child = Command::new(&launch.command)
        .args(&launch.args)
        .env_clear()
        .envs(&launch.env)
        .current_dir(&launch.task_dir)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .process_group(0)
        .spawn()
        .map_err(|e| format!("failed to launch command with executor: {e}"))?;
    let pid = child.id();
    *task.launch.lock().unwrap_or_else(PoisonError::into_inner) = Some((launch, pid));
    let task = task.clone();
    thread::spawn(move || task.ended_with(&mut child));
    Ok(pid)
}

impl Task {
    fn ended_with(&self, child: &mut Child) {
        let exit = match child.wait() {
            Ok(status) => {
                let signal = status.signal().unwrap_or(0);
                Exit { code: status.code().unwrap_or(128 + signal), signal }
            }
            Err(_) => Exit { code: 1, signal: 0 },
        };
        *self.exit.lock().unwrap_or_else(PoisonError::into_inner) = Some(exit);
        self.ended.notify_all();
    }

    fn wait(&self) -> Exit {
        let guard = self.exit.lock().unwrap_or_else(PoisonError::into_inner);
        let guard =
            self.ended.wait_while(guard, |exit| exit.is_none()).unwrap_or_else(PoisonError::into_inner);
        guard.unwrap_or(Exit { code: 1, signal: 0 })
    }

    fn signal(&self, name: &str) {
        let running = self.exit.lock().unwrap_or_else(PoisonError::into_inner).is_none();
        let launch = self.launch.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, pid)) = launch.as_ref().filter(|_| running) {
            send(*pid, signal_named(name));
        }
    }

    /// Everything that carries this task's environment, whoever started it.
    fn kill_all(&self) {
        let launch = self.launch.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((launch, _)) = launch.as_ref() else { return };
        for pid in processes_of(launch) {
            send(pid, Signal::KILL);
        }
    }
}

fn processes_of(launch: &Launch) -> Vec<u32> {
    let marks = [format!("NOMAD_ALLOC_ID={}", launch.alloc_id), format!("NOMAD_TASK_NAME={}", launch.task)];
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let has = |mark: &String| environ.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes());
            marks.iter().all(has)
        })
        .collect()
}

fn send(pid: u32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid as i32) {
        // It may have ended in between.
        _ = kill_process(pid, signal);
    }
}

fn signal_named(name: &str) -> Signal {
    match name {
        "SIGTERM" => Signal::TERM,
        "SIGKILL" => Signal::KILL,
        "SIGHUP" => Signal::HUP,
        "SIGQUIT" => Signal::QUIT,
        "SIGUSR1" => Signal::USR1,
        "SIGUSR2" => Signal::USR2,
        _ => Signal::INT,
    }
}
