//! From the outbox into a store that does as it is told.

use std::collections::VecDeque;

use async_trait::async_trait;
use ionet_core::fault::LogFault;

use super::*;

/// Answers each request with what was planned for it, and then with yes.
#[derive(Default, Clone)]
struct FakeStore(Arc<Mutex<Shop>>);

#[derive(Default)]
struct Shop {
    grants: VecDeque<LogFault>,
    puts: VecDeque<Option<LogFault>>,
    asked: Vec<String>,
    stored: Vec<(String, Vec<u8>)>,
    /// No answer ever comes.
    hangs: bool,
    /// What each upload takes, by the shelf's clock.
    takes: Option<(Time, Duration)>,
}

#[async_trait]
impl Store for FakeStore {
    type Grant = Object;

    async fn grants(&self, objects: &[Object]) -> Result<Vec<Object>, LogFault> {
        let mut shop = self.0.lock().unwrap();
        shop.asked.extend(objects.iter().map(|object| object.name.clone()));
        match shop.grants.pop_front() {
            Some(fault) => Err(fault),
            None => Ok(objects.to_vec()),
        }
    }

    async fn put(&self, grant: Object, file: &Path) -> Result<(), LogFault> {
        let (hangs, answer) = {
            let mut shop = self.0.lock().unwrap();
            if let Some((time, takes)) = &shop.takes {
                time.pass(*takes);
            }
            (shop.hangs, shop.puts.pop_front())
        };
        if hangs {
            std::future::pending::<()>().await;
        }
        if let Some(Some(fault)) = answer {
            return Err(fault);
        }
        let bytes = fs::read(file).unwrap();
        assert_eq!(grant.length, bytes.len() as u64);
        self.0.lock().unwrap().stored.push((grant.name, bytes));
        Ok(())
    }

    fn host(&self, _: &Object) -> String {
        "store.example.test".to_owned()
    }
}

impl FakeStore {
    fn plan(&self, with: impl FnOnce(&mut Shop)) {
        with(&mut self.0.lock().unwrap());
    }

    fn stored(&self) -> Vec<String> {
        self.0.lock().unwrap().stored.iter().map(|(name, _)| name.clone()).collect()
    }

    fn asked(&self) -> usize {
        self.0.lock().unwrap().asked.len()
    }
}

/// A shelf with so many closed files, and a store.
fn shelf_with(files: usize) -> (Shelf, FakeStore, Shipper<FakeStore>) {
    let shelf = Shelf::new(small());
    for n in 0..files {
        shelf.write(&[&format!("line {n}")]);
        shelf.book.close();
    }
    let store = FakeStore::default();
    let shipper = Shipper::new(shelf.book.clone(), store.clone());
    (shelf, store, shipper)
}

const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn files_are_shipped_oldest_first_and_then_leave_the_outbox() {
    let (shelf, store, shipper) = shelf_with(3);
    let names = shelf.waiting();

    shipper.flush(SOON).await.unwrap();

    assert_eq!(store.stored(), names);
    assert_eq!(shelf.waiting(), [""; 0]);
    let report = shelf.report();
    assert_eq!((report.waiting, report.fault), (0, None));
    assert_eq!(report.last_shipped_at.unwrap().0, 1_763_880_000_000);
    let kept = unpack(&shelf.logs().join("shipped").join(&names[0]));
    assert_eq!(kept, b"line 0\n", "the app's own lines stay at hand");
}

#[tokio::test]
async fn what_the_store_has_is_not_sent_again_where_no_copy_of_it_can_be_kept() {
    let (shelf, store, shipper) = shelf_with(2);
    let names = shelf.waiting();
    fs::write(shelf.logs().join("shipped"), "no folder").unwrap();

    shipper.flush(SOON).await.unwrap();
    shipper.flush(SOON).await.unwrap();

    assert_eq!(store.stored(), names);
    assert_eq!((shelf.waiting(), shelf.report().waiting), (vec![], 0));
}

