//! The window: a socket to the resident program on one side, a page on the other. It decides nothing.

#![cfg_attr(all(windows, not(debug_assertions)), windows_subsystem = "windows")]

mod bindings;
mod commands;
mod link;
mod redraw;
mod resident;
mod window;

use std::path::PathBuf;

use clap::Parser as _;

/// The window of the io.net supplier app. It ends when it is closed; the resident program goes on.
#[derive(Debug, clap::Parser)]
#[command(name = "ionet-supplier-window", version)]
struct Arguments {
    /// Write the page's TypeScript types to this file, and end.
    #[arg(long, value_name = "PATH")]
    write_bindings: Option<PathBuf>,
    /// Play one scene of ui/src/backend/scenes.ts instead of showing this PC.
    #[arg(long, value_name = "NAME")]
    scene: Option<String>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(path) = arguments.write_bindings {
        return bindings::write(&path);
    }
    #[cfg(target_os = "linux")]
    leave_the_card_alone();
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    window::run(arguments.scene.as_deref())
}

/// WebKitGTK paints with the processor: the card is what is lent, some of its drivers show an empty window, and where there is none
/// the software in its place takes more memory than the page. Whoever has set the variable keeps what they chose.
#[cfg(target_os = "linux")]
fn leave_the_card_alone() {
    const WITHOUT_THE_CARD: &str = "WEBKIT_DISABLE_COMPOSITING_MODE";
    if std::env::var_os(WITHOUT_THE_CARD).is_none() {
        // SAFETY: no other thread runs yet.
        unsafe { std::env::set_var(WITHOUT_THE_CARD, "1") };
    }
}
