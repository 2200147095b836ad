//! `ionet-gateway`: the supplier gateway as a program.

#![expect(clippy::print_stdout, reason = "the document is what was asked for")]

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use ionet_gateway::Config;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// The io.net supplier gateway.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The configuration file (TOML); without it, what IONET_GATEWAY_CONFIG names.
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT. The default.
    Serve,
    /// Print the OpenAPI document.
    Openapi,
    /// Mark a device as lost.
    Lost {
        /// The device's id.
        device: String,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let config = || {
        let named = || std::env::var_os("IONET_GATEWAY_CONFIG").map(PathBuf::from);
        let file = arguments.config.clone().or_else(named).context("--config FILE is missing")?;
        Config::load(&file)
    };
    match arguments.command.as_ref().unwrap_or(&Command::Serve) {
        Command::Openapi => {
            println!("{}", ionet_gateway::openapi().to_pretty_json()?);
            Ok(())
        }
        Command::Lost { device } => ionet_gateway::report_lost(&config()?, device).await,
        Command::Serve => serve(config()?).await,
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).init();
    let listener =
        TcpListener::bind(config.listen).await.with_context(|| format!("listening on {}", config.listen))?;
    let shutdown = CancellationToken::new();
    tokio::spawn(cancel_on_signal(shutdown.clone()));
    ionet_gateway::serve(config, listener, shutdown).await
}

async fn cancel_on_signal(shutdown: CancellationToken) {
    terminated().await;
    shutdown.cancel();
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(error) => tracing::error!(error = %error, "signals cannot be received"),
    }
}

#[cfg(not(unix))]
async fn terminated() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::error!(error = %error, "signals cannot be received");
    }
}
