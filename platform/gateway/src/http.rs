//! The router: which path leads where, and what holds for every request.

use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use ionet_gateway_api::path;
use tokio::time::Instant;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::problem::Refusal;
use crate::{Shared, devices, nodes, uploads, wanted, watch};

/// A certificate request has one to two kilobytes, the longest upload request under ten.
const BODY_LIMIT: usize = 64 * 1024;
/// For everything but the long poll, which has a limit of its own.
const REQUEST_LIMIT: Duration = Duration::from_secs(20);

/// JSON in and out; what cannot be read is refused as a problem.
#[derive(Debug, FromRequest)]
#[from_request(via(axum::Json), rejection(Refusal))]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: serde::Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let mut response = axum::Json(self.0).into_response();
        // Answers hold certificates, tokens and grants.
        response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
        response
    }
}

/// The query; what cannot be read is refused as a problem.
#[derive(Debug, FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Refusal))]
pub(crate) struct Query<T>(pub(crate) T);

#[derive(OpenApi)]
#[openapi(
    info(
        title = "io.net supplier gateway",
        description = "Between a supplier's PC and the io.net region. Times are milliseconds since the Unix epoch, money \
                       is a decimal string, every error is application/problem+json with a stable code."
    ),
    modifiers(&Security),
    components(schemas(ionet_gateway_api::Problem))
)]
struct Document;

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = |what: &str| {
            let mut scheme = Http::new(HttpAuthScheme::Bearer);
            scheme.description = Some(what.to_owned());
            SecurityScheme::Http(scheme)
        };
        let device = SecurityScheme::MutualTls {
            description: Some("the certificate from enrolment".to_owned()),
            extensions: None,
        };
        components.add_security_scheme("account", bearer("an access token of the identity provider"));
        components.add_security_scheme("enrolment_token", bearer("a token of /v1/enrolment-tokens, once"));
        components.add_security_scheme("device", device);
    }
}

/// The OpenAPI document, as it is committed beside the code.
pub fn openapi() -> utoipa::openapi::OpenApi {
    routers().1
}

pub(crate) fn router(gateway: Shared) -> Router {
    routers()
        .0
        .fallback(|| async { Refusal::NotFound })
        .method_not_allowed_fallback(|| async { Refusal::MethodNotAllowed })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(log))
        .with_state(gateway)
}

fn routers() -> (Router<Shared>, utoipa::openapi::OpenApi) {
    let limited = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(health))
        .routes(routes!(document))
        .routes(routes!(devices::enrol, devices::list))
        .routes(routes!(devices::lost))
        .routes(routes!(devices::retire))
        .routes(routes!(devices::enrolment_token))
        .routes(routes!(devices::renew_by_key))
        .routes(routes!(devices::renew_by_certificate))
        .routes(routes!(nodes::introduction))
        .routes(routes!(wanted::wanted))
        .routes(routes!(nodes::stop))
        .routes(routes!(uploads::uploads))
        .layer(middleware::from_fn(limit_time));
    limited.merge(OpenApiRouter::new().routes(routes!(watch::watch))).split_for_parts()
}

/// Whether the gateway and its database work, and whether a double of Nomad is in play. Says nothing else about the
/// region.
#[utoipa::path(get, path = path::HEALTH, tag = "nobody", responses((status = 200), (status = 500)))]
async fn health(State(gateway): State<Shared>) -> Result<&'static str, Refusal> {
    gateway.store.ping().await?;
    Ok(if gateway.nomad.is_double() { "ok (rehearsal: a double of Nomad is in play)\n" } else { "ok\n" })
}

/// This document.
#[utoipa::path(get, path = path::OPENAPI, tag = "nobody", responses((status = 200)))]
async fn document(State(gateway): State<Shared>) -> Json<utoipa::openapi::OpenApi> {
    let mut document = openapi();
    document.servers = Some(vec![utoipa::openapi::Server::new(gateway.config.public_url.as_str())]);
    Json(document)
}

async fn limit_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_LIMIT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Refusal::TimedOut.into_response(),
    }
}

/// One line per request: the path's pattern only, since paths, queries and headers may hold what logs must not.
async fn log(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let response = next.run(request).await;
    let (path, status) = (matched.unwrap_or_default(), response.status().as_u16());
    let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(%method, path, status, ms, "request");
    response
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    Refusal::Internal(anyhow::anyhow!("a handler panicked")).into_response()
}
