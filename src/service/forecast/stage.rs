//! Ticks to bars and predictions: the forecaster in its lane.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rdkafka::message::{BorrowedMessage, Message};

use crate::config::Config;
use crate::flow::bad_ratio::{BLOCK, BadRatio};
use crate::flow::bar::Bar;
use crate::flow::rules::Rules;
use crate::flow::time::Micros;
use crate::flow::trace_context::TraceContext;
use crate::io::kafka::history::{History, Stored};
use crate::io::kafka::topics::Topics;
use crate::machine::checkpoint::Checkpoint;
use crate::machine::forecaster::{Champion, Cycle, Forecaster, Position, Verdict};
use crate::service::lane::{Applied, LaneError, Outlet, Stage, trace_of};
use crate::telemetry::metrics::{Metrics, PartitionLabel, ResultLabel};
use crate::telemetry::spans::{Span, Spans};
use crate::wire;

/// Results of the running transaction, and records since counters were told: shared counters cost more than a record's own work.
#[derive(Default)]
pub(super) struct Counts {
    pub bars: u64,
    pub scored: u64,
    pub abstained: u64,
    used: u64,
    duplicate: u64,
    pub dead: u64,
}

/// One partition of ticks.
pub(super) struct TicksState {
    forecaster: Forecaster,
    bad: BadRatio,
    /// The watermark when the last record had come: the base of idle advances.
    idle_base: Option<Micros>,
    /// Of the record that made the cycles due that run now. Not restored: cycles of a jump that a restart cut in two go on
    /// without it.
    trace: Option<TraceContext>,
}

/// The stage of the forecast role.
pub(super) struct Ticks {
    pub config: Arc<Config>,
    pub topics: Topics,
    champion: Champion,
    rules: Rules,
    identity: String,
    config_hash: u64,
    pub metrics: Arc<Metrics>,
    spans: Spans,
    pub cycle: Cycle,
    pub buffer: Vec<u8>,
    pub counts: Counts,
}

impl Ticks {
    pub fn new(
        config: &Arc<Config>,
        champion: Champion,
        rules: Rules,
        identity: &str,
        metrics: &Arc<Metrics>,
        spans: Spans,
    ) -> Self {
        Self {
            config: Arc::clone(config),
            topics: Topics::new(&config.kafka.topic_prefix),
            champion,
            config_hash: rules.fingerprint(identity),
            rules,
            identity: identity.to_owned(),
            metrics: Arc::clone(metrics),
            spans,
            cycle: Cycle::default(),
            buffer: Vec::new(),
            counts: Counts::default(),
        }
    }

    fn position(message: &BorrowedMessage<'_>) -> Position {
        Position {
            offset: message.offset(),
            kafka_time: message.timestamp().to_millis().unwrap_or(0).saturating_mul(1_000),
        }
    }

    /// Adds what was counted to the shared counters.
    fn tell_counts(&mut self) {
        let counts = &mut self.counts;
        for (result, count) in
            [("used", &mut counts.used), ("duplicate", &mut counts.duplicate), ("dead", &mut counts.dead)]
        {
            self.metrics.ticks.get_or_create(&ResultLabel { result }).inc_by(std::mem::take(count));
        }
    }
}

impl Stage for Ticks {
    type State = TicksState;

