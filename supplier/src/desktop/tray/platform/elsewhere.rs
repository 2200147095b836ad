use ionet_core::{Intent, Snapshot};
use tokio::sync::{mpsc, watch};

/// Windows and macOS get their tray item with their packages; until then the window is opened by starting the app.
pub async fn run(_snapshots: watch::Receiver<Snapshot>, _intents: mpsc::Sender<Intent>) {
    tracing::info!("no tray item on this system yet");
}
