//! The desktop double against a real tray item, a real notification and a real keyring entry.

#![expect(clippy::print_stdout, reason = "a test that is left out says so")]
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::time::Duration;

use journeys::desktop::Desktop;
use journeys::needs;
use ksni::menu::{StandardItem, SubMenu};
use ksni::{MenuItem, TrayMethods as _};
use tokio::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(20);

struct Item {
    clicks: mpsc::UnboundedSender<&'static str>,
}

impl ksni::Tray for Item {
    fn id(&self) -> String {
        "an.item".to_owned()
    }

    fn title(&self) -> String {
        "An item".to_owned()
    }

    fn icon_name(&self) -> String {
        "help-about".to_owned()
    }

    fn menu(&self) -> Vec<MenuItem<Self>> {
        let line = |label: &str, enabled: bool, says: &'static str| {
            let activate = Box::new(move |item: &mut Self| item.clicks.send(says).unwrap());
            StandardItem { label: label.to_owned(), enabled, activate, ..StandardItem::default() }.into()
        };
        vec![
            line("Only said", false, "said"),
            MenuItem::Separator,
            SubMenu {
                label: "More".to_owned(),
                submenu: vec![line("a__b", true, "inner")],
                ..SubMenu::default()
            }
            .into(),
        ]
    }
}

async fn desktop(folder: &tempfile::TempDir) -> Option<Desktop> {
    let needed = ["dbus-daemon", "gnome-keyring-daemon", "Xvfb"];
    let missing = needs::absent(&needed);
    if !missing.is_empty() {
        println!("skipped: needs {}", missing.join(", "));
        return None;
    }
    Some(Desktop::start(folder.path()).await.unwrap())
}

#[tokio::test]
async fn an_item_is_seen_its_menu_read_and_a_line_of_it_clicked() {
    let folder = tempfile::Builder::new().prefix("ionet-").tempdir_in("/tmp").unwrap();
    let Some(desktop) = desktop(&folder).await else { return };
    let environment = desktop.environment();
    let address = &environment.iter().find(|(name, _)| name == "DBUS_SESSION_BUS_ADDRESS").unwrap().1;
    // SAFETY: nothing else of this test's process reads or writes the environment now.
    unsafe { std::env::set_var("DBUS_SESSION_BUS_ADDRESS", address) };
    let (clicks, mut clicked) = mpsc::unbounded_channel();

    let item = Item { clicks }.spawn().await.unwrap();
    let face = desktop.tray.item(PATIENCE).await.unwrap();
    let menu = desktop.tray.menu().await.unwrap();
    let label = desktop.tray.click("a_b", PATIENCE, |line| line.label == "a_b").await.unwrap();
    let says = tokio::time::timeout(PATIENCE, clicked.recv()).await.unwrap();
    item.shutdown().await;

    assert_eq!((face.title.as_str(), face.has_icon), ("An item", true));
    let seen: Vec<_> = menu.iter().map(|line| (line.label.as_str(), line.enabled, line.depth)).collect();
    assert_eq!(seen, [("Only said", false, 1), ("More", true, 1), ("a_b", true, 2)]);
    assert_eq!((label.as_str(), says), ("a_b", Some("inner")));
    assert!(desktop.keyring.kept().await.unwrap().is_empty());
}
