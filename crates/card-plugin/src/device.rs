//! The cards: which there are, which a task gets, what they are doing.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, async_trait};

use crate::desk::Desk;
use crate::protocol::services::device_plugin_server::DevicePlugin;
use crate::protocol::{Empty, Fingerprint, Reservation, ReserveRequest, Reserved, Span, Stats, StatsRequest};

/// A card that falls off its bus is offered no longer than this. The sensor wakes none for it.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// However often somebody wants to hear of it.
const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// What NVIDIA's container runtime reads, and Nomad's docker driver chooses that runtime by.
const VISIBLE: &str = "NVIDIA_VISIBLE_DEVICES";

pub(crate) struct Device {
    pub(crate) desk: Arc<Desk>,
    /// No stream outlasts the plugin.
    pub(crate) ended: CancellationToken,
}

type Told<Of> = Pin<Box<dyn Stream<Item = Result<Of, Status>> + Send>>;

#[async_trait]
impl DevicePlugin for Device {
    type FingerprintStream = Told<Fingerprint>;
    type StatsStream = Told<Stats>;

    async fn fingerprint(&self, _: Request<Empty>) -> Result<Response<Told<Fingerprint>>, Status> {
        let changes = stream::unfold((self.desk.clone(), None), |(desk, last)| async move {
            let now = change(&desk, last.as_ref()).await;
            Some((Ok(now.clone()), (desk, Some(now))))
        });
        Ok(self.told(changes))
    }

    async fn reserve(&self, request: Request<ReserveRequest>) -> Result<Response<Reserved>, Status> {
        let ids = request.into_inner().ids;
        if ids.is_empty() {
            return Err(Status::invalid_argument("no card is asked for"));
        }
        self.desk.check(&ids).await?;
        let envs = BTreeMap::from([(VISIBLE.to_owned(), ids.join(","))]);
        Ok(Response::new(Reserved { container: Some(Reservation { envs }) }))
    }

    async fn stats(&self, request: Request<StatsRequest>) -> Result<Response<Told<Stats>>, Status> {
        let pause = request.into_inner().every.map_or(LEAST_PAUSE, pause);
        let stats = stream::unfold((self.desk.clone(), false), move |(desk, waits)| async move {
            if waits {
                sleep(pause).await;
            }
            let stats = desk.stats().await;
            Some((stats, (desk, true)))
        });
        Ok(self.told(stats.filter_map(|stats| async { stats.map(Ok) })))
    }
}

impl Device {
    fn told<Of>(
        &self,
        stream: impl Stream<Item = Result<Of, Status>> + Send + 'static,
    ) -> Response<Told<Of>> {
        Response::new(Box::pin(stream.take_until(self.ended.clone().cancelled_owned())))
    }
}

/// What is offered, once that is something else than the last time.
async fn change(desk: &Desk, last: Option<&Fingerprint>) -> Fingerprint {
    loop {
        if last.is_some() {
            sleep(LOOK_EVERY).await;
        }
        let now = desk.offer(last).await;
        if last != Some(&now) {
            return now;
        }
    }
}

fn pause(asked: Span) -> Duration {
    let seconds = Duration::from_secs(u64::try_from(asked.seconds).unwrap_or_default());
    (seconds + Duration::from_nanos(u64::try_from(asked.nanos).unwrap_or_default())).max(LEAST_PAUSE)
}
