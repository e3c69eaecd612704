//! The settle role: predictions to outcomes, by symbol. Outcomes go to the partition of their model.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use opentelemetry_sdk::trace::SdkTracerProvider;
use rdkafka::message::{BorrowedMessage, Message};

use super::health::{Health, Stop};
use super::lane::{Applied, Lane, LaneError, Outlet, Parts, Stage, trace_of, traced_headers};
use crate::config::Config;
use crate::flow::outcome::Settled;
use crate::flow::partitioner;
use crate::flow::time::Micros;
use crate::io::clock;
use crate::io::kafka::history::{History, Stored};
use crate::io::kafka::producer::Outgoing;
use crate::io::kafka::reader::{Event, Reader, Start, Stop as Until};
use crate::io::kafka::topic_id;
use crate::io::kafka::topics::{self, Topics};
use crate::machine::checkpoint::Checkpoint;
use crate::machine::settler::{Settler, Verdict};
use crate::telemetry::metrics::{Metrics, PartitionLabel, ReasonLabel, ResultLabel};
use crate::telemetry::spans::{Span, Spans};
use crate::wire;

const TIMEOUT: Duration = Duration::from_secs(30);
const SLICE: Duration = Duration::from_millis(200);

/// The consumer group of a role beside the forecasters.
pub fn group(config: &Config, role: &str) -> String {
    format!("{}.{role}", config.kafka.group)
}

/// Checks the topics, then starts the lane. The handle gives what ended it.
///
/// # Errors
/// When topics are not as they must be, or Kafka does not answer.
pub fn start(
    config: &Arc<Config>,
    metrics: &Arc<Metrics>,
    health: &Health,
    stop: &Stop,
    provider: Option<&SdkTracerProvider>,
) -> anyhow::Result<Vec<JoinHandle<anyhow::Result<()>>>> {
    let topics = Topics::new(&config.kafka.topic_prefix);
    let partitions = equal_partitions(config, &[&topics.predictions, &topics.outcomes])?;
    let parts = Parts {
        config: Arc::clone(config),
        number: 0,
        group: group(config, "settle"),
        partitions,
        metrics: Arc::clone(metrics),
        health: health.part("settle", config.forecast.watchdog_timeout.get().max(TIMEOUT)),
        stop: stop.clone(),
    };
    let stage = Predictions {
        config_hash: config_hash(config)?,
        config: Arc::clone(config),
        topics,
        partitions,
        metrics: Arc::clone(metrics),
        spans: Spans::new(provider, config.otlp.max_queue, metrics),
        settling: None,
        settled: Vec::new(),
        buffer: Vec::new(),
        counts: BTreeMap::new(),
    };
    let lane = std::thread::Builder::new().name("settle".to_owned()).spawn(move || Ok(Lane::work(parts, stage)?))?;
    Ok(vec![lane])
}

/// Hash of what shapes outcomes, and of where the predictions live.
///
/// # Errors
/// When Kafka does not answer.
pub fn config_hash(config: &Config) -> anyhow::Result<u64> {
    let topics = Topics::new(&config.kafka.topic_prefix);
    let identity = topic_id::identity(topics::admin(&config.kafka)?.inner(), &topics.predictions, TIMEOUT)?;
    Ok(hash(config.fees.bps, &identity.to_string()))
}

fn hash(fee_bps: f64, identity: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(format!("settle|{fee_bps}|{identity}").as_bytes())
}

/// The fee behind a hash, if it is one that people write: tenths of a basis point up to 1000.
fn fee_behind(then: u64, identity: &str) -> Option<f64> {
    (0..=10_000).map(|tenths| f64::from(tenths) / 10.0).find(|&fee| hash(fee, identity) == then)
}

/// How many partitions the topics have, all the same number.
///
/// # Errors
/// When they differ, or Kafka does not answer.
pub fn equal_partitions(config: &Config, names: &[&String]) -> anyhow::Result<i32> {
    Ok(topics::equal_partitions(&topics::admin(&config.kafka)?, names)?)
}

/// The stage of the settle role.
struct Predictions {
    config: Arc<Config>,
    topics: Topics,
    config_hash: u64,
    /// Partitions of `outcomes`.
    partitions: i32,
    metrics: Arc<Metrics>,
    spans: Spans,
    settling: Option<Settling>,
    settled: Vec<Settled>,
    buffer: Vec<u8>,
    /// Outcomes of the running transaction.
    counts: BTreeMap<&'static str, u64>,
}

