//! The router: which path leads where, and what holds for every request.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use ionet_gateway_api::path;
use tokio::time::Instant;
use tower_http::catch_panic::CatchPanicLayer;
use url::Url;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::Type;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Object, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::limits::Stranger;
use crate::problem::Refusal;
use crate::{Shared, devices, earnings, nodes, uploads, wanted, watch};

/// A certificate request has one to two kilobytes, the longest upload request under ten.
const BODY_LIMIT: usize = 64 * 1024;

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
    let mut document = routers(Duration::MAX).1;
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            operation.responses.responses.insert("429".to_owned(), too_many().into());
        }
    }
    document
}

/// What any caller may be told.
fn too_many() -> utoipa::openapi::Response {
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let wait = HeaderBuilder::new().schema(Object::with_type(Type::Integer)).description(Some("seconds"));
    ResponseBuilder::new()
        .description("too-many")
        .content("application/problem+json", problem)
        .header("Retry-After", wait.build())
        .build()
}

/// The document with the address under which the gateway is reached, rendered once.
pub(crate) fn rendered(public_url: &Url) -> serde_json::Result<Bytes> {
    let mut document = openapi();
    document.servers = Some(vec![utoipa::openapi::Server::new(public_url.as_str())]);
    serde_json::to_vec(&document).map(Bytes::from)
}

pub(crate) fn router(gateway: Shared) -> Router {
    routers(Duration::from_secs(gateway.config.limits.request_s))
        .0
        .fallback(|_: Stranger| async { Refusal::NotFound })
        .method_not_allowed_fallback(|_: Stranger| async { Refusal::MethodNotAllowed })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(log))
        .with_state(gateway)
}

fn routers(patience: Duration) -> (Router<Shared>, utoipa::openapi::OpenApi) {
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
        .routes(routes!(earnings::device_periods))
        .routes(routes!(earnings::device_jobs))
        .routes(routes!(earnings::account_periods))
        .routes(routes!(earnings::account_jobs))
        .layer(middleware::from_fn(move |request, next| limit_time(patience, request, next)));
    limited.merge(OpenApiRouter::new().routes(routes!(watch::watch))).split_for_parts()
}

/// Whether the gateway, its tasks and its database work, and whether a double of Nomad is in play. Says nothing else about the
/// region.
#[utoipa::path(get, path = path::HEALTH, tag = "nobody", responses((status = 200), (status = 500), (status = 503)))]
async fn health(_: Stranger, State(gateway): State<Shared>) -> Result<&'static str, Refusal> {
    gateway.store.ping().await?;
    if !gateway.panics.are_over(std::time::Instant::now()) {
        return Err(Refusal::Unwell);
    }
    Ok(if gateway.nomad.is_double() { "ok (rehearsal: a double of Nomad is in play)\n" } else { "ok\n" })
}

/// This document.
#[utoipa::path(get, path = path::OPENAPI, tag = "nobody", responses((status = 200)))]
async fn document(_: Stranger, State(gateway): State<Shared>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], gateway.document.clone())
}

/// For everything but the long poll, which has a limit of its own. Reading the body is part of it.
async fn limit_time(patience: Duration, request: Request, next: Next) -> Response {
    match tokio::time::timeout(patience, next.run(request)).await {
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
    if response.status() == StatusCode::TOO_MANY_REQUESTS {
        // A flood must not flood the log too.
        tracing::debug!(%method, path, status, ms, "request");
    } else {
        tracing::info!(%method, path, status, ms, "request");
    }
    response
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    Refusal::Internal(anyhow::anyhow!("a handler panicked")).into_response()
}
