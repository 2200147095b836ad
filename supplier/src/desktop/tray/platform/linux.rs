//! StatusNotifierItem over D-Bus: 3 MB instead of a toolkit's 68.

use std::sync::Arc;
use std::time::Duration;

use ionet_core::{Intent, Snapshot};
use ionet_words::Words;
use ksni::menu::StandardItem;
use ksni::{Error, Handle, Icon, MenuItem, OfflineReason, Status, ToolTip, TrayMethods as _};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;
use zbus::fdo::Error::ServiceUnknown;

use crate::desktop::tray::icon::{Ring, draw, ring};
use crate::desktop::tray::menu::{Entry, Menu, Press, menu};

/// A tray host that errs, as some do while their desktop comes up, is asked again: soon first, then every minute.
const WAITS: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(20),
    Duration::from_secs(60),
];

/// One that has its name and is silent for so long, as half-loaded ones are, may never answer: it is asked anew, or whoever has
/// the name by then.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// What hosts draw at: 16 to 64 px, the fractional scales of a 22 px panel among them.
const SIDES: [u32; 8] = [16, 22, 24, 32, 33, 44, 48, 64];

/// How the owner reaches an app without an item.
const WITHOUT: &str = "the window can be opened by starting the app again";

/// Shows the item until the snapshots end. A desktop without a tray host may get one later, and so may one whose host refuses
/// or that has no message bus yet: until then the app goes on without an item.
pub async fn run(mut snapshots: watch::Receiver<Snapshot>, intents: mpsc::Sender<Intent>) {
    while let Some((handle, host)) = shown(&mut snapshots, &intents).await {
        let follow = async {
            while snapshots.changed().await.is_ok() {
                let snapshot = snapshots.borrow_and_update().clone();
                handle.update(|item: &mut Item| item.show(snapshot)).await;
            }
        };
        tokio::select! {
            () = follow => return handle.shutdown().await,
            () = host.refused.notified() => {}
            // It goes as soon as it can: its last question may still be answered.
            () = held_up(&handle, &host.came) => drop(handle.shutdown()),
        }
    }
}

/// The item, once some host takes it or is waited for; none when the snapshots end before.
async fn shown(
    snapshots: &mut watch::Receiver<Snapshot>,
    intents: &mpsc::Sender<Intent>,
) -> Option<(Handle<Item>, Arc<Host>)> {
    for attempt in 0_usize.. {
        let snapshot = snapshots.borrow_and_update().clone();
        let host = Arc::new(Host::default());
        let item = Item::new(snapshot, intents.clone(), host.clone());
        let error = match timeout(ANSWERED_WITHIN, item.assume_sni_available(true).spawn()).await {
            Ok(Ok(handle)) => return Some((handle, host)),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the tray host does not answer".to_owned(),
        };
        if attempt == 0 {
            tracing::warn!(error, "no tray item yet: {WITHOUT}");
        } else {
            tracing::debug!(error, "no tray item yet");
        }
        let wait = tokio::time::sleep(WAITS[attempt.min(WAITS.len() - 1)]);
        tokio::select! {
            () = wait => {}
            () = ended(snapshots) => return None,
        }
    }
    None
}

/// Returns when a host that has come does not answer: nothing can be changed about the item then, nor does it hear of the next
/// host.
async fn held_up(handle: &Handle<Item>, came: &Notify) {
    loop {
        came.notified().await;
        if timeout(ANSWERED_WITHIN, handle.update(|_| ())).await.is_err() {
            tracing::debug!("the tray host does not answer");
            return;
        }
    }
}

async fn ended(snapshots: &mut watch::Receiver<Snapshot>) {
    while snapshots.changed().await.is_ok() {}
}

/// What one item hears of its host.
#[derive(Default)]
struct Host {
    /// One that has come does not take the item.
    refused: Notify,
    came: Notify,
}

struct Item {
    snapshot: Snapshot,
    /// Drawing takes longer than all the rest, and the ring is the same for hours.
    drawn: (Ring, Vec<Icon>),
    intents: mpsc::Sender<Intent>,
    host: Arc<Host>,
    words: Words,
}

impl Item {
    fn new(snapshot: Snapshot, intents: mpsc::Sender<Intent>, host: Arc<Host>) -> Self {
        let drawn = pixmaps(ring(&snapshot));
        Self { snapshot, drawn, intents, host, words: Words::of_this_desktop() }
    }

    fn show(&mut self, snapshot: Snapshot) {
        let ring = ring(&snapshot);
        if ring != self.drawn.0 {
            self.drawn = pixmaps(ring);
        }
        self.snapshot = snapshot;
    }

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
        match self.drawn.0 {
            Ring::Attention => Status::NeedsAttention,
            Ring::Full | Ring::Half | Ring::Dashed => Status::Active,
        }
    }

    fn icon_pixmap(&self) -> Vec<Icon> {
        self.drawn.1.clone()
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

    fn watcher_online(&self) {
        self.host.came.notify_one();
    }

    /// Where there is no host, the next one is heard of by itself; one that errs has to be asked again.
    fn watcher_offline(&self, reason: OfflineReason) -> bool {
        let gone =
            matches!(reason, OfflineReason::No | OfflineReason::Error(Error::Watcher(ServiceUnknown(_))));
        if gone {
            tracing::warn!("no tray host: {WITHOUT}");
        } else {
            tracing::debug!(?reason, "the tray host errs");
            self.host.refused.notify_one();
        }
        gone
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

fn pixmaps(ring: Ring) -> (Ring, Vec<Icon>) {
    (ring, SIDES.map(|side| pixmap(ring, side)).into())
}

fn pixmap(ring: Ring, side: u32) -> Icon {
    let picture = draw(ring, side);
    let side = i32::try_from(picture.side).unwrap_or(i32::MAX);
    Icon { width: side, height: side, data: picture.argb }
}
