//! Against a Secret Service of a few lines, spoken to without a bus between.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::UnixStream;
use zbus::object_server::SignalEmitter;
use zbus::{connection, interface};

use super::*;

const WALLET: &str = "/org/freedesktop/secrets/collection/login";
const ITEM: &str = "/org/freedesktop/secrets/collection/login/1";

#[derive(Clone)]
struct Service {
    locked: Arc<Mutex<bool>>,
    /// Whether the entry is there.
    kept: bool,
    /// Whether there is any wallet.
    wallet: bool,
}

#[interface(name = "org.freedesktop.Secret.Service")]
impl Service {
    fn search_items(
        &self,
        attributes: HashMap<String, String>,
    ) -> (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) {
        let asked = attributes["service"] == "the-app" && attributes["username"] == "https://id";
        let items = vec![OwnedObjectPath::try_from(ITEM).unwrap(); usize::from(self.kept && asked)];
        if *self.locked.lock().unwrap() { (vec![], items) } else { (items, vec![]) }
    }

    fn read_alias(&self, name: &str) -> OwnedObjectPath {
        let path = if self.wallet && name == "default" { WALLET } else { "/" };
        OwnedObjectPath::try_from(path).unwrap()
    }

    #[zbus(signal)]
    async fn collection_changed(emitter: &SignalEmitter<'_>, collection: &str) -> zbus::Result<()>;
}

struct Wallet(Arc<Mutex<bool>>);

#[interface(name = "org.freedesktop.Secret.Collection")]
impl Wallet {
    #[zbus(property)]
    fn locked(&self) -> bool {
        *self.0.lock().unwrap()
    }
}

/// The service's end and the app's.
async fn pair(service: Service) -> (Connection, Connection) {
    let (theirs, ours) = UnixStream::pair().unwrap();
    let guid = zbus::Guid::generate();
    let wallet = Wallet(service.locked.clone());
    let served = connection::Builder::unix_stream(theirs)
        .server(guid)
        .unwrap()
        .p2p()
        .serve_at(PATH, service)
        .unwrap()
        .serve_at(WALLET, wallet)
        .unwrap()
        .build();
    let (served, app) = tokio::join!(served, connection::Builder::unix_stream(ours).p2p().build());
    (served.unwrap(), app.unwrap())
}

async fn lock_with(locked: bool, kept: bool, wallet: bool) -> Lock {
    let (_service, app) = pair(Service { locked: Arc::new(Mutex::new(locked)), kept, wallet }).await;
    lock_of(&app, "the-app", "https://id").await.unwrap()
}

#[tokio::test]
async fn a_locked_keyring_is_told_from_one_without_the_entry() {
    assert_eq!(lock_with(true, true, true).await, Lock::Locked { entry: true });
    assert_eq!(lock_with(true, false, true).await, Lock::Locked { entry: false });
    assert_eq!(lock_with(false, true, true).await, Lock::Open);
    assert_eq!(lock_with(false, false, true).await, Lock::Open);
    assert_eq!(lock_with(false, false, false).await, Lock::Bare);
}

#[tokio::test]
async fn the_unlocking_is_heard() {
    let locked = Arc::new(Mutex::new(true));
    let (service, app) = pair(Service { locked: locked.clone(), kept: true, wallet: true }).await;
    let mut changes = changes_of(&app).await.unwrap();
    let before = lock_of(&app, "the-app", "https://id").await.unwrap();

    *locked.lock().unwrap() = false;
    let emitter = SignalEmitter::new(&service, PATH).unwrap();
    Service::collection_changed(&emitter, WALLET).await.unwrap();
    let heard = tokio::time::timeout(Duration::from_secs(10), changes.next()).await.unwrap();

    assert_eq!((before, heard), (Lock::Locked { entry: true }, Some(())));
    assert_eq!(lock_of(&app, "the-app", "https://id").await.unwrap(), Lock::Open);
}
