//! What is asked and answered over a connection, and the live figures.

use super::*;

#[tokio::test]
async fn live_figures_go_to_a_window_that_wants_them_and_to_nobody_else() {
    let resident = Resident::start();
    resident.figures.send_replace(Some(figures(1)));
    let mut wanting = resident.windows.wanting_figures();
    let (mut updates, asks) = resident.connect(Kind::Window).await.split();
    let (mut others, _other) = resident.connect(Kind::Window).await.split();
    let (mut commands, command) = resident.connect(Kind::Command).await.split();

    asks.want_figures(true).await.unwrap();
    command.want_figures(true).await.unwrap();
    soon(wanting.wait_for(|count| *count == 1)).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        if let Update::Figures(figures) = soon(updates.update()).await.unwrap() {
            seen.push(figures);
            resident.figures.send_replace(None);
        }
    }
    asks.want_figures(false).await.unwrap();
    soon(wanting.wait_for(|count| *count == 0)).await.unwrap();

    assert_eq!(seen, [Some(figures(1)), None]);
    for updates in [&mut others, &mut commands] {
        assert!(matches!(soon(updates.update()).await.unwrap(), Update::Snapshot(_)));
        resident.windows.raise();
        assert_eq!(soon(updates.update()).await.unwrap(), Update::Raise, "no figures in between");
    }
}

#[tokio::test]
async fn questions_are_answered_in_the_order_of_the_answers_while_snapshots_go_on() {
    let mut resident = Resident::start();
    let (mut updates, asks) = resident.connect(Kind::Window).await.split();
    let (first, second) = (asks.clone(), asks.clone());
    let first = tokio::spawn(async move { first.ask(question(1)).await });
    let (asked_first, reply_first) = soon(resident.questions.recv()).await.unwrap();
    let second = tokio::spawn(async move { second.ask(question(2)).await });
    let (asked_second, reply_second) = soon(resident.questions.recv()).await.unwrap();
    let reading = tokio::spawn(async move { while updates.update().await.is_ok() {} });

    reply_second.send(Ok(answered(2))).unwrap();
    let second = soon(second).await.unwrap().unwrap();
    resident.snapshots.send_modify(|snapshot| snapshot.rehearsal = true);
    reply_first.send(Err(Refused::TooLate)).unwrap();
    let first = soon(first).await.unwrap();

    assert_eq!((asked_first, asked_second), (question(1), question(2)));
    assert_eq!(second, answered(2));
    assert!(matches!(first, Err(WireError::Refused(Refused::TooLate))));
    reading.abort();
}

#[tokio::test]
async fn a_command_asks_and_gets_its_answer_among_the_updates() {
    let mut resident = Resident::start();
    let mut client = resident.connect(Kind::Command).await;
    let answering = async {
        let (_, reply) = soon(resident.questions.recv()).await.unwrap();
        resident.snapshots.send_modify(|snapshot| snapshot.rehearsal = true);
        reply.send(Ok(answered(3))).unwrap();
    };

    let (answer, ()) = soon(async { tokio::join!(client.ask(question(3)), answering) }).await;

    assert_eq!(answer.unwrap(), answered(3));
}

#[tokio::test]
async fn too_many_questions_at_once_are_refused_and_the_others_still_answered() {
    let mut resident = Resident::start();
    let (mut updates, asks) = resident.connect(Kind::Window).await.split();
    let reading = tokio::spawn(async move { while updates.update().await.is_ok() {} });
    let mut asking = JoinSet::new();
    for number in 0..12 {
        let asks = asks.clone();
        asking.spawn(async move { asks.ask(question(number)).await });
    }

    let mut replies = Vec::new();
    while replies.len() < 8 {
        replies.push(soon(resident.questions.recv()).await.unwrap().1);
    }
    for _ in 0..4 {
        let refused = soon(asking.join_next()).await.unwrap().unwrap();
        assert!(matches!(refused, Err(WireError::Refused(Refused::TooMany))));
    }
    for reply in replies {
        reply.send(Ok(answered(1))).unwrap();
    }

    while let Some(asked) = soon(asking.join_next()).await {
        assert_eq!(asked.unwrap().unwrap(), answered(1));
    }
    reading.abort();
}

#[tokio::test]
async fn a_question_that_nobody_answers_is_refused_and_a_lost_connection_is_said() {
    let mut resident = Resident::start();
    let mut client = resident.connect(Kind::Command).await;
    let dropping = async { drop(soon(resident.questions.recv()).await.unwrap()) };

    let (unanswered, ()) = soon(async { tokio::join!(client.ask(question(1)), dropping) }).await;
    let (updates, asks) = client.split();
    drop(updates);
    let unread = soon(asks.ask(question(2))).await;

    assert!(matches!(unanswered, Err(WireError::Refused(Refused::NoAnswer))));
    assert!(matches!(unread, Err(WireError::Closed)));
}
