//! `ionet-supplier`: the resident program, and the commands that speak to it.

#![cfg_attr(all(windows, not(debug_assertions)), windows_subsystem = "windows")]

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use ionet_cloud::{DeviceEnd, Secret};
use ionet_core::{Intent, Phase, Target};
use ionet_supplier::commands::{self, Deed, Told, earnings, exit, open, say, settings, status};
use ionet_supplier::memory;
use ionet_supplier::resident::{self, Ended, Run};
use ionet_wire::WireError;
use ionet_wire::client::Client;
use ionet_wire::message::Kind;
use ionet_wire::paths::Folders;
use ionet_words::Words;
use tokio::runtime::Builder;

/// Lends this PC's GPU to the io.net cloud. Without a subcommand: shows the window, and starts the app if needed.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    App(AppCommand),
    #[command(flatten)]
    Account(AccountCommand),
    /// Started by the app: ends what runs here when the app is gone.
    #[command(hide = true)]
    Guard {
        #[arg(long)]
        run_dir: PathBuf,
    },
}

/// Starts the resident program or speaks to it.
#[derive(Subcommand)]
enum AppCommand {
    /// Run the resident program in the foreground.
    Run {
        /// Without tray, window and keyring; logs to standard output too.
        #[arg(long)]
        headless: bool,
        /// Enrol by the token in this file ("-": standard input) instead of an account's sign-in.
        #[arg(long, value_name = "FILE", requires = "headless")]
        enrolment_token_file: Option<PathBuf>,
        /// Agree to the page that the window would show: what runs here, what it may see, what it costs.
        #[arg(long, requires = "headless")]
        agree: bool,
    },
    /// Show the window.
    Open,
    /// What is going on. Exit codes: 0 online, 1 error, 3 not running, 4 paused, 5 needs you, 6 under way.
    Status {
        /// The whole snapshot, as docs/status.md describes it.
        #[arg(long)]
        json: bool,
    },
    /// What was earned, by day, week, month or job, of this PC or of all of the account's.
    Earnings(earnings::Arguments),
    /// What of this PC jobs get: room on its drive, and how much of the internet connection. Without an option: shows it.
    Settings(settings::Arguments),
    /// Give the PC back until it is resumed. Returns when nothing is running any more.
    Pause,
    /// Earn again.
    Resume,
    /// Tear down and end the app.
    Quit,
}

/// Asks the gateway, by the session that was signed in here.
#[derive(Subcommand)]
enum AccountCommand {
    /// The PCs of this account.
    Devices,
    /// Say that one of this account's PCs is lost: its certificate is worthless from then on.
    Lost {
        /// As `devices` lists it.
        device: String,
    },
    /// Make an enrolment token for a machine without a browser. It is a secret; it goes to standard output.
    EnrolmentToken,
}

fn main() -> ExitCode {
    let command = Arguments::parse().command.unwrap_or(Command::App(AppCommand::Open));
    memory::stay_small();
    let runtime = match runtime(&command).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    // Linux needs no event loop on this thread; where the tray wants one, it gets this thread.
    let code = runtime.block_on(dispatch(command));
    // A blocking read (standard input, a driver that hangs) must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    code.map_or_else(|error| failed(&error), ExitCode::from)
}

/// A guard has little to do, and no part of it blocks.
fn runtime(command: &Command) -> Builder {
    if matches!(command, Command::Guard { .. }) {
        return Builder::new_current_thread();
    }
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2);
    builder
}

async fn dispatch(command: Command) -> Result<u8> {
    match command {
        Command::Guard { run_dir } => {
            if ionet_agent::guard::keep(&run_dir)? {
                return Ok(exit::OK);
            }
            tokio::spawn(memory::tend());
            let log = Folders::open().ok().map(|folders| folders.agent_logs().join("guard.log"));
            ionet_agent::guard::serve(&run_dir, log.as_deref()).await?;
            Ok(exit::OK)
        }
        Command::App(command) => app(command, Folders::open()?).await,
        Command::Account(command) => account(command, &Folders::open()?).await,
    }
}

async fn app(command: AppCommand, folders: Folders) -> Result<u8> {
    match command {
        AppCommand::Run { headless, enrolment_token_file, agree } => {
            let enrolment_token = enrolment_token_file.map(read_token).transpose()?;
            run(Run { headless, enrolment_token, agree }, folders).await
        }
        AppCommand::Open => open::open(&folders).await.map(|()| exit::OK),
        AppCommand::Status { json } => show_status(&folders, json).await,
        AppCommand::Earnings(arguments) => show_earnings(&folders, &arguments).await,
        AppCommand::Settings(arguments) => set(&folders, &arguments).await,
        AppCommand::Pause => ask(&folders, Deed::PAUSE).await,
        AppCommand::Resume => ask(&folders, Deed::RESUME).await,
        AppCommand::Quit => quit(&folders).await,
    }
}

async fn run(run: Run, folders: Folders) -> Result<u8> {
    let headless = run.headless;
    tokio::spawn(memory::tend());
    match resident::run(run, folders.clone()).await? {
        Ended::Quit { clean: true } => Ok(exit::OK),
        Ended::Quit { clean: false } => Ok(exit::FAILED),
        Ended::AlreadyRunning if headless => anyhow::bail!("the app is already running for this user"),
        Ended::AlreadyRunning => open::show(&folders).await.map(|()| exit::OK),
    }
}

