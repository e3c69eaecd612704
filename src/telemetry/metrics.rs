//! Every instrument: name, unit, labels. Served at `/metrics` in the OpenMetrics text format.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Label of one input partition of a role.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
#[allow(missing_docs, reason = "the name says it")]
pub struct PartitionLabel {
    pub role: &'static str,
    pub partition: i32,
}

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
#[allow(missing_docs, reason = "the name says it")]
pub struct ResultLabel {
    pub result: &'static str,
}

/// Why a record was not used.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
#[allow(missing_docs, reason = "the name says it")]
pub struct ReasonLabel {
    pub reason: &'static str,
}

/// A model version at one horizon.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
#[allow(missing_docs, reason = "the names say it")]
pub struct SubjectLabel {
    pub model: String,
    pub model_version: String,
    pub interval: String,
    pub horizon: u32,
}

impl From<&crate::flow::accuracy::Subject> for SubjectLabel {
    fn from(subject: &crate::flow::accuracy::Subject) -> Self {
        Self {
            model: subject.model.to_string(),
            model_version: subject.model_version.to_string(),
            interval: subject.interval.to_string(),
            horizon: subject.horizon,
        }
    }
}

/// A topic of ours.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
#[allow(missing_docs, reason = "the name says it")]
pub struct TopicLabel {
    pub topic: String,
}

