//! Watchers that take nothing, flood, or are too many.

use super::*;

#[tokio::test]
async fn a_watcher_that_takes_nothing_holds_up_nobody() {
    let resident = Resident::start();
    let mut stuck = resident.raw().await;
    stuck
        .get_mut()
        .write_all(b"{\"from_watcher\":\"hello\",\"protocol\":2,\"pid\":1,\"kind\":\"window\"}\n")
        .await
        .unwrap();
    let mut client = resident.connect(Kind::Window).await;

    // Far more than any buffer on the way takes.
    for round in 0..2000 {
        resident.snapshots.send_modify(|snapshot| {
            snapshot.rehearsal = round % 2 == 0;
            snapshot.jobs = vec![];
        });
        soon(client.next()).await.unwrap();
    }
    resident.serves_others().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_takes_nothing_for_long_is_let_go() {
    let resident = Resident::start();
    let mut count = resident.windows.count();
    let mut stuck = resident.raw().await;
    let hello = b"{\"from_watcher\":\"hello\",\"protocol\":2,\"pid\":1,\"kind\":\"window\"}\n";
    stuck.get_mut().write_all(hello).await.unwrap();
    count.wait_for(|count| *count == 1).await.unwrap();
    let changing = tokio::spawn(async move {
        loop {
            resident.snapshots.send_modify(|snapshot| snapshot.rehearsal = !snapshot.rehearsal);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });

    count.wait_for(|count| *count == 0).await.unwrap();
    changing.abort();
}

#[tokio::test]
async fn one_that_floods_is_heard_at_a_walking_pace_and_others_at_once() {
    let mut resident = Resident::start();
    let mut flooding = resident.connect(Kind::Command).await;
    let flood = tokio::spawn(async move { while flooding.send(Intent::Retry).await.is_ok() {} });
    let mut owner = resident.connect(Kind::Command).await;
    let begun = tokio::time::Instant::now();
    let pause = Intent::Quit { confirmed: true };

    owner.send(pause.clone()).await.unwrap();
    let mut before = 0;
    while soon(resident.intents.recv()).await.unwrap() != pause {
        before += 1;
    }

    // A burst of 64, and twenty a second after that.
    assert!(before <= 64 + 1 + begun.elapsed().as_millis() / 50, "{before}");
    flood.abort();
}

#[tokio::test]
async fn more_watchers_than_there_can_be_are_turned_away_with_a_reason() {
    let resident = Resident::start();
    let mut count = resident.windows.count();
    let mut watching = Vec::new();
    for _ in 0..MOST_WATCHERS {
        watching.push(resident.connect(Kind::Window).await);
    }
    soon(count.wait_for(|count| *count == MOST_WATCHERS)).await.unwrap();

    let mut one_more = resident.connect(Kind::Window).await;
    let refused = soon(one_more.next()).await;

    assert!(matches!(refused, Err(WireError::LetGo(LetGo::TooMany))));
    watching.pop();
    soon(count.wait_for(|count| *count < MOST_WATCHERS)).await.unwrap();
    resident.serves_others().await;
}
