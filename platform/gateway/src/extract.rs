//! What handlers take and give: JSON and queries, with a problem for what cannot be read.

use axum::extract::{FromRequest, FromRequestParts};
use axum::http::header;
use axum::response::{IntoResponse, Response};

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

/// The query; what cannot be read is refused as a problem.
#[derive(Debug, FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Refusal))]
pub(crate) struct Query<T>(pub(crate) T);
