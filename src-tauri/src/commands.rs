//! What the page can call. Each hands over to the link.

use ionet_core::{Answer, Intent, Question, Refused};
use tauri::State;

use crate::link::{Link, NotConnected, View};

/// What is true now; every change after it comes as an event.
#[tauri::command]
#[specta::specta]
pub(crate) fn view(link: State<'_, Link>) -> View {
    link.view()
}

#[tauri::command]
#[specta::specta]
pub(crate) async fn intent(link: State<'_, Link>, intent: Intent) -> Result<(), NotConnected> {
    link.send(intent).await
}

/// What is too large, or too old, to belong to a snapshot.
#[tauri::command]
#[specta::specta]
pub(crate) async fn ask(link: State<'_, Link>, question: Question) -> Result<Answer, Refused> {
    link.ask(question).await
}

/// Start the resident program, where none answers.
#[tauri::command]
#[specta::specta]
pub(crate) async fn start(link: State<'_, Link>) -> Result<(), NotConnected> {
    link.start().await
}
