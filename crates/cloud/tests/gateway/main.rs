//! The gateway as seen from the PC: enrolment, certificates, and its bad days.

#![expect(clippy::unwrap_used, reason = "tests")]

mod answers;
mod certificates;
mod earnings;
mod leaving;
mod network;
#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "../support/mod.rs"]
mod support;
mod uploads;

use std::path::Path;
use std::sync::Arc;

use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Extension, Json, Router};
use ionet_cloud::{Cloud, CloudFault, Secret};
use ionet_gateway_api::{code, path};
use serde_json::json;

use support::gateway::{Authority, Gateway, HOUR_MS, Peer, problem};

const DAY_MS: i64 = 24 * HOUR_MS;

fn pc(home: &Path, gateway: &Gateway) -> Cloud {
    support::cloud(home, "http://127.0.0.1:1", &gateway.url, Some(gateway.ca_pem.clone()))
}

async fn enrol(cloud: &Cloud) -> Result<ionet_core::event::Device, CloudFault> {
    cloud.enrol("My PC", 1, Some(Secret::new("token".into()))).await
}

/// A PC that is enrolled at a gateway which answers the introduction so.
async fn enrolled_with(
    home: &Path,
    authority: &Arc<Authority>,
    life_ms: i64,
    routes: Router,
) -> (Cloud, Gateway) {
    let gateway = authority.serve(authority.enrolment(life_ms).merge(routes)).await;
    let cloud = pc(home, &gateway);
    enrol(&cloud).await.unwrap();
    (cloud, gateway)
}

async fn introduction_of(routes: Router) -> Result<Secret<String>, CloudFault> {
    let home = tempfile::tempdir().unwrap();
    let (cloud, _gateway) = enrolled_with(home.path(), &Authority::new(), 6 * HOUR_MS, routes).await;
    cloud.introduction().await
}

fn introduction() -> Router {
    let answer = async |Extension(peer): Extension<Peer>| match peer.certified {
        true => Json(json!({"token": "intro"})).into_response(),
        false => problem(401, code::NO_CERTIFICATE),
    };
    Router::new().route(path::INTRODUCTION, post(answer))
}

fn refusing(status: u16, code: &'static str) -> Router {
    Router::new().route(path::INTRODUCTION, post(async move || problem(status, code)))
}