#[tokio::test]
async fn a_flush_takes_the_open_file_along() {
    let (shelf, store, shipper) = shelf_with(0);
    shelf.write(&["open"]);

    shipper.flush(SOON).await.unwrap();

    assert_eq!(store.stored().len(), 1);
}

#[tokio::test]
async fn a_refused_or_cut_upload_asks_for_a_fresh_grant() {
    let (shelf, store, shipper) = shelf_with(2);
    store.plan(|shop| {
        shop.puts = [Some(LogFault::Refused(403)), None, Some(LogFault::Unreachable), None].into();
    });

    shipper.flush(SOON).await.unwrap();

    assert_eq!(store.asked(), 4);
    assert_eq!(store.stored().len(), 2);
    assert_eq!(shelf.report().fault, None);
}

#[tokio::test]
async fn a_file_that_was_not_stored_stays() {
    let (shelf, store, shipper) = shelf_with(1);
    store.plan(|shop| shop.puts = [Some(LogFault::Refused(500)), Some(LogFault::Refused(503))].into());

    let flushed = shipper.flush(SOON).await;

    assert_eq!(flushed, Err(LogFault::Refused(503)));
    assert_eq!(shelf.text("app"), "line 0\n");
    let report = shelf.report();
    assert_eq!((report.waiting, report.fault), (1, Some(LogFault::Refused(503))));
}

#[tokio::test]
async fn one_refused_file_does_not_keep_the_others_back() {
    let (shelf, store, shipper) = shelf_with(3);
    let names = shelf.waiting();
    store.plan(|shop| shop.grants = [LogFault::Refused(413)].into());

    let flushed = shipper.flush(SOON).await;

    assert_eq!(flushed, Err(LogFault::Refused(413)));
    assert_eq!(store.stored(), names[1..]);
    assert_eq!(shelf.waiting(), names[..1]);
    assert_eq!(shelf.report().fault, Some(LogFault::Refused(413)));
}

