//! A PC that becomes another account's.

use ionet_core::Snapshot;
use journeys::account::Account;
use journeys::read;
use journeys::site::Site;

/// The region's ledger goes by nodes: a node that came along would earn for whoever had it first.
#[tokio::test(flavor = "multi_thread")]
async fn a_pc_that_becomes_another_accounts_is_another_node_and_earns_for_that_account() {
    let Some(site) = Site::start().await else { return };
    let bob = Account::sign_in(&site.stage.endpoints(), "bob", "demo").await.unwrap();
    let mut pc = site.machine("pc").await;
    pc.start();
    pc.online().await;
    let (old_device, old_node) = (pc.device().await, pc.node().await);
    pc.leave().await;

    pc.becomes_anothers(&bob.enrolment_token().await.unwrap().token);
    pc.start();
    pc.online().await;
    site.job("render", &pc).await;
    let earned = |now: &Snapshot| read::earned_today(now).is_some_and(|micros| micros > 0);
    let now = pc.until("it earns", earned).await;

    assert_eq!(now.paid.map(|paid| paid.subject).as_deref(), Some("bob"));
    assert_ne!((pc.device().await, pc.node().await), (old_device, old_node));
    assert_eq!(bob.devices().await.unwrap().devices.len(), 1);
}