/// All instruments of the process.
pub struct Metrics {
    registry: Registry,
    /// Input records by what became of them: used, duplicate, dead.
    pub ticks: Family<ResultLabel, Counter>,
    /// Records sent to the dead letters, by reason.
    pub dead_letters: Family<ReasonLabel, Counter>,
    /// Closed bars committed.
    pub bars: Counter,
    /// Predictions committed, by result: scored, abstained.
    pub predictions: Family<ResultLabel, Counter>,
    /// Headers `traceparent` that were looked at and are not well formed.
    pub bad_traceparents: Counter,
    /// Spans by what became of them: exported, failed (the collector did not take them), dropped (no room in the queue).
    pub spans: Family<ResultLabel, Counter>,
    /// Transactions by result: committed, aborted, retired.
    pub transactions: Family<ResultLabel, Counter>,
    /// Cycles whose features or scoring failed.
    pub scoring_failures: Counter,
    /// Records between the position of the lane and the last stable offset.
    pub lag: Family<PartitionLabel, Gauge>,
    /// Records between the last stable offset and the end: more than a moment is somebody's open transaction.
    pub unstable: Family<PartitionLabel, Gauge>,
    /// The watermark, in seconds since the epoch.
    pub watermark: Family<PartitionLabel, Gauge<f64, AtomicU64>>,
    /// Symbols known.
    pub symbols: Family<PartitionLabel, Gauge>,
    /// 1 where a partition is paused because it holds something else than ticks, or too many symbols.
    pub paused: Family<PartitionLabel, Gauge>,
    /// Seconds of a closing cycle: bars, features, scoring.
    pub cycle_seconds: Histogram,
    /// Seconds from the first step of a commit to its end.
    pub commit_seconds: Histogram,
    /// Seconds from assignment until the windows are back.
    pub restore_seconds: Histogram,
    /// Outcomes committed, by result: settled, or why they could not be.
    pub outcomes: Family<ResultLabel, Counter>,
    /// Scored predictions that wait for their target, and outcomes that wait for their cohort.
    pub pending: Family<PartitionLabel, Gauge>,
    /// Predictions that settle could not use, by reason.
    pub settle_skipped: Family<ReasonLabel, Counter>,
    /// What the judge committed: report, retrain.
    pub judged: Family<ResultLabel, Counter>,
    /// Outcomes that the judge could not use, by reason.
    pub judge_skipped: Family<ReasonLabel, Counter>,
    /// Alarms that did not become a retrain request, by what held them back.
    pub retrains_held: Family<ReasonLabel, Counter>,
    /// State of a model: 0 cold, 1 ok, 2 warning, 3 degraded.
    pub model_state: Family<SubjectLabel, Gauge>,
    /// Share of right directions in the window of the last report.
    pub hit_rate: Family<SubjectLabel, Gauge<f64, AtomicU64>>,
    /// Rows written to PostgreSQL.
    pub rows_stored: Family<TopicLabel, Counter>,
    /// Records on our own topics that could not be stored.
    pub store_skipped: Counter,
    /// Failed attempts to write to PostgreSQL.
    pub store_retries: Counter,
    /// Batches of the store by result: stored, conflict (another process had stored them).
    pub store_batches: Family<ResultLabel, Counter>,
    /// Days older than `store.retention` by result: dropped, postponed (somebody used the table), refused (see the log).
    pub store_partitions: Family<ResultLabel, Counter>,
    /// HTTP requests that were refused, by reason: no_token, unknown_token, scope, too_large.
    pub http_refused: Family<ReasonLabel, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds = || Histogram::new(exponential_buckets(0.0001, 2.0, 18));
        let mut metrics = Self {
            registry: Registry::with_prefix("tickcast"),
            ticks: Family::default(),
            dead_letters: Family::default(),
            bars: Counter::default(),
            predictions: Family::default(),
            bad_traceparents: Counter::default(),
            spans: Family::default(),
            transactions: Family::default(),
            scoring_failures: Counter::default(),
            lag: Family::default(),
            unstable: Family::default(),
            watermark: Family::default(),
            symbols: Family::default(),
            paused: Family::default(),
            cycle_seconds: seconds(),
            commit_seconds: seconds(),
            restore_seconds: seconds(),
            outcomes: Family::default(),
            pending: Family::default(),
            settle_skipped: Family::default(),
            judged: Family::default(),
            judge_skipped: Family::default(),
            retrains_held: Family::default(),
            model_state: Family::default(),
            hit_rate: Family::default(),
            rows_stored: Family::default(),
            store_skipped: Counter::default(),
            store_retries: Counter::default(),
            store_batches: Family::default(),
            store_partitions: Family::default(),
            http_refused: Family::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("ticks", "Input records by what became of them", self.ticks.clone());
        r.register("dead_letters", "Records sent to the dead letters by reason", self.dead_letters.clone());
        r.register("bars", "Closed bars committed", self.bars.clone());
        r.register("predictions", "Predictions committed", self.predictions.clone());
        r.register("bad_traceparents", "Headers traceparent that are not well formed", self.bad_traceparents.clone());
        r.register("spans", "Spans over OTLP by result", self.spans.clone());
        r.register("transactions", "Kafka transactions by result", self.transactions.clone());
        r.register("scoring_failures", "Cycles whose features or scoring failed", self.scoring_failures.clone());
        r.register("lag_records", "Records between position and last stable offset", self.lag.clone());
        r.register("unstable_records", "Records between last stable offset and end", self.unstable.clone());
        r.register("watermark_timestamp_seconds", "Event time that is complete", self.watermark.clone());
        r.register("symbols", "Symbols known", self.symbols.clone());
        r.register("paused", "1 where a partition is paused", self.paused.clone());
        r.register_with_unit("cycle", "A closing cycle", Unit::Seconds, self.cycle_seconds.clone());
        r.register_with_unit("commit", "A commit", Unit::Seconds, self.commit_seconds.clone());
        r.register_with_unit("restore", "A restore", Unit::Seconds, self.restore_seconds.clone());
        r.register("outcomes", "Outcomes committed by result", self.outcomes.clone());
        r.register("pending", "Rows that wait for their target or their cohort", self.pending.clone());
        r.register("settle_skipped", "Predictions that could not be settled", self.settle_skipped.clone());
        r.register("judged", "Reports and retrain requests committed", self.judged.clone());
        r.register("judge_skipped", "Outcomes that could not be judged", self.judge_skipped.clone());
        r.register("retrains_held", "Alarms held back by what", self.retrains_held.clone());
        r.register("model_state", "0 cold, 1 ok, 2 warning, 3 degraded", self.model_state.clone());
        r.register("hit_rate", "Share of right directions in the last report", self.hit_rate.clone());
        r.register("rows_stored", "Rows written to PostgreSQL", self.rows_stored.clone());
        r.register("store_skipped", "Records that could not be stored", self.store_skipped.clone());
        r.register("store_batches", "Batches of the store by result", self.store_batches.clone());
        r.register("store_partitions", "Days older than store.retention", self.store_partitions.clone());
        r.register("http_refused", "HTTP requests refused by reason", self.http_refused.clone());
        r.register("store_retries", "Failed attempts to write to PostgreSQL", self.store_retries.clone());
    }

    /// Everything in the OpenMetrics text format.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instruments_are_served() {
        let metrics = Metrics::default();
        metrics.ticks.get_or_create(&ResultLabel { result: "used" }).inc_by(3);
        metrics.commit_seconds.observe(0.01);
        let text = metrics.encode();
        assert!(text.contains("tickcast_ticks_total{result=\"used\"} 3"), "{text}");
        assert!(text.contains("tickcast_commit_seconds_count 1"), "{text}");
    }
}
