//! What handlers take and give: JSON, queries and paths, with a problem for what cannot be read.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::Shared;
use crate::problem::Refusal;

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

/// Whoever may ask something, known by the head of the request.
pub(crate) trait Caller: FromRequestParts<Shared, Rejection = Refusal> + Sync {
    /// Looks again, once the body has come: that may take as long as a request may, and a PC may be reported lost
    /// meanwhile.
    fn still_may(&self, gateway: &Shared) -> impl Future<Output = Result<(), Refusal>> + Send;
}

/// Who asks, and what: JSON.
#[derive(Debug)]
pub(crate) struct Asked<C, T>(pub(crate) C, pub(crate) T);

impl<C: Caller + Send, T: serde::de::DeserializeOwned + Send> FromRequest<Shared> for Asked<C, T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, gateway: &Shared) -> Result<Self, Refusal> {
        let (mut parts, body) = request.into_parts();
        let caller = C::from_request_parts(&mut parts, gateway).await?;
        let Json(what) = Json::from_request(Request::from_parts(parts, body), gateway).await?;
        caller.still_may(gateway).await?;
        Ok(Self(caller, what))
    }
}

/// What a path names; what cannot be read is refused as a problem.
#[derive(Debug, FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Refusal))]
pub(crate) struct Path<T>(pub(crate) T);

/// The query; what cannot be read is refused as a problem.
#[derive(Debug, FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Refusal))]
pub(crate) struct Query<T>(pub(crate) T);
