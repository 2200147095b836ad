//! What a sign-in asks of the program around it.

use std::pin::Pin;

use ionet_core::event::DeviceCode;
use url::Url;

/// Called from the sign-in's own task: return at once.
pub struct SignInHooks {
    /// Shows this page to the person, and says whether some browser took it. Its address is part of a secret handshake:
    /// it belongs into no log.
    pub open_browser: Box<dyn Fn(&Url) -> Opening + Send + Sync>,
    /// Shows this code to the person.
    pub device_code: Box<dyn Fn(DeviceCode) + Send + Sync>,
    /// Nobody has come back from the browser for a while, once a sign-in: a provider's page may not lead back to this PC, and
    /// a code would. The sign-in waits on.
    pub still_waiting: Box<dyn Fn() + Send + Sync>,
    /// The words on the page that the browser ends on.
    pub words: PageWords,
}

pub type Opening = Pin<Box<dyn Future<Output = bool> + Send>>;

/// The sentences of the page that the browser ends on; plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageWords {
    pub done_title: String,
    pub done_text: String,
    pub failed_title: String,
    pub failed_text: String,
    /// The browser sends more cookies than can be meant.
    pub too_large_title: String,
    pub too_large_text: String,
}

impl Default for PageWords {
    fn default() -> Self {
        Self {
            done_title: "You are signed in".into(),
            done_text: "You can close this page and go back to the app.".into(),
            failed_title: "The sign-in did not work".into(),
            failed_text: "Go back to the app and try again.".into(),
            too_large_title: "Your browser sends too much".into(),
            too_large_text: "Delete the cookies of 127.0.0.1 in this browser, then load this page again."
                .into(),
        }
    }
}
