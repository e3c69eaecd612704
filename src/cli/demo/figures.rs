//! The demo's figures: counts out of the metrics, a summary at the end.

use std::collections::BTreeMap;

use serde::Serialize;

use super::score::Asked;
use super::standing::Standing;
use crate::flow::outcome::Unscorable;
use crate::flow::time::Micros;
use crate::telemetry::metrics::{Metrics, PartitionLabel, ResultLabel, TopicLabel};

/// Counts at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Trades used.
    pub ticks: u64,
    /// Records sent to the dead letters.
    pub dead_letters: u64,
    /// Bars committed.
    pub bars: u64,
    /// Predictions committed, and those of them that a model made.
    pub predictions: u64,
    /// Of them, those that did not abstain.
    pub scored: u64,
    /// Outcomes committed, settled or not.
    pub outcomes: u64,
    /// Accuracy reports committed.
    pub reports: u64,
    /// Retrain requests committed.
    pub retrains: u64,
    /// Bars and predictions written to PostgreSQL.
    pub rows: u64,
    /// These and what the referee says.
    pub rows_of_all: u64,
}

impl Counts {
    /// Reads them.
    pub fn read(metrics: &Metrics) -> Self {
        let tick = |result| metrics.ticks.get_or_create(&ResultLabel { result }).get();
        let prediction = |result| metrics.predictions.get_or_create(&ResultLabel { result }).get();
        let rows = |topic: &str| metrics.rows_stored.get_or_create(&TopicLabel { topic: topic.to_owned() }).get();
        let outcome = |result| metrics.outcomes.get_or_create(&ResultLabel { result }).get();
        let judged = |result| metrics.judged.get_or_create(&ResultLabel { result }).get();
        let scored = prediction("scored");
        let forecast = rows("bars") + rows("predictions");
        Self {
            ticks: tick("used"),
            dead_letters: tick("dead"),
            bars: metrics.bars.get(),
            predictions: scored + prediction("abstained"),
            scored,
            outcomes: outcome("settled") + Unscorable::ALL.iter().map(|why| outcome(why.as_str())).sum::<u64>(),
            reports: judged("report"),
            retrains: judged("retrain"),
            rows: forecast,
            rows_of_all: forecast + rows("outcomes") + rows("accuracy") + rows("retrain"),
        }
    }

    /// Records that are committed and have a row to come, or have it already.
    pub fn storable(&self) -> u64 {
        self.bars + self.predictions + self.outcomes + self.reports + self.retrains
    }
}

/// Records that settle and judge have still to read, as of their last look, which they take once a second.
pub fn referee_lag(metrics: &Metrics, partitions: i32) -> u64 {
    let of = |role| {
        move |partition| {
            let lag = metrics.lag.get_or_create(&PartitionLabel { role, partition }).get();
            u64::try_from(lag).unwrap_or(0)
        }
    };
    (0..partitions).map(of("settle")).sum::<u64>() + (0..partitions).map(of("judge")).sum::<u64>()
}

/// The last line of a demo.
#[derive(Clone, Debug, Serialize)]
pub struct Final {
    /// Trades that were used.
    pub ticks: u64,
    /// Bars that were committed.
    pub bars: u64,
    /// Predictions that were committed, abstentions included.
    pub predictions: u64,
    /// Those that a model made.
    pub predictions_scored: u64,
    /// Records that were not used.
    pub dead_letters: u64,
    /// Predictions that were settled against what the market did, and those that could not be.
    pub outcomes: u64,
    /// Accuracy reports that were committed: for all symbols together and for each.
    pub reports: u64,
    /// Retrain requests that were committed.
    pub retrains: u64,
    /// Bars and predictions that were written to PostgreSQL.
    pub rows_stored: u64,
    /// Outcomes, reports and retrain requests that were.
    pub referee_rows_stored: u64,
    /// Trades a second while the market was catching up with now.
    pub ticks_per_second: f64,
    /// From a bar's end (plus the lateness) to the prediction in a subscriber's hands; null without a bar in real time.
    pub latency_p50_ms: Option<f64>,
    /// The same, 99th percentile.
    pub latency_p99_ms: Option<f64>,
    /// When the rule flipped last, as far as the reports have come, in microseconds; null where it never did.
    pub flip_at: Option<Micros>,
    /// The newest report of each horizon.
    pub accuracy: BTreeMap<u32, Standing>,
    /// The retrain requests.
    pub requests: Vec<Asked>,
    /// How long it ran.
    pub seconds: f64,
}

impl Final {
    /// For people.
    pub fn text(&self) -> String {
        let latency = match (self.latency_p50_ms, self.latency_p99_ms) {
            (Some(p50), Some(p99)) => format!("p50 {p50:.0} ms, p99 {p99:.0} ms"),
            _ => "not measured".to_owned(),
        };
        let mut text = format!(
            "{:.0} s: {} ticks ({:.0} a second while catching up), {} bars, {} predictions ({} scored), {} outcomes, {} reports, \
             {} retrain requests, {} rows in PostgreSQL, {} dead letters; latency from bar end to subscriber {latency}",
            self.seconds,
            self.ticks,
            self.ticks_per_second,
            self.bars,
            self.predictions,
            self.predictions_scored,
            self.outcomes,
            self.reports,
            self.retrains,
            self.rows_stored + self.referee_rows_stored,
            self.dead_letters
        );
        for (horizon, standing) in &self.accuracy {
            text += &format!("\n{}", standing.text(*horizon));
        }
        text
    }
}