    fn role(&self) -> &'static str {
        "forecast"
    }

    fn input(&self) -> &str {
        &self.topics.ticks
    }

    fn history(&self) -> Option<&str> {
        Some(&self.topics.bars)
    }

    fn config_hash(&self) -> u64 {
        self.config_hash
    }

    fn differs(&self, then: u64) -> String {
        self.rules.changed_since(then, &self.identity).unwrap_or_else(|| {
            format!("now with {}, or it is not of {} as it is now", self.rules.shaping(), self.topics.ticks)
        })
    }

    fn was_here(&self, partition: i32, history: Option<&History>) -> Result<bool, LaneError> {
        Ok(history.map_or(Ok(false), |bars| bars.has_records(partition))?)
    }

    fn start(&mut self, _: i32) -> TicksState {
        let forecaster = Forecaster::new(self.rules.clone(), &self.champion);
        TicksState { forecaster, bad: BadRatio::default(), idle_base: None, trace: None }
    }

    fn resume(&mut self, _: i32, checkpoint: &Checkpoint) -> TicksState {
        TicksState {
            forecaster: Forecaster::resume(self.rules.clone(), &self.champion, checkpoint),
            bad: BadRatio { seen: checkpoint.seen, bad: checkpoint.bad },
            idle_base: checkpoint.watermark,
            trace: None,
        }
    }

    fn restore(&mut self, state: &mut TicksState, stored: Stored<'_>) -> Result<(), String> {
        let value = stored.value.ok_or("a bar without a value")?;
        let bar = wire::bar::decode(value).and_then(Bar::try_from).map_err(|error| error.to_string())?;
        state.forecaster.restore_bar(bar, stored.offset).map_err(|error| error.to_string())
    }

    fn restored(&mut self, state: &mut TicksState) -> Result<(), String> {
        state.forecaster.bars_restored(&self.champion).map_err(|error| error.to_string())
    }

    fn reapply(&mut self, state: &mut TicksState, message: &BorrowedMessage<'_>) {
        if let Ok(record) = wire::tick::decode(message.payload(), self.config.forecast.max_record_bytes) {
            state.forecaster.reapply(Self::position(message), &record);
        }
    }

    fn rebuilt(&mut self, _: &mut TicksState) {}

    fn apply(
        &mut self,
        state: &mut TicksState,
        message: &BorrowedMessage<'_>,
        out: &mut Outlet,
    ) -> Result<Applied, LaneError> {
        let limits = &self.config.forecast;
        let decoded = wire::tick::decode(message.payload(), limits.max_record_bytes);
        let verdict = match &decoded {
            Ok(record) => state.forecaster.apply(Self::position(message), record),
            Err(reason) => Verdict::Dead(*reason),
        };
        let bad = matches!(verdict, Verdict::Dead(reason) if !reason.is_decodable());
        if bad && state.bad.is_spent(limits.max_bad_ratio) {
            return Ok(Applied::Pause(format!(
                "more than {} of the last {BLOCK} records cannot be decoded, the next at offset {}: does the topic hold something \
                 else than ticks? (forecast.max_bad_ratio)",
                limits.max_bad_ratio,
                message.offset()
            )));
        }
        if verdict == Verdict::Full {
            return Ok(Applied::Pause(format!(
                "{} symbols are known at offset {}: raise forecast.max_symbols or add partitions",
                state.forecaster.symbols(),
                message.offset()
            )));
        }
        state.bad.observe(bad);
        match verdict {
            Verdict::Used => {
                self.counts.used += 1;
                if state.forecaster.is_due() {
                    state.trace = trace_of(message, &self.metrics);
                }
            }
            Verdict::Duplicate => self.counts.duplicate += 1,
            Verdict::Dead(reason) => self.emit_dead_letter(message, reason, out)?,
            Verdict::Full => {}
        }
        Ok(Applied::Done)
    }

    fn step(&mut self, partition: i32, state: &mut TicksState, out: &mut Outlet) -> Result<bool, LaneError> {
        let Some(end) = state.forecaster.next_cycle() else { return Ok(false) };
        let span = self.spans.begin("cycle", state.trace);
        let (began, began_at) = (Instant::now(), SystemTime::now());
        state.forecaster.close(end, &mut self.champion, &mut self.cycle);
        self.metrics.cycle_seconds.observe(began.elapsed().as_secs_f64());
        for problem in &self.cycle.problems {
            self.metrics.scoring_failures.inc();
            tracing::error!(partition, cycle = end, problem, "rows abstain");
        }
        let trace = span.as_ref().map(Span::context).or(state.trace);
        if let Some(mut span) = span {
            self.spans.part(&span, "features_and_scoring", began_at);
            for (name, value) in [
                ("partition", i64::from(partition)),
                ("bar_end", end),
                ("symbols", i64::try_from(self.cycle.bars.len()).unwrap_or(i64::MAX)),
                ("scored", i64::try_from(self.cycle.scored).unwrap_or(i64::MAX)),
            ] {
                span.set(name, value);
            }
            self.spans.keep(span);
        }
        self.emit_cycle(partition, trace, out)?;
        Ok(true)
    }

    fn rest(&mut self, state: &mut TicksState) {
        state.idle_base = state.forecaster.watermark();
    }

    /// Event time goes on where a partition has been at its end for `bars.idle_timeout`.
    fn idle(&mut self, state: &mut TicksState, elapsed: Duration) -> bool {
        let Some(timeout) = self.config.bars.idle_timeout.get() else { return false };
        if elapsed < timeout.get() || state.forecaster.symbols() == 0 {
            return false;
        }
        let (Some(base), Some(closed)) = (state.idle_base, state.forecaster.closed()) else { return false };
        let elapsed = Micros::try_from(elapsed.as_micros()).unwrap_or(0);
        // Only an advance that closes a bar is an event; smaller ones would be lost with the process anyway.
        let due = base + elapsed >= closed + self.rules.interval.micros();
        if due {
            // No record has caused it.
            state.trace = None;
            state.forecaster.idle(base, elapsed);
        }
        due
    }

    fn survey(&mut self, _: i32, _: &mut TicksState, _: i64) -> Result<bool, LaneError> {
        self.tell_counts();
        Ok(false)
    }

    fn seal(&mut self, _: i32, _: &mut TicksState, _: i64, _: &mut Outlet) -> Result<(), LaneError> {
        self.spans.committing();
        Ok(())
    }

    fn placed(&mut self, state: &mut TicksState, tag: u64, offset: i64) {
        state.forecaster.bar_written(Micros::try_from(tag).unwrap_or(Micros::MAX), offset);
    }

    fn checkpoint(&mut self, state: &mut TicksState, next: i64) -> Checkpoint {
        state.forecaster.checkpoint(next, self.config_hash, state.bad)
    }

    fn committed(&mut self) {
        self.spans.committed();
        self.tell_counts();
        let counts = &mut self.counts;
        let metrics = &self.metrics;
        metrics.bars.inc_by(std::mem::take(&mut counts.bars));
        let predictions = |result, count| metrics.predictions.get_or_create(&ResultLabel { result }).inc_by(count);
        predictions("scored", std::mem::take(&mut counts.scored));
        predictions("abstained", std::mem::take(&mut counts.abstained));
    }

    fn aborted(&mut self) {
        self.spans.aborted();
        (self.counts.bars, self.counts.scored, self.counts.abstained) = (0, 0, 0);
    }

    fn tell(&mut self, partition: i32, state: &mut TicksState) {
        let label = PartitionLabel { role: "forecast", partition };
        if let Some(watermark) = state.forecaster.watermark() {
            self.metrics.watermark.get_or_create(&label).set(watermark as f64 / 1e6);
        }
        let symbols = i64::try_from(state.forecaster.symbols()).unwrap_or(i64::MAX);
        self.metrics.symbols.get_or_create(&label).set(symbols);
    }
}
