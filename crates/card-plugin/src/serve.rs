//! The program: it says where it listens, answers, and ends when it is told to or nobody is left to tell it.

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use futures_util::stream;
use ionet_sensors::Cards;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{PidfdFlags, getppid, pidfd_open};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::{Request, Response, Status, async_trait};

use crate::base::Base;
use crate::desk::Desk;
use crate::device::Device;
use crate::handshake::{COOKIE, Handshake, listen};
use crate::protocol::services::base_plugin_server::BasePluginServer;
use crate::protocol::services::device_plugin_server::DevicePluginServer;
use crate::protocol::services::g_r_p_c_controller_server::{GRPCController, GRPCControllerServer};
use crate::protocol::services::g_r_p_c_stdio_server::{GRPCStdio, GRPCStdioServer};
use crate::protocol::services::health_server::{Health, HealthServer};
use crate::protocol::{self, Empty, HealthQuestion, Printed};

/// Serves whoever started this program, until they end it.
pub fn run() -> ExitCode {
    let (variable, word) = COOKIE;
    if std::env::var_os(variable).is_none_or(|value| value != word) {
        say(
            "This is a part of ionet-supplier that its agent starts. There is nothing to do with it by hand.",
        );
        return ExitCode::FAILURE;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime.map_err(Into::into).and_then(|runtime| {
        let served = runtime.block_on(serve());
        // A driver that hangs holds nobody up.
        runtime.shutdown_background();
        served
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("the plugin for cards has ended: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let mut socket = listen()?;
    let handshake = Handshake { socket: socket.path().to_owned() };
    let ended = CancellationToken::new();
    let desk = Arc::new(Desk::new(Cards::default()));
    let server = Server::builder()
        .add_service(BasePluginServer::new(Base(desk.clone())))
        .add_service(DevicePluginServer::new(Device { desk, ended: ended.clone() }))
        .add_service(GRPCControllerServer::new(Controller(ended.clone())))
        .add_service(GRPCStdioServer::new(Stdio(ended.clone())))
        .add_service(HealthServer::new(Healthy));
    tokio::spawn(until_told(ended.clone()));
    {
        let mut out = io::stdout().lock();
        writeln!(out, "{handshake}")?;
        out.flush()?;
    }
    server.serve_with_incoming_shutdown(callers(socket.as_file_mut()), ended.cancelled_owned()).await?;
    Ok(())
}

fn callers(listener: &mut UnixListener) -> impl stream::Stream<Item = io::Result<UnixStream>> {
    stream::unfold(listener, |listener| async {
        let caller = listener.accept().await.map(|(caller, _)| caller);
        Some((caller, listener))
    })
}

/// Cancels when the program is to end: by a signal, or because the agent that started it is gone. An interrupt in a terminal
/// is the agent's to answer.
async fn until_told(ended: CancellationToken) {
    let _interrupted = signal(SignalKind::interrupt());
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminated) => drop(terminated.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = terminated => {}
        () = orphaned() => {}
    }
    ended.cancel();
}

/// A kernel before 5.3, or a world without the parent, does not tell: then whoever ends the agent ends this too.
async fn orphaned() {
    let Some(parent) = getppid().and_then(|parent| pidfd_open(parent, PidfdFlags::empty()).ok()) else {
        return std::future::pending().await;
    };
    let (gone, is_gone) = oneshot::channel::<Infallible>();
    std::thread::spawn(move || {
        let _ = poll(&mut [PollFd::new(&parent, PollFlags::IN)], None);
        drop(gone);
    });
    let _ = is_gone.await;
}

struct Controller(CancellationToken);

#[async_trait]
impl GRPCController for Controller {
    async fn shutdown(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        self.0.cancel();
        Ok(Response::new(Empty {}))
    }
}

/// What a plugin prints comes over its socket: this one prints nothing, and says so for as long as it lives.
struct Stdio(CancellationToken);

#[async_trait]
impl GRPCStdio for Stdio {
    type StreamStdioStream = std::pin::Pin<Box<dyn stream::Stream<Item = Result<Printed, Status>> + Send>>;

    async fn stream_stdio(&self, _: Request<Empty>) -> Result<Response<Self::StreamStdioStream>, Status> {
        let ended = self.0.clone().cancelled_owned();
        let nothing = stream::unfold(Some(ended), |ended| async {
            ended?.await;
            None
        });
        Ok(Response::new(Box::pin(nothing)))
    }
}

struct Healthy;

#[async_trait]
impl Health for Healthy {
    async fn check(&self, _: Request<HealthQuestion>) -> Result<Response<protocol::Health>, Status> {
        const SERVES: i32 = 1;
        Ok(Response::new(protocol::Health { status: SERVES }))
    }
}

/// Where it goes, the agent writes it into its own log.
fn say(text: &str) {
    let line = serde_json::json!({"@level": "error", "@message": text});
    let _ = writeln!(io::stderr(), "{line}");
}