/// The bar end that is being settled, and its span.
struct Settling {
    partition: i32,
    end: Option<Micros>,
    span: Span,
    outcomes: i64,
    /// Bar ends of the settled predictions.
    of: Vec<Micros>,
}

impl Predictions {
    /// Begins the span of another bar end: part of its cycle's trace, with links to those of the predictions that it settles.
    fn settles(&mut self, settler: &Settler, partition: i32) {
        let end = settler.now();
        if self.settling.as_ref().is_some_and(|settling| settling.partition == partition && settling.end == end) {
            return;
        }
        self.end_span();
        if let Some(span) = self.spans.begin("settle", end.and_then(|end| settler.trace(end))) {
            self.settling = Some(Settling { partition, end, span, outcomes: 0, of: Vec::new() });
        }
    }

    fn end_span(&mut self) {
        let Some(Settling { partition, end, mut span, outcomes, .. }) = self.settling.take() else { return };
        span.set("partition", i64::from(partition));
        span.set("bar_end", end.unwrap_or_default());
        span.set("outcomes", outcomes);
        self.spans.keep(span);
    }

    /// Sends what was settled; an outcome belongs to the trace of its prediction.
    fn emit(&mut self, settler: &Settler, partition: i32, out: &mut Outlet) -> Result<(), LaneError> {
        let produced_at = clock::now();
        self.settles(settler, partition);
        for settled in self.settled.drain(..) {
            self.buffer.clear();
            wire::outcome::encode(&settled, produced_at, &mut self.buffer);
            let mut trace = None;
            let model = match &settled {
                Settled::Outcome(outcome) => {
                    trace = settler.trace(outcome.as_of);
                    if let Some(settling) = &mut self.settling {
                        settling.outcomes += 1;
                        if let Some(trace) = trace.filter(|_| !settling.of.contains(&outcome.as_of)) {
                            settling.of.push(outcome.as_of);
                            settling.span.link(trace);
                        }
                    }
                    let result = outcome.settlement.as_ref().map_or_else(|why| why.as_str(), |_| "settled");
                    *self.counts.entry(result).or_default() += 1;
                    &outcome.model
                }
                Settled::Progress(passage) | Settled::Left(passage) => &passage.model,
            };
            out.send(Outgoing {
                topic: &self.topics.outcomes,
                partition: partitioner::partition(model.as_bytes(), self.partitions),
                key: Some(model.as_bytes()),
                value: &self.buffer,
                headers: traced_headers(trace),
                tag: None,
            })?;
        }
        Ok(())
    }

    /// Notes the trace of a bar end when its first record has come: all of them come from one cycle.
    fn note_trace(&self, settler: &mut Settler, before: Option<Micros>, message: &BorrowedMessage<'_>) {
        if settler.now() != before
            && let Some(trace) = trace_of(message, &self.metrics)
        {
            settler.set_trace(trace);
        }
    }

    /// Counts a record that was not used; our own topics hold none unless somebody else writes to them.
    fn skip(&self, message: &BorrowedMessage<'_>, reason: &'static str, why: &str) {
        let count = self.metrics.settle_skipped.get_or_create(&ReasonLabel { reason }).inc() + 1;
        // The first, the second, the fourth: a flood is told, and does not flood the log.
        if !count.is_power_of_two() {
            return;
        }
        let (partition, offset) = (message.partition(), message.offset());
        tracing::warn!(count, topic = self.topics.predictions, partition, offset, reason, why, "prediction skipped");
    }
}

impl Stage for Predictions {
    type State = Settler;

