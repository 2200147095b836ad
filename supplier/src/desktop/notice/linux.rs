//! One call over the session's bus, by the library that the tray item and the keyring are spoken to with.

use std::collections::HashMap;

use zbus::Connection;
use zbus::zvariant::Value;

const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";
/// The desktop decides for how long.
const TIMEOUT: i32 = -1;

/// Returns when the desktop has taken it.
pub(crate) async fn show(app: &str, title: &str, body: &str) -> zbus::Result<()> {
    let (replaces, icon, no_actions, no_hints) = (0_u32, "", [""; 0], HashMap::<&str, Value<'_>>::new());
    let said = (app, replaces, icon, title, body, no_actions.as_slice(), no_hints, TIMEOUT);
    Connection::session().await?.call_method(Some(NAME), PATH, Some(NAME), "Notify", &said).await?;
    Ok(())
}
