//! `nomad-double`: plays Nomad 2.0.5, as far as this project uses it, on machines without Nomad. Every
//! behaviour is held to the real one, or to recordings of it, by the suite in `tests/contract`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it prints what Nomad prints")]

mod client;
mod config;
mod go;
mod hcl;
mod host;
mod listener;
mod log;
mod model;
mod platform;
mod rpc;
mod server;
mod tls;

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use serde_json::{Value, json};

use crate::{
    client::{Agent, Left, raw_exec},
    config::Config,
    log::Logger,
    platform::{Asked, Signals},
};

pub(crate) const VERSION: &str = "2.0.5";

const USAGE: &str =
    "Usage: nomad-double version | config validate FILE… | agent -config FILE [-config FILE]…";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(code) = raw_exec::plugin(&args) {
        return code;
    }
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["version" | "-v" | "-version" | "--version"] => {
            println!("Nomad v{VERSION}\nThis is a rehearsal double, not Nomad.");
            ExitCode::SUCCESS
        }
        ["config", "validate", files @ ..] if !files.is_empty() => validate(files),
        ["agent", options @ ..] => match config_files(options) {
            Some(files) => agent(&files),
            None => usage(),
        },
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::FAILURE
}

fn config_files(options: &[&str]) -> Option<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut rest = options.iter();
    while let Some(option) = rest.next() {
        let option = option.trim_start_matches('-');
        match option.split_once('=') {
            Some(("config", file)) => files.push(file.into()),
            None if option == "config" => files.push((*rest.next()?).into()),
            _ => return None,
        }
    }
    (!files.is_empty()).then_some(files)
}

fn validate(files: &[&str]) -> ExitCode {
    let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
    match Config::read(&files) {
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
        Ok(config) => match config.check() {
            Err(problem) => {
                eprintln!("{problem}\nConfiguration is invalid");
                ExitCode::FAILURE
            }
            Ok(()) => {
                println!("Configuration is valid!");
                ExitCode::SUCCESS
            }
        },
    }
}

fn agent(files: &[PathBuf]) -> ExitCode {
    let config = match Config::read(files).and_then(|config| {
        config.check()?;
        config.check_advertised()?;
        Ok(config)
    }) {
        Ok(config) => config,
        Err(problem) => {
            eprintln!("==> {problem}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("==> {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(run(config));
    // Blocked reads of a lock file or a task must not hold up the end.
    runtime.shutdown_timeout(Duration::ZERO);
    code
}

#[expect(clippy::too_many_lines, reason = "one arm a command")]
async fn run(config: Config) -> ExitCode {
    let log = Logger::new(config.log.clone());
    let say = Voice { log: log.clone(), json: config.log.json };
    if !config.tls.http {
        eprintln!("==> WARNING: mTLS is not configured - Nomad is not secure without mTLS!");
    }
    for file in &config.files {
        say.output(&format!("Loaded configuration from {}", file.display()));
    }
    say.output("Starting Nomad agent...");
    let signals = Signals::new();
    let plugin_dir = config.plugin_dir();
    if !plugin_dir.exists() {
        log.warn(
            "agent.plugin_loader",
            "skipping external plugins since plugin_dir doesn't exist",
            json!({ "plugin_dir": plugin_dir }),
        );
    }
    log.info(
        "agent",
        "detected plugin",
        json!({ "name": "raw_exec", "plugin_version": "0.1.0", "type": "driver" }),
    );
    let started = start(config.clone(), log.clone()).await;
    let client = match started {
        Ok(client) => client,
        Err(problem) if problem.starts_with("Error starting http server") => {
            say.error(&problem);
            return ExitCode::FAILURE;
        }
        Err(problem) => {
            log.error("agent", "error starting agent", json!({ "error": problem }));
            say.error(&format!("Error starting agent: {problem}"));
            return ExitCode::FAILURE;
        }
    };
    log.info("agent", "starting TLS expiration metric process", Value::Null);
    say.output("Nomad agent configuration:\n");
    say.output("Nomad agent started! Log data will stream in below:\n");
    match signals {
        Ok(signals) => obey(signals, &config, client, &say).await,
        Err(problem) => {
            say.error(&problem.to_string());
            ExitCode::FAILURE
        }
    }
}

async fn start(config: Config, log: Logger) -> Result<Option<Arc<Agent>>, String> {
    if let Some(plan) = config.server.clone() {
        server::start(config.clone(), plan, log.clone()).await?;
    }
    match config.client.clone() {
        Some(plan) => client::start(config, plan, log).await.map(Some),
        None => Ok(None),
    }
}

async fn obey(mut signals: Signals, config: &Config, client: Option<Arc<Agent>>, say: &Voice) -> ExitCode {
    loop {
        let asked = signals.next().await;
        let name = match asked {
            Asked::Interrupt => "interrupt",
            Asked::Terminate => "terminated",
            Asked::Hangup => "hangup",
        };
        say.output(&format!("Caught signal: {name}"));
        let leaves = match asked {
            Asked::Hangup => {
                say.output("Reloading configuration...");
                if let Some(client) = &client {
                    client.reload();
                }
                continue;
            }
            Asked::Interrupt => config.leave_on_interrupt,
            Asked::Terminate => config.leave_on_terminate,
        };
        if !leaves {
            say.log.info("agent", "requesting shutdown", Value::Null);
            say.log.info("agent", "shutdown complete", Value::Null);
            return ExitCode::from(1);
        }
        say.output("Gracefully shutting down agent...");
        let Some(client) = client else { return ExitCode::SUCCESS };
        return tokio::select! {
            left = client.leave() => match left {
                Left::Quietly => ExitCode::SUCCESS,
                Left::Panicked => {
                    eprintln!("panic: runtime error: invalid memory address or nil pointer dereference");
                    ExitCode::from(2)
                }
            },
            // A second signal ends the wait, whatever still runs.
            _ = signals.next() => ExitCode::from(1),
        };
    }
}

/// What the agent says outside its log: plain lines, or log lines when the log is JSON.
struct Voice {
    log: Logger,
    json: bool,
}

impl Voice {
    fn output(&self, message: &str) {
        if self.json {
            self.log.info("agent", message, Value::Null);
        } else {
            println!("==> {message}");
        }
    }

    fn error(&self, message: &str) {
        if self.json {
            self.log.error("agent", message, Value::Null);
        } else {
            eprintln!("==> {message}");
        }
    }
}
