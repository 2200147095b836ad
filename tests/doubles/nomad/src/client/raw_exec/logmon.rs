//! The log collector process: reads a task's two pipes and writes its rotating log files.

#![expect(clippy::print_stdout, reason = "its parent reads it")]

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde::{Deserialize, Serialize};
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe,
    signal::unix::{SignalKind, signal},
};

use super::Launch;

#[derive(Serialize, Deserialize)]
pub(super) struct Plan {
    log_dir: PathBuf,
    task: String,
    max_files: u64,
    max_file_bytes: u64,
}

impl Plan {
    pub(super) fn of(launch: &Launch) -> Self {
        Self {
            log_dir: launch.log_dir.clone(),
            task: launch.task.clone(),
            max_files: launch.max_files,
            max_file_bytes: launch.max_file_bytes,
        }
    }
}

pub(super) fn fifo(log_dir: &Path, task: &str, kind: &str) -> PathBuf {
    log_dir.join(format!(".{task}.{kind}.fifo"))
}

pub(super) fn run() -> ExitCode {
    let mut line = String::new();
    let plan =
        std::io::stdin().read_line(&mut line).ok().and_then(|_| serde_json::from_str::<Plan>(&line).ok());
    let (Some(plan), Ok(runtime)) =
        (plan, tokio::runtime::Builder::new_current_thread().enable_all().build())
    else {
        return ExitCode::FAILURE;
    };
    runtime.block_on(async {
        let pipes = (open(&plan, "stdout"), open(&plan, "stderr"), signal(SignalKind::terminate()));
        let (Ok(mut stdout), Ok(mut stderr), Ok(mut terminate)) = pipes else { return ExitCode::FAILURE };
        println!("ready");
        tokio::select! {
            () = stdout.collect() => {}
            () = stderr.collect() => {}
            _ = terminate.recv() => {}
        }
        stdout.drain();
        stderr.drain();
        ExitCode::SUCCESS
    })
}

struct Stream {
    pipe: pipe::Receiver,
    files: Files,
}

fn open(plan: &Plan, kind: &str) -> std::io::Result<Stream> {
    let path = fifo(&plan.log_dir, &plan.task, kind);
    if !path.exists() {
        mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
    }
    // Open for both ways, the pipe has no end while its writers change.
    let pipe = pipe::OpenOptions::new().read_write(true).open_receiver(&path)?;
    Ok(Stream { pipe, files: Files::open(plan, kind)? })
}

impl Stream {
    async fn collect(&mut self) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(n) = self.pipe.read(&mut buffer).await {
            self.files.write(&buffer[..n]);
        }
    }

    /// What still lies in the pipe.
    fn drain(&mut self) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(n) = self.pipe.try_read(&mut buffer) {
            if n == 0 {
                return;
            }
            self.files.write(&buffer[..n]);
        }
    }
}

/// `TASK.KIND.0`, `.1` … of which the highest is written to.
struct Files {
    stem: PathBuf,
    number: u64,
    file: File,
    written: u64,
    max_files: u64,
    max_bytes: u64,
}

impl Files {
    fn open(plan: &Plan, kind: &str) -> std::io::Result<Self> {
        let stem = plan.log_dir.join(format!("{}.{kind}", plan.task));
        let prefix = format!("{}.{kind}.", plan.task);
        let names =
            fs::read_dir(&plan.log_dir)?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let number = names.filter_map(|name| name.strip_prefix(&prefix)?.parse().ok()).max().unwrap_or(0);
        let file = append(&numbered(&stem, number))?;
        let written = file.metadata()?.len();
        let max_bytes = plan.max_file_bytes.max(1);
        Ok(Self { stem, number, file, written, max_files: plan.max_files.max(1), max_bytes })
    }

    fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = usize::try_from(self.max_bytes.saturating_sub(self.written)).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            // A full disk loses log lines, never the task.
            _ = self.file.write_all(now);
            self.written += now.len() as u64;
            bytes = later;
            if self.written >= self.max_bytes {
                self.rotate();
            }
        }
    }

    fn rotate(&mut self) {
        self.number += 1;
        self.written = 0;
        if let Ok(file) = append(&numbered(&self.stem, self.number)) {
            self.file = file;
        }
        if let Some(old) = self.number.checked_sub(self.max_files) {
            _ = fs::remove_file(numbered(&self.stem, old));
        }
    }
}

fn numbered(stem: &Path, number: u64) -> PathBuf {
    let mut name = stem.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

fn append(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}
