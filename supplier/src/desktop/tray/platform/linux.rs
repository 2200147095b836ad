//! StatusNotifierItem over D-Bus: 3 MB instead of a toolkit's 68.

use ionet_core::{Intent, Snapshot};
use ionet_words::Words;
use ksni::menu::StandardItem;
use ksni::{Icon, MenuItem, OfflineReason, Status, ToolTip, TrayMethods as _};
use tokio::sync::{mpsc, watch};

use crate::desktop::tray::icon::{Ring, draw, ring};
use crate::desktop::tray::menu::{Entry, Menu, Press, menu};

/// Shows the item until the snapshots end. A desktop without a tray host may get one later; one without D-Bus is
/// said once, and the app goes on without an item.
pub async fn run(mut snapshots: watch::Receiver<Snapshot>, intents: mpsc::Sender<Intent>) {
    let item =
        Item { snapshot: snapshots.borrow_and_update().clone(), intents, words: Words::of_this_desktop() };
    let handle = match item.assume_sni_available(true).spawn().await {
        Ok(handle) => handle,
        Err(error) => {
            tracing::warn!(%error, "no tray item: the window can still be opened by starting the app again");
            return;
        }
    };
    while snapshots.changed().await.is_ok() {
        let snapshot = snapshots.borrow_and_update().clone();
        handle.update(|item: &mut Item| item.snapshot = snapshot).await;
    }
    handle.shutdown().await;
}

struct Item {
    snapshot: Snapshot,
    intents: mpsc::Sender<Intent>,
    words: Words,
}

impl Item {
    fn press(&self, press: &Press) {
        let intent = press.intent(crate::clock::wall());
        if let Err(error) = self.intents.try_send(intent) {
            tracing::warn!(%error, "a click was lost");
        }
    }
}

impl ksni::Tray for Item {
    /// A left click asks for the window where the desktop has one (KDE); elsewhere the menu opens.
    fn activate(&mut self, _x: i32, _y: i32) {
        self.press(&Press::Intent(Intent::Open));
    }

    fn id(&self) -> String {
        "net.io.supplier".to_owned()
    }

    fn title(&self) -> String {
        self.words.phase_title(&self.snapshot)
    }

    fn status(&self) -> Status {
        match ring(&self.snapshot) {
            Ring::Attention => Status::NeedsAttention,
            Ring::Full | Ring::Half | Ring::Dashed => Status::Active,
        }
    }

    fn icon_pixmap(&self) -> Vec<Icon> {
        [22, 44].map(|side| pixmap(ring(&self.snapshot), side)).into()
    }

    fn attention_icon_pixmap(&self) -> Vec<Icon> {
        self.icon_pixmap()
    }

    fn tool_tip(&self) -> ToolTip {
        ToolTip {
            title: self.words.phase_title(&self.snapshot),
            description: self.words.phase_detail(&self.snapshot),
            ..ToolTip::default()
        }
    }

    fn menu(&self) -> Vec<MenuItem<Self>> {
        let Menu { entries } = menu(&self.snapshot, &self.words);
        entries.into_iter().map(item).collect()
    }

    fn watcher_offline(&self, reason: OfflineReason) -> bool {
        tracing::debug!(?reason, "no tray host: waiting for one");
        true
    }
}

fn item(entry: Entry) -> MenuItem<Item> {
    match entry {
        Entry::Separator => MenuItem::Separator,
        Entry::Text(label) => {
            StandardItem { label: escaped(&label), enabled: false, ..StandardItem::default() }.into()
        }
        Entry::Button { label, press } => StandardItem {
            label: escaped(&label),
            activate: Box::new(move |item: &mut Item| item.press(&press)),
            ..StandardItem::default()
        }
        .into(),
    }
}

/// An underscore marks an access key in this protocol; a doubled one is an underscore.
fn escaped(label: &str) -> String {
    label.replace('_', "__")
}

fn pixmap(ring: Ring, side: u32) -> Icon {
    let picture = draw(ring, side);
    let side = i32::try_from(picture.side).unwrap_or(i32::MAX);
    Icon { width: side, height: side, data: picture.argb }
}
