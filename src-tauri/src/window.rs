//! The one window and the process around it.

use std::time::Duration;

use anyhow::Context as _;
use ionet_core::hardware::Figures;
use ionet_wire::paths::Folders;
use ionet_words::Words;
use tauri::{AppHandle, Manager as _, WebviewUrl, WebviewWindowBuilder};
use tauri_specta::Event as _;
use tokio::sync::watch;

use crate::link::{Live, View, link};
use crate::{bindings, redraw, resident};

/// The window's label; `capabilities/window.json` names it.
const WINDOW: &str = "main";

/// Wide, and the least that everything still fits in.
const SIZE: (f64, f64) = (960.0, 640.0);
const LEAST: (f64, f64) = (360.0, 560.0);

/// How long the page says good-bye after a quit that left nothing.
const FAREWELL: Duration = Duration::from_secs(5);

/// Opens the window; returns when it is closed.
#[expect(
    clippy::disallowed_methods,
    reason = "Tauri's own loop ends the process, and this one has no children"
)]
pub(crate) fn run(scene: Option<&str>) -> anyhow::Result<()> {
    let folders = Folders::open().context("cannot find this user's folders")?;
    let title = Words::of_this_desktop().say("window-title", &[]);
    let plays = scene.is_some();
    let page = scene.map_or_else(|| "index.html".to_owned(), |scene| format!("index.html?scene={scene}"));
    let bindings = bindings::builder();
    let (link, connection) = link(folders.meeting());
    let (views, live) = (link.views(), link.live());

    tauri::Builder::default()
        .invoke_handler(bindings.invoke_handler())
        .manage(link)
        .setup(move |app| {
            bindings.mount_events(app);
            // A scene is played without the program: it would show this PC, and be started for it.
            if !plays {
                tauri::async_runtime::spawn(tell(app.handle().clone(), views));
                tauri::async_runtime::spawn(tell_live(app.handle().clone(), live));
                let front = app.handle().clone();
                tauri::async_runtime::spawn(connection.keep(resident::start, move || to_front(&front)));
            }
            let window = WebviewWindowBuilder::new(app, WINDOW, WebviewUrl::App(page.into()));
            let window = window.title(title).inner_size(SIZE.0, SIZE.1).min_inner_size(LEAST.0, LEAST.1);
            redraw::build(window)?;
            Ok(())
        })
        .run(tauri::generate_context!())
        .context("the window could not be opened")
}

/// Tells the page of every change, and ends with the resident program unless it is started again.
async fn tell(app: AppHandle, mut views: watch::Receiver<View>) {
    while views.changed().await.is_ok() {
        let view = views.borrow_and_update().clone();
        if let Err(error) = view.emit(&app) {
            tracing::warn!(%error, "the page was not told");
        }
        if !matches!(view, View::Ended { clean: true }) {
            continue;
        }
        let again = views.wait_for(|view| !matches!(view, View::Ended { .. }));
        if tokio::time::timeout(FAREWELL, again).await.is_err() {
            return app.exit(0);
        }
        views.mark_changed();
    }
}

async fn tell_live(app: AppHandle, mut live: watch::Receiver<Option<Figures>>) {
    while live.changed().await.is_ok() {
        let figures = live.borrow_and_update().clone();
        if let Err(error) = Live(figures).emit(&app) {
            tracing::warn!(%error, "the page was not told");
        }
    }
}

fn to_front(app: &AppHandle) {
    let Some(window) = app.get_webview_window(WINDOW) else { return };
    let raised = window.unminimize().and_then(|()| window.show()).and_then(|()| window.set_focus());
    if let Err(error) = raised {
        tracing::warn!(%error, "the window could not be brought to the front");
    }
}
