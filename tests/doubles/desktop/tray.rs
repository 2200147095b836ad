//! A tray host: takes the app's item, reads its face and menu, and clicks.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::sync::watch;
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value};

const ITEM: &str = "org.kde.StatusNotifierItem";
const NAME: &str = "org.kde.StatusNotifierWatcher";
const MENU: &str = "com.canonical.dbusmenu";

#[derive(Debug)]
pub struct Tray {
    bus: zbus::Connection,
    host: Arc<Host>,
}

/// What a person sees of the item without opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Face {
    pub id: String,
    pub title: String,
    /// `Active`, `Passive`, `NeedsAttention`.
    pub status: String,
    pub tooltip: String,
    /// It brings a picture of its own, or names one.
    pub has_icon: bool,
}

/// One line of the menu. Lines of a submenu follow the line that opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub id: i32,
    /// Without the underscores that mark access keys.
    pub label: String,
    pub enabled: bool,
    pub depth: usize,
}

impl Tray {
    pub(super) async fn start(bus: &zbus::Connection) -> Result<Self> {
        let tray = Self::absent(bus).await?;
        tray.comes().await?;
        Ok(tray)
    }

    /// One that is not there yet.
    pub async fn absent(bus: &zbus::Connection) -> Result<Self> {
        let host = Arc::new(Host::default());
        bus.object_server().at("/StatusNotifierWatcher", Watcher(host.clone())).await?;
        Ok(Self { bus: bus.clone(), host })
    }

    pub async fn comes(&self) -> Result<()> {
        Ok(self.bus.request_name(NAME).await?)
    }

    /// With all that it was told.
    pub async fn leaves(&self) -> Result<()> {
        self.bus.release_name(NAME).await?;
        self.host.items.send_modify(Vec::clear);
        Ok(())
    }

    /// From now on every item is turned away.
    pub fn refuse(&self) {
        self.refuse_times(usize::MAX);
    }

    /// So many items are turned away, and those after them taken.
    pub fn refuse_times(&self, times: usize) {
        self.host.refuses.send_replace(times);
    }

    /// From now on nobody gets an answer.
    pub fn fall_silent(&self) {
        self.host.silent.send_replace(true);
    }

    /// Waits until it has been asked so often in vain.
    pub async fn left_unanswered(&self, times: usize, patience: Duration) -> Result<()> {
        let mut unanswered = self.host.unanswered.subscribe();
        let asked = unanswered.wait_for(|count| *count >= times);
        tokio::time::timeout(patience, asked).await.context("nobody asked the tray")??;
        Ok(())
    }

    /// Waits until the app has put its item here, and gives its face.
    pub async fn item(&self, patience: Duration) -> Result<Face> {
        crate::wait::until("a tray item", patience, || async {
            match self.newest() {
                Some(_) => self.face().await.map(Some),
                None => Ok(None),
            }
        })
        .await
    }

    /// Waits until the item's title is `wanted`, and gives it.
    pub async fn titled(&self, wanted: &str, patience: Duration) -> Result<String> {
        crate::wait::until(&format!("the tray item says {wanted}"), patience, || async {
            let title = self.face().await?.title;
            anyhow::ensure!(title == wanted, "it says {title}");
            Ok(Some(title))
        })
        .await
    }

    /// Whether an item of a program that still runs is here.
    pub async fn is_shown(&self) -> bool {
        self.newest().is_some() && self.face().await.is_ok()
    }

    pub async fn face(&self) -> Result<Face> {
        let item = self.newest().context("no item is in the tray")?;
        let proxy = self.proxy(item.owner, item.path, ITEM).await?;
        let text = async |name: &str| proxy.get_property::<String>(name).await.unwrap_or_default();
        let tooltip = proxy.get_property::<OwnedValue>("ToolTip").await.ok();
        let pixels: usize = proxy.get_property::<Vec<Pixmap>>("IconPixmap").await.map_or(0, |all| all.len());
        Ok(Face {
            id: proxy.get_property("Id").await?,
            title: text("Title").await,
            status: text("Status").await,
            tooltip: tooltip.map(|value| strings(&value).join(" ")).unwrap_or_default(),
            has_icon: pixels > 0 || !text("IconName").await.is_empty(),
        })
    }

    /// The menu as it is now, separators and hidden lines left out.
    pub async fn menu(&self) -> Result<Vec<Line>> {
        let menu = self.menu_proxy().await?;
        let none: &[&str] = &[];
        // Some menus are made when they are about to be shown.
        let _: Result<bool, zbus::Error> = menu.call("AboutToShow", &(0_i32)).await;
        let reply = menu.call_method("GetLayout", &(0_i32, -1_i32, none)).await?;
        let body = reply.body();
        let layout: zbus::zvariant::Structure<'_> = body.deserialize()?;
        let root = layout.fields().get(1).context("a layout without a root")?;
        let mut lines = Vec::new();
        collect(root, 0, &mut lines);
        Ok(lines)
    }