#[tokio::test]
async fn a_store_that_refuses_everything_is_not_asked_for_every_file() {
    let (_shelf, store, shipper) = shelf_with(10);
    store.plan(|shop| shop.grants = vec![LogFault::Refused(403); 10].into());

    let flushed = shipper.flush(SOON).await;

    assert_eq!(flushed, Err(LogFault::Refused(403)));
    assert_eq!(store.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_flush_ends_by_its_deadline_when_the_store_hangs() {
    let (shelf, store, shipper) = shelf_with(1);
    store.plan(|shop| shop.hangs = true);

    let flushed = shipper.flush(SOON).await;

    assert_eq!(flushed, Err(LogFault::Unreachable));
    assert_eq!(shelf.waiting().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_flush_ends_by_its_deadline_when_a_round_under_way_hangs() {
    let (_shelf, store, shipper) = shelf_with(1);
    store.plan(|shop| shop.hangs = true);
    let flush = async {
        while store.asked() == 0 {
            tokio::task::yield_now().await;
        }
        shipper.flush(SOON).await
    };

    tokio::select! {
        () = shipper.run() => unreachable!("it never ends"),
        flushed = flush => assert_eq!(flushed, Err(LogFault::Unreachable)),
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_said_and_kept_and_does_not_keep_the_others_back() {
    let (shelf, store, shipper) = shelf_with(2);
    let names = shelf.waiting();
    let (file, aside) = (shelf.logs().join("outbox").join(&names[0]), shelf.folder.path().join("aside"));
    fs::rename(&file, &aside).unwrap();
    // Reading a folder fails, as a bad sector does.
    fs::create_dir(&file).unwrap();

    let flushed = shipper.flush(SOON).await;

    assert!(matches!(flushed, Err(LogFault::DiskFailing(_))), "{flushed:?}");
    assert_eq!((shelf.report().fault, shelf.waiting().len()), (flushed.err(), 1));
    assert_eq!(store.stored(), names[1..]);
    fs::remove_dir(&file).unwrap();
    fs::rename(&aside, &file).unwrap();
    shipper.flush(SOON).await.unwrap();
    assert_eq!(store.stored(), [names[1].clone(), names[0].clone()]);
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_store_is_tried_again_until_it_answers() {
    let (shelf, store, shipper) = shelf_with(2);
    store.plan(|shop| shop.grants = vec![LogFault::Unreachable; 12].into());
    let mut report = shelf.book.report();

    let shipped = async {
        report.wait_for(|report| report.last_shipped_at.is_some() && report.waiting == 0).await.is_ok()
    };
    tokio::select! {
        () = shipper.run() => unreachable!("it never ends"),
        shipped = shipped => assert!(shipped),
    }

    assert_eq!(store.stored().len(), 2);
    assert_eq!(store.asked(), 12 + 2);
}

#[tokio::test]
async fn what_is_packed_later_is_shipped_without_being_asked() {
    let (shelf, store, shipper) = shelf_with(0);
    let mut report = shelf.book.report();

    let later = async {
        tokio::task::yield_now().await;
        shelf.write(&["later"]);
        shelf.book.close();
        report.wait_for(|report| report.last_shipped_at.is_some()).await.is_ok()
    };
    tokio::select! {
        () = shipper.run() => unreachable!("it never ends"),
        shipped = later => assert!(shipped),
    }

    assert_eq!(store.stored().len(), 1);
}

#[tokio::test]
async fn a_store_that_takes_nothing_is_asked_for_one_file_at_a_time_until_it_does() {
    let (shelf, store, shipper) = shelf_with(10);
    store.plan(|shop| shop.puts = vec![Some(LogFault::Refused(501)); 7].into());

    assert_eq!(shipper.flush(SOON).await, Err(LogFault::Refused(501)));
    let first = store.asked();
    assert_eq!(shelf.report().fault, Some(LogFault::Refused(501)), "told with the store's word");
    assert_eq!(shipper.flush(SOON).await, Err(LogFault::Refused(501)));
    assert!(first <= 6, "{first}");
    assert_eq!(store.asked(), first + 1);
    while shipper.flush(SOON).await.is_err() {}

    assert_eq!(store.stored().len(), 10);
    assert_eq!(shelf.report().fault, None);
}

#[tokio::test]
async fn a_store_that_is_silent_for_a_day_is_named_and_a_gateway_that_is_silent_is_not() {
    let (shelf, store, shipper) = shelf_with(1);
    let silent = |shop: &mut Shop| shop.puts = vec![Some(LogFault::Unreachable); 2].into();
    for _ in 0..23 {
        store.plan(silent);
        assert_eq!(shipper.flush(SOON).await, Err(LogFault::Unreachable));
        shelf.pass(HOUR);
    }
    store.plan(|shop| shop.grants = [LogFault::Unreachable].into());
    assert_eq!(shipper.flush(SOON).await, Err(LogFault::Unreachable));
    shelf.pass(HOUR);
    store.plan(silent);

    let named = LogFault::StoreSilent("store.example.test".to_owned());
    // Two hours went by without a word of the gateway: the day begins anew, but what waits is a day old within the hour.
    assert_eq!(shipper.flush(SOON).await, Err(LogFault::Unreachable));
    shelf.pass(HOUR);
    store.plan(silent);
    assert_eq!(shipper.flush(SOON).await, Err(named.clone()));
    assert_eq!(shelf.report().fault, Some(named));

    shipper.flush(SOON).await.unwrap();
    assert_eq!(shelf.report().fault, None);
}

#[tokio::test]
async fn a_store_whose_silence_takes_long_is_named_all_the_same() {
    let (shelf, store, shipper) = shelf_with(1);
    store.plan(|shop| {
        shop.takes = Some((shelf.time.clone(), HOUR + HOUR / 2));
        shop.puts = vec![Some(LogFault::Unreachable); 40].into();
    });

    for _ in 0..7 {
        assert_eq!(shipper.flush(SOON).await, Err(LogFault::Unreachable));
    }

    assert_eq!(shipper.flush(SOON).await, Err(LogFault::StoreSilent("store.example.test".to_owned())));
}

const HOUR: Duration = Duration::from_secs(3600);
