//! The window: a program of its own, beside this one. It reaches this program over the wire; nothing holds it.
//!
//! A window that dies at its start is started once more in the safe way, without the web view's own use of the graphics card:
//! on some drivers it shows nothing with it, or ends.

use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const WINDOW: &str = "ionet-supplier-window";

/// One that ends within this has not come up.
const DIED_AT_ITS_START: Duration = Duration::from_secs(5);

/// What WebKitGTK is asked to do without. On other systems they mean nothing.
const SAFE: [(&str, &str); 2] =
    [("WEBKIT_DISABLE_DMABUF_RENDERER", "1"), ("WEBKIT_DISABLE_COMPOSITING_MODE", "1")];

/// Starts the window's program; `beside` says where a program beside this one lies. `failed` is called when it did not stay,
/// in the safe way neither.
///
/// # Errors
/// When there is none, or none can be started.
pub fn spawn(program: &Path, failed: impl FnOnce() + Send + 'static) -> io::Result<()> {
    if !program.exists() {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("{} is missing", program.display())));
    }
    let first = start(program, &[])?;
    let program = program.to_owned();
    // Somebody has to take note of its end, or it stays in the process table as long as this program lives.
    std::thread::Builder::new().name("window".to_owned()).spawn(move || {
        if first.stays() {
            return;
        }
        tracing::warn!("the window ended at its start: once more, in the safe way");
        if !start(&program, &SAFE).is_ok_and(Window::stays) {
            tracing::warn!("the window does not stay open");
            failed();
        }
    })?;
    Ok(())
}

/// Its file's name on this system.
pub fn file_name() -> String {
    format!("{WINDOW}{}", std::env::consts::EXE_SUFFIX)
}

struct Window {
    child: std::process::Child,
    began: Instant,
}

fn start(program: &Path, variables: &[(&str, &str)]) -> io::Result<Window> {
    let mut command = Command::new(program);
    command.envs(variables.iter().copied());
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    Ok(Window { child, began: Instant::now() })
}

impl Window {
    /// Waits for its end; see [`stayed`].
    fn stays(mut self) -> bool {
        let status = self.child.wait();
        match &status {
            Ok(status) => tracing::debug!(%status, "window closed"),
            Err(error) => tracing::warn!(%error, "window lost"),
        }
        stayed(status.ok(), self.began.elapsed())
    }
}

/// False when it died at its start, or says itself that its page cannot be shown, however long it took to find that out.
fn stayed(status: Option<ExitStatus>, lasted: Duration) -> bool {
    match status {
        Some(status) if is_wanted(status) => true,
        Some(status) if status.code().is_some() => false,
        Some(_) | None => lasted > DIED_AT_ITS_START,
    }
}

/// Closed, or ended by somebody: it did not die.
#[cfg(unix)]
fn is_wanted(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt as _;

    use rustix::process::Signal;
    let ended_by = [Signal::TERM, Signal::INT, Signal::HUP, Signal::KILL].map(Signal::as_raw);
    status.success() || status.signal().is_some_and(|signal| ended_by.contains(&signal))
}

#[cfg(not(unix))]
fn is_wanted(status: ExitStatus) -> bool {
    status.success()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;
    use std::sync::mpsc;

    use super::*;

    /// A script in the window's place, written by another process: one that is open for writing cannot be run.
    fn window(folder: &tempfile::TempDir, text: &str) -> PathBuf {
        let file = folder.path().join(file_name());
        let written = Command::new("/bin/sh")
            .args(["-c", r#"printf '#!/bin/sh\n%s\n' "$2" > "$1""#, "sh"])
            .arg(&file)
            .arg(text)
            .status();
        assert!(written.expect("a shell").success());
        let runnable = std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755));
        runnable.expect("the file is ours");
        file
    }

    #[test]
    fn a_window_that_says_it_cannot_be_shown_did_not_stay_however_late_and_one_that_crashed_later_did() {
        use std::os::unix::process::ExitStatusExt as _;
        let (late, at_once) = (DIED_AT_ITS_START * 9, DIED_AT_ITS_START / 9);
        let (closed, gave_up, crashed) = (0, 1 << 8, 11);
        let stayed = |raw, lasted| stayed(Some(ExitStatus::from_raw(raw)), lasted);

        assert!(stayed(closed, at_once) && stayed(crashed, late));
        assert!(!stayed(gave_up, late) && !stayed(gave_up, at_once) && !stayed(crashed, at_once));
    }

    #[test]
    fn a_window_that_dies_at_its_start_is_started_once_more_in_the_safe_way_and_then_said() {
        let folder = tempfile::tempdir().unwrap();
        let note = folder.path().join("note");
        let text = format!("echo ${{WEBKIT_DISABLE_DMABUF_RENDERER:-usual}} >> {}; exit 1", note.display());
        let (failed, told) = mpsc::channel();

        spawn(&window(&folder, &text), move || failed.send(()).unwrap()).unwrap();

        told.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!(std::fs::read_to_string(note).unwrap(), "usual\n1\n");
    }

    #[test]
    fn a_window_that_comes_up_in_the_safe_way_is_no_failure() {
        let folder = tempfile::tempdir().unwrap();
        let (failed, told) = mpsc::channel::<()>();
        let text = "test -n \"$WEBKIT_DISABLE_DMABUF_RENDERER\"";

        spawn(&window(&folder, text), move || failed.send(()).unwrap()).unwrap();

        assert!(told.recv_timeout(Duration::from_secs(20)).is_err(), "the sender is dropped unused");
    }

    #[test]
    fn a_window_that_somebody_ends_is_not_started_again() {
        let folder = tempfile::tempdir().unwrap();
        let note = folder.path().join("note");
        let (failed, told) = mpsc::channel::<()>();
        let text = format!("echo once >> {}; kill -TERM $$", note.display());

        spawn(&window(&folder, &text), move || failed.send(()).unwrap()).unwrap();

        assert!(told.recv_timeout(Duration::from_secs(20)).is_err(), "the sender is dropped unused");
        assert_eq!(std::fs::read_to_string(note).unwrap(), "once\n");
    }

    #[test]
    fn a_missing_window_is_named() {
        let folder = tempfile::tempdir().unwrap();

        let missing = spawn(&folder.path().join("none"), || {}).unwrap_err();

        assert!(missing.to_string().contains("none"), "{missing}");
    }
}
