//! A gateway of a few lines: real TLS, real certificates, answers that the test chooses.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{Json, Request};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::post;
use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use ionet_gateway_api::{AccountState, Certificate, EnrolRequest, RenewRequest, path};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer,
    ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

pub(crate) const HOUR_MS: i64 = 3_600_000;

/// Signs everything: the gateway's own certificate and the devices'.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// Dropping it ends it.
pub(crate) struct Gateway {
    pub(crate) url: String,
    pub(crate) ca_pem: String,
    _serving: AbortOnDropHandle<()>,
}

/// Whether the request came with a client certificate.
#[derive(Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) certified: bool,
}

impl Authority {
    pub(crate) fn new() -> Arc<Self> {
        Self::named("Test Root")
    }

    pub(crate) fn named(name: &str) -> Arc<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Arc::new(Self { issuer })
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// What enrolment gives for this request; `expires_in_ms` may lie in the past.
    pub(crate) fn certificate(&self, csr_pem: &str, expires_in_ms: i64) -> Certificate {
        let mut request = CertificateSigningRequestParams::from_pem(csr_pem).unwrap();
        request.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        request.params.not_after = (SystemTime::now() + std::time::Duration::from_secs(86_400)).into();
        let expires_at_ms = now_ms() + expires_in_ms;
        Certificate {
            device: "d-0123456789abcdef0123456789abcdef".into(),
            chain_pem: request.signed_by(&self.issuer).unwrap().pem(),
            ca_pem: self.pem(),
            issued_at_ms: expires_at_ms - 6 * HOUR_MS,
            expires_at_ms,
            region: "eu".into(),
            datacenter: "home".into(),
            node_pool: "gamers".into(),
            servers: vec!["127.0.0.1:4647".into()],
            account: AccountState { subject: "alice".into(), shown: "alice@example.test".into() },
        }
    }

    /// Enrolment and renewal, each giving a certificate of this life.
    pub(crate) fn enrolment(self: &Arc<Self>, life_ms: i64) -> Router {
        let (enrol, renew, prove) = (self.clone(), self.clone(), self.clone());
        Router::new()
            .route(
                path::DEVICES,
                post(async move |Json(ask): Json<EnrolRequest>| {
                    Json(enrol.certificate(&ask.csr_pem, life_ms))
                }),
            )
            .route(
                path::CERTIFICATE,
                post(async move |Extension(peer): Extension<Peer>, Json(ask): Json<RenewRequest>| {
                    assert!(peer.certified);
                    Json(renew.certificate(&ask.csr_pem, 2 * HOUR_MS))
                }),
            )
            .route(
                path::RENEWALS,
                post(async move |Extension(peer): Extension<Peer>, Json(ask): Json<RenewRequest>| {
                    assert!(!peer.certified);
                    Json(prove.certificate(&ask.csr_pem, 3 * HOUR_MS))
                }),
            )
    }

    /// Serves with a certificate that is valid now, and accepts the devices of this authority.
    pub(crate) async fn serve(&self, routes: Router) -> Gateway {
        self.serve_with(routes, self, Self::server_params()).await
    }

    pub(crate) async fn serve_with(
        &self,
        routes: Router,
        devices: &Self,
        server: CertificateParams,
    ) -> Gateway {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let acceptor = TlsAcceptor::from(Arc::new(self.tls(devices, server)));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(acceptor.clone(), stream, routes.clone()));
            }
        });
        Gateway { url, ca_pem: self.pem(), _serving: AbortOnDropHandle::new(serving) }
    }

    pub(crate) fn server_params() -> CertificateParams {
        CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap()
    }

    fn tls(&self, devices: &Self, server: CertificateParams) -> ServerConfig {
        let mut roots = RootCertStore::empty();
        roots.add(devices.issuer.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder(roots.into()).allow_unauthenticated().build().unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = server.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let mut config =
            ServerConfig::builder().with_client_cert_verifier(verifier).with_single_cert(chain, key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config
    }
}

/// Every answer says that it is this much earlier than it is: the asker's clock seems to be ahead.
pub(crate) fn earlier_by(routes: Router, ms: i64) -> Router {
    routes.layer(axum::middleware::from_fn(move |request: Request, next: Next| async move {
        let mut response: Response = next.run(request).await;
        let then = SystemTime::now() - std::time::Duration::from_millis(ms.unsigned_abs());
        response.headers_mut().insert("date", httpdate::fmt_http_date(then).parse().unwrap());
        response
    }))
}

pub(crate) fn problem(status: u16, code: &str) -> Response {
    let body = serde_json::json!({"type": "about:blank", "title": "no", "status": status, "code": code});
    Response::builder()
        .status(status)
        .header("content-type", "application/problem+json")
        .body(body.to_string().into())
        .unwrap()
}

pub(crate) fn now_ms() -> i64 {
    i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

async fn answer(acceptor: TlsAcceptor, stream: tokio::net::TcpStream, routes: Router) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let certified = stream.get_ref().1.peer_certificates().is_some();
    let service = TowerToHyperService::new(routes.layer(Extension(Peer { certified })));
    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}
