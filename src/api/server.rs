//! The HTTP server below the routes: how many connections, how long each may take, how much each may say.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// What nobody may exceed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time; more wait in the queue of the system.
    pub connections: usize,
    /// Time to send the head of a request; a connection that is kept open and asks nothing is closed after it too.
    pub head: Duration,
    /// Time for all requests of a connection.
    pub connection: Duration,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// Bytes of a request's body.
    pub body_bytes: u64,
}

/// Far above what probes and scrapers need.
pub const LIMITS: Limits = Limits {
    connections: 64,
    head: Duration::from_secs(5),
    connection: Duration::from_secs(300),
    head_bytes: 16 * 1024,
    body_bytes: 64 * 1024,
};

/// After `accept` failed, usually for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` for ever.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits) {
    let seats = Arc::new(Semaphore::new(limits.connections));
    // The semaphore is never closed.
    while let Ok(seat) = Arc::clone(&seats).acquire_owned().await {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "an HTTP connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let router = router.clone();
        tokio::spawn(async move {
            attend(stream, router, limits).await;
            drop(seat);
        });
    }
}

async fn attend(stream: TcpStream, router: Router, limits: Limits) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(limits.head_bytes)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    if tokio::time::timeout(limits.connection, connection.as_mut()).await.is_err() {
        // The answer that is on its way may still be read, for as long as a head may take.
        connection.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(limits.head, connection).await;
    }
}
