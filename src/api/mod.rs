//! HTTP: `/livez` and `/readyz`, open to everybody who reaches them, and `/metrics`, for tokens with the scope `read`.

mod access;
mod server;

use std::future::Future;
use std::sync::Arc;

use anyhow::Context as _;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, body::HttpBody as _};

use self::access::{Access, Refused};
use self::server::{LIMITS, Limits};
use crate::config::tokens::{self, Scope};
use crate::config::{ConfigError, Http};
use crate::service::health::Health;
use crate::telemetry::metrics::{Metrics, ReasonLabel};

/// Binds `http.listen` and gives the server to be spawned.
///
/// # Errors
/// When the address is taken, or the tokens cannot be read.
pub async fn serve(
    config: &Http,
    metrics: Arc<Metrics>,
    health: Health,
) -> anyhow::Result<impl Future<Output = ()> + Send + use<>> {
    let address = &config.listen;
    let access = Access::new(tokens::parse(&config.tokens).map_err(ConfigError::Values)?);
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("http.listen {address} cannot be used: choose a free one, or http.listen=off"))?;
    tracing::info!(address = %listener.local_addr()?, "serving /livez, /readyz and /metrics");
    Ok(server::serve(listener, router(Shared { metrics, health, access, limits: LIMITS }), LIMITS))
}

#[derive(Clone)]
struct Shared {
    metrics: Arc<Metrics>,
    health: Health,
    access: Access,
    limits: Limits,
}

fn router(shared: Shared) -> Router {
    let readers = Router::new()
        .route("/metrics", get(encode))
        .route_layer(from_fn_with_state((shared.clone(), Scope::Read), only_with));
    let body_bytes = usize::try_from(shared.limits.body_bytes).unwrap_or(usize::MAX);
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .merge(readers)
        .layer(from_fn_with_state(shared.clone(), only_small))
        .layer(DefaultBodyLimit::max(body_bytes))
        .with_state(shared)
}

/// Lets requests through whose token has the scope.
async fn only_with(State((shared, scope)): State<(Shared, Scope)>, request: Request, next: Next) -> Response {
    match shared.access.check(request.headers(), scope) {
        Ok(()) => next.run(request).await,
        Err(refused) => shared.refuse(refused),
    }
}

/// Lets requests through that do not announce a large body; what comes without announcement is bounded where it is read.
async fn only_small(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    if request.body().size_hint().lower() > shared.limits.body_bytes {
        return shared.refuse(Refused::TooLarge);
    }
    next.run(request).await
}

impl Shared {
    fn refuse(&self, refused: Refused) -> Response {
        self.metrics.http_refused.get_or_create(&ReasonLabel { reason: refused.reason() }).inc();
        refused.into_response()
    }
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

#[cfg(test)]
mod tests;
