//! HTTP: `/livez`, `/readyz`, `/metrics`.

use std::future::Future;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::service::health::Health;
use crate::telemetry::metrics::Metrics;

/// Binds `address` and gives the server to be spawned.
///
/// # Errors
/// When the address is taken.
pub async fn serve(
    address: &str,
    metrics: Arc<Metrics>,
    health: Health,
) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("http.listen {address} cannot be used: choose a free one, or http.listen=off"))?;
    tracing::info!(address = %listener.local_addr()?, "serving /livez, /readyz and /metrics");
    let router = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(encode))
        .with_state(Shared { metrics, health });
    Ok(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the HTTP server ended");
        }
    })
}

#[derive(Clone)]
struct Shared {
    metrics: Arc<Metrics>,
    health: Health,
}

async fn livez(State(shared): State<Shared>) -> impl IntoResponse {
    answer(&shared.health.dead())
}

async fn readyz(State(shared): State<Shared>) -> impl IntoResponse {
    answer(&shared.health.unready())
}

async fn encode(State(shared): State<Shared>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shared.metrics.encode())
}

fn answer(problems: &[String]) -> (StatusCode, String) {
    if problems.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, problems.join("\n") + "\n")
    }
}
