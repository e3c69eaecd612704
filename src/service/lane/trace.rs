//! The trace context in the headers of records: found on the way in, put there on the way out.

use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};

use super::version_header;
use crate::flow::trace_context::{TRACEPARENT, TraceContext};
use crate::telemetry::metrics::Metrics;

/// The context that a record carries; the last one where it has several. One that is not well formed is counted and is none.
///
/// librdkafka takes the headers apart when it is first asked: ask where it matters, not for every record.
pub fn trace_of(message: &BorrowedMessage<'_>, metrics: &Metrics) -> Option<TraceContext> {
    let headers = message.headers()?;
    let value = headers.iter().filter(|header| header.key == TRACEPARENT).last()?.value;
    let context = std::str::from_utf8(value.unwrap_or_default()).ok().and_then(|text| text.parse().ok());
    if context.is_none() {
        metrics.bad_traceparents.inc();
    }
    context
}

/// The headers of a record that belongs to a trace, or to none.
pub fn traced_headers(trace: Option<TraceContext>) -> OwnedHeaders {
    let headers = version_header();
    match trace {
        Some(trace) => headers.insert(Header { key: TRACEPARENT, value: Some(&trace.to_string()) }),
        None => headers,
    }
}