    fn role(&self) -> &'static str {
        "settle"
    }

    fn input(&self) -> &str {
        &self.topics.predictions
    }

    fn history(&self) -> Option<&str> {
        None
    }

    fn config_hash(&self) -> u64 {
        self.config_hash
    }

    /// Outcomes lie with their models: whether this partition has written any is told by its progress.
    fn differs(&self, then: u64) -> String {
        let now = self.config.fees.bps;
        let identity = topics::admin(&self.config.kafka)
            .and_then(|admin| topic_id::identity(admin.inner(), &self.topics.predictions, TIMEOUT));
        match identity.ok().and_then(|identity| fee_behind(then, &identity.to_string())) {
            Some(fee) => format!("fees.bps was {fee} and is {now}"),
            None => format!("now with fees.bps={now}, or it is not of {} as it is now", self.topics.predictions),
        }
    }

    fn was_here(&self, partition: i32, _: Option<&History>) -> Result<bool, LaneError> {
        let mut reader = Reader::open(&self.config.kafka, &self.topics.outcomes, None, Start::Beginning, Until::End)?;
        loop {
            match reader.next(SLICE)? {
                Event::Record(message) => {
                    use wire::outcome::Decoded::{Left, Progress};
                    if let Ok(Progress(passage) | Left(passage)) =
                        wire::outcome::decode::<wire::outcome::EvidenceRecord<'_>>(
                            message.payload().unwrap_or_default(),
                        )
                        && passage.partition == partition
                    {
                        return Ok(true);
                    }
                }
                Event::Idle => {}
                Event::Finished => return Ok(false),
            }
        }
    }

    fn start(&mut self, partition: i32) -> Settler {
        Settler::new(partition, self.config.fees.bps, self.config.settle.max_pending)
    }

    fn resume(&mut self, partition: i32, _: &Checkpoint) -> Settler {
        self.start(partition)
    }

    fn restore(&mut self, _: &mut Settler, _: Stored<'_>) -> Result<(), String> {
        Ok(())
    }

    fn restored(&mut self, _: &mut Settler) -> Result<(), String> {
        Ok(())
    }

    fn reapply(&mut self, settler: &mut Settler, message: &BorrowedMessage<'_>) {
        let decoded = wire::prediction::decode_said(message.payload().unwrap_or_default());
        if let Ok(said) = decoded.as_ref().map_err(|_| ()).and_then(|record| record.said().map_err(|_| ())) {
            let before = settler.now();
            settler.apply(message.offset(), &said, &mut self.settled);
            self.note_trace(settler, before, message);
            self.settled.clear();
        }
    }

    fn rebuilt(&mut self, _: &mut Settler) {}

    fn apply(
        &mut self,
        settler: &mut Settler,
        message: &BorrowedMessage<'_>,
        out: &mut Outlet,
    ) -> Result<Applied, LaneError> {
        let decoded = wire::prediction::decode_said(message.payload().unwrap_or_default());
        let said = match decoded.as_ref().map_err(ToString::to_string).and_then(|r| r.said().map_err(|e| e.to_string()))
        {
            Ok(said) => said,
            Err(why) => {
                self.skip(message, "malformed", &why);
                return Ok(Applied::Done);
            }
        };
        let before = settler.now();
        let verdict = settler.apply(message.offset(), &said, &mut self.settled);
        self.note_trace(settler, before, message);
        match verdict {
            Verdict::Used => {}
            Verdict::Duplicate => {
                self.skip(message, "duplicate", "the same symbol, bar, horizon and version came before")
            }
            Verdict::OutOfOrder => {
                self.skip(message, "out_of_order", "its bar is over: do two forecasters write here?")
            }
            Verdict::BadSymbol => self.skip(message, "bad_symbol", "not a symbol"),
            Verdict::Full => {
                return Ok(Applied::Pause(format!(
                    "{} predictions wait for their targets at offset {}: raise settle.max_pending, use shorter horizons or add \
                     partitions",
                    settler.pending(),
                    message.offset()
                )));
            }
        }
        if !self.settled.is_empty() {
            self.emit(settler, message.partition(), out)?;
        }
        Ok(Applied::Done)
    }

    fn step(&mut self, _: i32, _: &mut Settler, _: &mut Outlet) -> Result<bool, LaneError> {
        Ok(false)
    }

    fn seal(&mut self, _: i32, _: &mut Settler, _: i64, _: &mut Outlet) -> Result<(), LaneError> {
        self.end_span();
        self.spans.committing();
        Ok(())
    }

    fn checkpoint(&mut self, settler: &mut Settler, next: i64) -> Checkpoint {
        Checkpoint {
            config_hash: self.config_hash,
            closed: settler.now(),
            watermark: None,
            resume: settler.resume(next),
            bars: (0, 0),
            seen: 0,
            bad: 0,
        }
    }

    fn committed(&mut self) {
        self.spans.committed();
        for (result, count) in std::mem::take(&mut self.counts) {
            self.metrics.outcomes.get_or_create(&ResultLabel { result }).inc_by(count);
        }
    }

    fn aborted(&mut self) {
        self.end_span();
        self.spans.aborted();
        self.counts.clear();
        self.settled.clear();
    }

    fn tell(&mut self, partition: i32, settler: &mut Settler) {
        let label = PartitionLabel { role: "settle", partition };
        self.metrics.pending.get_or_create(&label).set(i64::try_from(settler.pending()).unwrap_or(i64::MAX));
        if let Some(now) = settler.now() {
            self.metrics.watermark.get_or_create(&label).set(now as f64 / 1e6);
        }
    }
}
