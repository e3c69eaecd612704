//! The spans of a lane: each begins with a piece of work and ends with the transaction that commits it. Off where nobody
//! takes them ([`crate::io::otlp`]), and then nothing here costs anything.

use std::time::SystemTime;

use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, Status, TraceContextExt as _, TraceFlags, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use prometheus_client::metrics::counter::Counter;

use super::metrics::{Metrics, ResultLabel};
use crate::flow::trace_context::TraceContext;

/// A span that was begun.
pub struct Span(opentelemetry_sdk::trace::Span);

impl Span {
    /// What records that come of it carry.
    pub fn context(&self) -> TraceContext {
        let context = self.0.span_context();
        TraceContext {
            trace_id: u128::from_be_bytes(context.trace_id().to_bytes()),
            span_id: u64::from_be_bytes(context.span_id().to_bytes()),
            flags: context.trace_flags().to_u8(),
        }
    }

    /// Says more about it.
    pub fn set(&mut self, name: &'static str, value: i64) {
        self.0.set_attribute(KeyValue::new(name, value));
    }

    /// Names a trace that it also has to do with.
    pub fn link(&mut self, to: TraceContext) {
        self.0.add_link(span_context(to), Vec::new());
    }
}

/// The spans of a lane's running transaction.
#[derive(Default)]
pub struct Spans {
    tracer: Option<SdkTracer>,
    /// Spans of one transaction beyond this many are not begun: the queue could not take them.
    room: usize,
    dropped: Counter,
    open: Vec<Span>,
    committing: Option<SystemTime>,
}

impl Spans {
    /// Those that `provider` takes, if there is one; `room` of them in one transaction.
    pub fn new(provider: Option<&SdkTracerProvider>, room: usize, metrics: &Metrics) -> Self {
        Self {
            tracer: provider.map(|provider| provider.tracer("tickcast")),
            room,
            dropped: metrics.spans.get_or_create(&ResultLabel { result: "dropped" }).clone(),
            ..Self::default()
        }
    }

    /// Begins a span; none where they are off, or where the transaction holds too many.
    pub fn begin(&self, name: &'static str, parent: Option<TraceContext>) -> Option<Span> {
        let tracer = self.tracer.as_ref()?;
        if self.open.len() >= self.room {
            self.dropped.inc();
            return None;
        }
        let context = match parent {
            Some(parent) => Context::new().with_remote_span_context(span_context(parent)),
            None => Context::new(),
        };
        Some(Span(tracer.build_with_context(SpanBuilder::from_name(name), &context)))
    }

    /// A part of `span` that has just ended.
    pub fn part(&self, span: &Span, name: &'static str, begun: SystemTime) {
        if let Some(tracer) = self.tracer.as_ref().filter(|_| span.0.is_recording()) {
            let context = Context::new().with_remote_span_context(span.0.span_context().clone());
            tracer.build_with_context(SpanBuilder::from_name(name).with_start_time(begun), &context).end();
        }
    }

    /// Keeps a span until the transaction is over.
    pub fn keep(&mut self, span: Span) {
        // One that is not sampled has nothing to tell.
        if span.0.is_recording() {
            self.open.push(span);
        }
    }

    /// The commit begins.
    pub fn committing(&mut self) {
        if !self.open.is_empty() {
            self.committing.get_or_insert_with(SystemTime::now);
        }
    }

    /// It is done: every span ends, the commit a part of each.
    pub fn committed(&mut self) {
        let begun = self.committing.take();
        for span in std::mem::take(&mut self.open) {
            if let Some(begun) = begun {
                self.part(&span, "commit", begun);
            }
        }
    }

    /// It was aborted, or nobody knows: what was done will be done again.
    pub fn aborted(&mut self) {
        self.committing = None;
        for mut span in std::mem::take(&mut self.open) {
            span.0.set_status(Status::error("the transaction was aborted"));
        }
    }
}

fn span_context(context: TraceContext) -> SpanContext {
    let (trace, span) = (context.trace_id.into(), context.span_id.into());
    SpanContext::new(trace, span, TraceFlags::new(context.flags), true, Default::default())
}