    /// Clicks the first enabled line that `wanted` picks, as soon as there is one; gives its label.
    pub async fn click(
        &self,
        what: &str,
        patience: Duration,
        wanted: impl Fn(&Line) -> bool,
    ) -> Result<String> {
        crate::wait::until(&format!("{what} in the tray's menu"), patience, || async {
            let menu = self.menu().await?;
            let Some(line) = menu.iter().find(|line| line.enabled && wanted(line)) else {
                bail!("the menu says {:?}", menu.iter().map(|line| &line.label).collect::<Vec<_>>())
            };
            // The menu may have been made anew since it was read: its numbers are then unknown, and it is read again.
            let clicked = (line.id, "clicked", Value::I32(0), 0_u32);
            self.menu_proxy().await?.call_method("Event", &clicked).await?;
            Ok(Some(line.label.clone()))
        })
        .await
    }

    fn newest(&self) -> Option<Item> {
        self.host.items.borrow().last().cloned()
    }

    /// Every question goes to the item itself: what it said before is not kept.
    async fn proxy(
        &self,
        owner: String,
        path: String,
        interface: &'static str,
    ) -> Result<zbus::Proxy<'static>> {
        let proxy = zbus::proxy::Builder::new(&self.bus)
            .destination(owner)?
            .path(path)?
            .interface(interface)?
            .cache_properties(zbus::proxy::CacheProperties::No);
        Ok(proxy.build().await?)
    }

    async fn menu_proxy(&self) -> Result<zbus::Proxy<'static>> {
        let item = self.newest().context("no item is in the tray")?;
        let proxy = self.proxy(item.owner.clone(), item.path, ITEM).await?;
        let path: OwnedObjectPath = proxy.get_property("Menu").await?;
        self.proxy(item.owner, path.to_string(), MENU).await
    }
}

/// Width, height, ARGB bytes.
type Pixmap = (i32, i32, Vec<u8>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    owner: String,
    path: String,
}

#[derive(Debug, Default)]
struct Host {
    items: watch::Sender<Vec<Item>>,
    /// How many items it still turns away.
    refuses: watch::Sender<usize>,
    silent: watch::Sender<bool>,
    /// How many items it has left without an answer.
    unanswered: watch::Sender<usize>,
}

struct Watcher(Arc<Host>);

#[zbus::interface(name = "org.kde.StatusNotifierWatcher")]
impl Watcher {
    async fn register_status_notifier_item(
        &self,
        service: String,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> zbus::fdo::Result<()> {
        if *self.0.silent.borrow() {
            self.0.unanswered.send_modify(|count| *count += 1);
            std::future::pending::<()>().await;
        }
        if *self.0.refuses.borrow() > 0 {
            self.0.refuses.send_modify(|times| *times -= 1);
            return Err(zbus::fdo::Error::AccessDenied("this tray takes no items".to_owned()));
        }
        let sender = header.sender().map(ToString::to_string).unwrap_or_default();
        // Either an object's path at the sender, or a bus name with the usual path.
        let item = if service.starts_with('/') {
            Item { owner: sender, path: service.clone() }
        } else {
            Item { owner: service.clone(), path: "/StatusNotifierItem".to_owned() }
        };
        self.0.items.send_modify(|items| items.push(item));
        Self::status_notifier_item_registered(&emitter, &service).await?;
        Ok(())
    }

    fn register_status_notifier_host(&self, _service: String) {}

    #[zbus(property)]
    fn registered_status_notifier_items(&self) -> Vec<String> {
        self.0.items.borrow().iter().map(|item| format!("{}{}", item.owner, item.path)).collect()
    }

    #[zbus(property)]
    fn is_status_notifier_host_registered(&self) -> bool {
        true
    }

    #[zbus(property)]
    fn protocol_version(&self) -> i32 {
        0
    }

    #[zbus(signal)]
    async fn status_notifier_item_registered(emitter: &SignalEmitter<'_>, service: &str) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn status_notifier_host_registered(emitter: &SignalEmitter<'_>) -> zbus::Result<()>;
}

/// A menu node is `(id, properties, children)`; each child is wrapped in a variant.
fn collect(node: &Value<'_>, depth: usize, lines: &mut Vec<Line>) {
    let Value::Structure(fields) = plain(node) else { return };
    let [Value::I32(id), Value::Dict(properties), Value::Array(children)] = fields.fields() else { return };
    let property = |name: &str| {
        let found = properties.iter().find(|(key, _)| matches!(key, Value::Str(key) if key.as_str() == name));
        found.map(|(_, value)| plain(value))
    };
    let flag = |name: &str| !matches!(property(name), Some(Value::Bool(false)));
    if !flag("visible") {
        return;
    }
    if let Some(Value::Str(label)) = property("label")
        && !label.is_empty()
    {
        let label = label.replace("__", "\u{0}").replace('_', "").replace('\u{0}', "_");
        lines.push(Line { id: *id, label, enabled: flag("enabled"), depth });
    }
    for child in children.iter() {
        collect(child, depth + 1, lines);
    }
}

/// A value without the variant around it.
fn plain<'a, 'v>(value: &'a Value<'v>) -> &'a Value<'v> {
    if let Value::Value(inner) = value { plain(inner) } else { value }
}

/// Every non-empty text in a value.
fn strings(value: &Value<'_>) -> Vec<String> {
    let value = plain(value);
    if let Value::Structure(fields) = value {
        return fields.fields().iter().flat_map(strings).collect();
    }
    let text = if let Value::Str(text) = value { text.as_str() } else { "" };
    if text.is_empty() { Vec::new() } else { vec![text.to_owned()] }
}
