//! `org.freedesktop.Notifications`: what a person would be told, kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use zbus::zvariant::OwnedValue;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    pub title: String,
    pub body: String,
}

#[derive(Debug, Clone, Default)]
pub struct Notifications {
    shown: Arc<Mutex<Vec<Notification>>>,
}

impl Notifications {
    pub(super) async fn start(bus: &zbus::Connection) -> Result<Self> {
        let notifications = Self::default();
        let host = Host(notifications.clone());
        bus.object_server().at("/org/freedesktop/Notifications", host).await?;
        bus.request_name("org.freedesktop.Notifications").await?;
        Ok(notifications)
    }

    pub fn shown(&self) -> Vec<Notification> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Host(Notifications);

#[zbus::interface(name = "org.freedesktop.Notifications")]
impl Host {
    #[expect(clippy::too_many_arguments, reason = "the specification's own")]
    fn notify(
        &self,
        _app: String,
        _replaces: u32,
        _icon: String,
        title: String,
        body: String,
        _actions: Vec<String>,
        _hints: HashMap<String, OwnedValue>,
        _timeout: i32,
    ) -> u32 {
        let mut shown = self.0.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.push(Notification { title, body });
        u32::try_from(shown.len()).unwrap_or(u32::MAX)
    }

    fn close_notification(&self, _id: u32) {}

    fn get_capabilities(&self) -> Vec<String> {
        ["body", "actions"].map(str::to_owned).to_vec()
    }

    fn get_server_information(&self) -> (String, String, String, String) {
        ("desktop double".to_owned(), "io.net".to_owned(), "1".to_owned(), "1.2".to_owned())
    }
}
