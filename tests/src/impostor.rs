//! Somebody else at the gateway's address.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::sync::Arc;

use ionet_stage::Stage;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use url::Url;

/// Somebody else at the gateway's address, with its certificate.
pub struct Impostor(tokio::task::JoinHandle<()>);

impl Impostor {
    /// Answers whatever it is asked with this status and page.
    pub async fn says(stage: &Stage, status: &'static str, page: &'static str) -> Self {
        Self::at_the_gateways_address(stage, Some((status, page))).await
    }

    /// Takes every connection and says nothing.
    pub async fn silent(stage: &Stage) -> Self {
        Self::at_the_gateways_address(stage, None).await
    }

    pub async fn leaves(self) {
        self.0.abort();
        let _ = self.0.await;
    }

    async fn at_the_gateways_address(stage: &Stage, answer: Option<Answer>) -> Self {
        let files = &stage.pki().gateway;
        let chain = CertificateDer::pem_file_iter(&files.cert).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
        let config =
            rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        let tls = TlsAcceptor::from(Arc::new(config));
        let port = Url::parse(&stage.endpoints().gateway).unwrap().port().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        Self(tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let tls = tls.clone();
                open.spawn(async move { say(tls.accept(stream).await?, answer).await });
            }
        }))
    }
}

/// A status and a page.
type Answer = (&'static str, &'static str);

async fn say(mut stream: TlsStream<TcpStream>, answer: Option<Answer>) -> std::io::Result<()> {
    stream.read_u8().await?;
    let Some((status, page)) = answer else { return std::future::pending().await };
    let length = page.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(page.as_bytes()).await?;
    stream.shutdown().await
}
