//! Spans over OTLP: protobuf over HTTP, to a collector. A bounded queue, one thread of the SDK, no waiting for it but at the end.
//!
//! Not here: which spans there are ([`crate::telemetry::spans`]).

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, Span, SpanData, SpanExporter, SpanProcessor,
};
use prometheus_client::metrics::counter::Counter;

use crate::config::Config;
use crate::telemetry::metrics::{Metrics, ResultLabel};

/// The head of an answer may have so many bytes.
const MAX_HEAD: usize = 16 * 1024;

/// What makes spans and sends them off; nothing where `otlp.endpoint` is off.
///
/// # Errors
/// When the endpoint is none, which validation has refused before.
pub fn provider(config: &Config, metrics: &Metrics) -> anyhow::Result<Option<SdkTracerProvider>> {
    let otlp = &config.otlp;
    if otlp.endpoint == "off" {
        return Ok(None);
    }
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", otlp.endpoint.trim_end_matches('/')))
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(otlp.timeout.get())
        .with_http_client(Client { timeout: otlp.timeout.get() })
        .build()?;
    let count = |result| metrics.spans.get_or_create(&ResultLabel { result }).clone();
    let queue = Arc::new(Queue {
        held: AtomicUsize::new(0),
        room: otlp.max_queue,
        exported: count("exported"),
        failed: count("failed"),
        dropped: count("dropped"),
    });
    let batches = BatchConfigBuilder::default().with_max_queue_size(otlp.max_queue).build();
    let counted = Counted { exporter, queue: Arc::clone(&queue) };
    let processor = BatchSpanProcessor::builder(counted).with_batch_config(batches).build();
    let resource = Resource::builder()
        .with_service_name("tickcast")
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", config.kafka.instance.clone()),
        ])
        .build();
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(otlp.sample_ratio))))
        .with_resource(resource)
        .with_span_processor(Bounded { inner: processor, queue })
        .build();
    Ok(Some(provider))
}

/// Spans between their end and the collector.
#[derive(Debug)]
struct Queue {
    held: AtomicUsize,
    room: usize,
    exported: Counter,
    failed: Counter,
    dropped: Counter,
}

/// Lets no more spans in than there is room for, and counts the others.
#[derive(Debug)]
struct Bounded {
    inner: BatchSpanProcessor,
    queue: Arc<Queue>,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        let enter = |held: usize| (held < self.queue.room).then_some(held + 1);
        match self.queue.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enter) {
            Ok(_) => self.inner.on_end(span),
            Err(_) => drop(self.queue.dropped.inc()),
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Counts what became of the spans that left the queue.
#[derive(Debug)]
struct Counted {
    exporter: opentelemetry_otlp::SpanExporter,
    queue: Arc<Queue>,
}

impl SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.exporter.export(batch).await;
        self.queue.held.fetch_sub(spans, Ordering::Relaxed);
        match &result {
            Ok(()) => drop(self.queue.exported.inc_by(spans as u64)),
            Err(error) => {
                let before = self.queue.failed.inc_by(spans as u64);
                // The first, and whenever their number has doubled: a collector that is away does not flood the log.
                if before.max(1).ilog2() < (before + spans as u64).ilog2() {
                    tracing::warn!(%error, failed = before + spans as u64, "spans are lost");
                }
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Posts a request and reads the head of the answer: all that an exporter asks. For the exporter's own thread, which may wait.
#[derive(Debug)]
struct Client {
    timeout: Duration,
}

impl HttpClient for Client {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move { self.post(&request) })
    }
}

impl Client {
    fn post(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let deadline = Instant::now() + self.timeout;
        let left = || match deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(std::io::Error::from(std::io::ErrorKind::TimedOut)),
            left => Ok(left),
        };
        let uri = request.uri();
        let authority = uri.authority().ok_or("the endpoint names no host")?;
        let mut addresses =
            (authority.host().trim_matches(['[', ']']), authority.port_u16().unwrap_or(80)).to_socket_addrs()?;
        let mut stream = addresses
            .find_map(|address| left().and_then(|left| TcpStream::connect_timeout(&address, left)).ok())
            .ok_or_else(|| format!("{authority} does not take connections"))?;
        stream.set_write_timeout(Some(left()?))?;
        stream.write_all(&head(request, authority.as_str()))?;
        stream.write_all(request.body())?;
        let mut answer = Vec::new();
        let mut chunk = [0; 1024];
        while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
            stream.set_read_timeout(Some(left()?))?;
            let read = stream.read(&mut chunk)?;
            if read == 0 || answer.len() > MAX_HEAD {
                return Err(format!("{authority} does not answer as HTTP does").into());
            }
            answer.extend_from_slice(&chunk[..read]);
        }
        answered(&answer).ok_or_else(|| format!("{authority} does not answer as HTTP does").into())
    }
}

fn head(request: &Request<Bytes>, authority: &str) -> Vec<u8> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let length = request.body().len();
    let mut head =
        format!("POST {path} HTTP/1.1\r\nhost: {authority}\r\ncontent-length: {length}\r\nconnection: close\r\n")
            .into_bytes();
    for (name, value) in request.headers() {
        head.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Status and headers of an answer; `retry-after` among them says when to come back.
fn answered(answer: &[u8]) -> Option<Response<Bytes>> {
    let text = String::from_utf8_lossy(answer);
    let mut lines = text.split("\r\n");
    let status: u16 = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let mut response = Response::builder().status(status);
    for (name, value) in lines.take_while(|line| !line.is_empty()).filter_map(|line| line.split_once(':')) {
        response = response.header(name, value.trim());
    }
    response.body(Bytes::new()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let answer = answered(b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nX: a:b\r\n\r\nbody: ignored").unwrap();
        assert_eq!(answer.status(), 503);
        assert_eq!(
            (answer.headers()["retry-after"].as_bytes(), answer.headers()["x"].as_bytes()),
            (&b"7"[..], &b"a:b"[..])
        );
        assert_eq!(answered(b"HTTP/1.0 200\r\n\r\n").unwrap().status(), 200);
        for bad in [&b"SSH-2.0 hello\r\n\r\n"[..], b"HTTP/1.1 ok\r\n\r\n", b"HTTP/1.1 9\r\n\r\n", b"\r\n\r\n"] {
            assert!(answered(bad).is_none(), "{}", String::from_utf8_lossy(bad));
        }
    }
}
