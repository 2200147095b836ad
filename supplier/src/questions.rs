//! What watchers ask and get one answer to: what was earned.

use std::sync::Arc;

use ionet_cloud::Cloud;
use ionet_core::earnings::{EarningsAnswer, EarningsQuestion};
use ionet_core::event::KeptSession;
use ionet_core::fault::CloudFault;
use ionet_core::problem::{Stops, of_cloud};
use ionet_core::question::{Answer, Question, Refused};
use ionet_core::{Event, Signal};
use ionet_wire::server::Asked;
use tokio::sync::{Mutex, mpsc};

/// Answers until nobody can ask any more. Each question beside the others: one may wait for the gateway.
/// An answer that says that the session is over is told to the core as well: the owner is to be asked to sign in.
pub async fn answer(cloud: Cloud, questions: Arc<Mutex<mpsc::Receiver<Asked>>>, events: mpsc::Sender<Event>) {
    let mut questions = questions.lock().await;
    while let Some((question, reply)) = questions.recv().await {
        let (cloud, events) = (cloud.clone(), events.clone());
        tokio::spawn(async move {
            let Question::Earnings(question) = question;
            let answer = earnings(&cloud, question).await;
            let over = matches!(answer, Err(CloudFault::NotSignedIn | CloudFault::SessionEnded));
            // Whoever asked may have left, and waits for no keyring.
            let _ = reply.send(answer.map(Answer::Earnings).map_err(refused));
            // Who has signed in meanwhile is signed in.
            if over && cloud.session().await == KeptSession::None {
                let _ = events.send(Event::Signal(Signal::Session(KeptSession::None))).await;
            }
        });
    }
}

async fn earnings(cloud: &Cloud, question: EarningsQuestion) -> Result<EarningsAnswer, CloudFault> {
    match question {
        EarningsQuestion::Periods { scope, boundaries } => {
            let boundaries: Vec<i64> = boundaries.into_iter().map(|at| at.0).collect();
            cloud.periods(scope, &boundaries).await.map(EarningsAnswer::Periods)
        }
        EarningsQuestion::Jobs { scope, from, to, after, limit } => {
            cloud.jobs(scope, from.0, to.0, after, limit).await.map(EarningsAnswer::Jobs)
        }
    }
}

/// In the words in which the same fault is shown everywhere.
fn refused(fault: CloudFault) -> Refused {
    Refused::Problem { problem: of_cloud(&fault, Stops::Nothing) }
}