async fn show_status(folders: &Folders, json: bool) -> Result<u8> {
    let mut client = match Client::connect(&folders.meeting(), Kind::Command).await {
        Ok(client) => client,
        Err(WireError::NobodyThere(_)) => return not_running(),
        Err(error) => return Err(error.into()),
    };
    let snapshot = client.next().await?;
    if json {
        say::line(status::to_json(&snapshot)?)?;
    } else {
        say::line(status::describe(&snapshot, &Words::of_this_desktop()))?;
    }
    Ok(status::exit_code(&snapshot))
}

async fn show_earnings(folders: &Folders, arguments: &earnings::Arguments) -> Result<u8> {
    match earnings::earnings(folders, arguments).await {
        Ok(text) => say::line(text).map(|()| exit::OK).map_err(Into::into),
        Err(error) if matches!(error.downcast_ref(), Some(WireError::NobodyThere(_))) => not_running(),
        Err(error) => Err(error),
    }
}

async fn set(folders: &Folders, arguments: &settings::Arguments) -> Result<u8> {
    match settings::settings(folders, arguments).await {
        Ok(settings::Told::Shown(text)) => say::line(text).map(|()| exit::OK).map_err(Into::into),
        Ok(settings::Told::NotPossible(why)) => {
            say::complaint(format_args!("ionet-supplier: {why}"));
            Ok(exit::NEEDS_OWNER)
        }
        Err(WireError::NobodyThere(_)) => not_running(),
        Err(error) => Err(error.into()),
    }
}

async fn ask(folders: &Folders, deed: Deed) -> Result<u8> {
    let words = Words::of_this_desktop();
    match commands::ask(folders, deed).await {
        Ok(Told::Taken(snapshot)) => {
            say::line(status::describe(&snapshot, &words))?;
            let left = snapshot.target != Target::Earning && snapshot.may_run;
            Ok(if left { exit::FAILED } else { exit::OK })
        }
        Ok(Told::NotPossible(snapshot)) => {
            say::complaint(format_args!("ionet-supplier: {}", words.say("not-possible-now", &[])));
            say::line(status::describe(&snapshot, &words))?;
            Ok(exit::NEEDS_OWNER)
        }
        Ok(Told::Undone(snapshot)) => {
            say::complaint(format_args!("ionet-supplier: {}", words.say("undone-meanwhile", &[])));
            say::line(status::describe(&snapshot, &words))?;
            Ok(exit::FAILED)
        }
        Err(WireError::NobodyThere(_)) => not_running(),
        Err(error) => Err(error.into()),
    }
}

/// The command line was typed on purpose: no question is asked. Done when the app is gone.
async fn quit(folders: &Folders) -> Result<u8> {
    let mut client = match Client::connect(&folders.meeting(), Kind::Command).await {
        Ok(client) => client,
        Err(WireError::NobodyThere(_)) => return not_running(),
        Err(error) => return Err(error.into()),
    };
    client.send(Intent::Quit { confirmed: true }).await?;
    let mut last = None;
    loop {
        match client.next().await {
            Ok(snapshot) => last = Some(snapshot),
            Err(WireError::Closed) => break,
            Err(error) => return Err(error.into()),
        }
    }
    let quit = last.is_some_and(|last| last.phase == Phase::Quitting && !last.may_run);
    anyhow::ensure!(quit, "the app ended without a word, or something of it may still run: see its log");
    Ok(exit::OK)
}

async fn account(command: AccountCommand, folders: &Folders) -> Result<u8> {
    let cloud = resident::cloud(folders, true)?;
    match command {
        AccountCommand::Devices => {
            for device in cloud.devices().await? {
                let state = match device.end {
                    None => "good",
                    Some(DeviceEnd::Lost) => "lost",
                    Some(DeviceEnd::Retired) => "retired",
                };
                say::line(format_args!("{}\t{state}\t{}", device.device, device.label))?;
            }
        }
        AccountCommand::Lost { device } => {
            cloud.mark_lost(&device).await?;
            say::line(device)?;
        }
        AccountCommand::EnrolmentToken => say::line(cloud.enrolment_token().await?.reveal())?,
    }
    Ok(exit::OK)
}

/// Several times as long as any token. What has no end is none.
const LONGEST_TOKEN: u64 = 16 * 1024;

fn read_token(file: PathBuf) -> Result<Secret<String>> {
    let from = || format!("cannot read a token from {}", file.display());
    let input: Box<dyn Read> = match file.to_str() {
        Some("-") => Box::new(std::io::stdin()),
        _ => Box::new(std::fs::File::open(&file).with_context(from)?),
    };
    let mut text = String::new();
    let length = input.take(LONGEST_TOKEN).read_to_string(&mut text).with_context(from)?;
    anyhow::ensure!((length as u64) < LONGEST_TOKEN, "{} is too long for an enrolment token", file.display());
    let token = text.trim();
    anyhow::ensure!(!token.is_empty(), "the enrolment token is empty: make a new one with `enrolment-token`");
    Ok(Secret::new(token.to_owned()))
}

fn not_running() -> Result<u8> {
    say::complaint("ionet-supplier: the app is not running; start it with `ionet-supplier`");
    Ok(exit::NOT_RUNNING)
}

fn failed(error: &anyhow::Error) -> ExitCode {
    say::complaint(format_args!("ionet-supplier: {error:#}"));
    ExitCode::from(exit::FAILED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_token_file_without_end_is_refused_and_not_read_on() {
        let refused = read_token("/dev/zero".into()).unwrap_err().to_string();

        assert!(refused.contains("too long"), "{refused}");
    }
}
