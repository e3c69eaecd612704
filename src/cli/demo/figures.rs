//! What the demo shows: counts out of the metrics, a line a second, a summary at the end.

use std::io::{IsTerminal as _, Write as _};
use std::time::Instant;

use serde::Serialize;

use crate::telemetry::metrics::{Metrics, ResultLabel, TopicLabel};

/// Counts at one moment.
#[derive(Clone, Copy, Debug, Default)]
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
    /// Bars and predictions written to PostgreSQL.
    pub rows: u64,
}

impl Counts {
    /// Reads them.
    pub fn read(metrics: &Metrics) -> Self {
        let tick = |result| metrics.ticks.get_or_create(&ResultLabel { result }).get();
        let prediction = |result| metrics.predictions.get_or_create(&ResultLabel { result }).get();
        let rows = |topic: &str| metrics.rows_stored.get_or_create(&TopicLabel { topic: topic.to_owned() }).get();
        let scored = prediction("scored");
        Self {
            ticks: tick("used"),
            dead_letters: tick("dead"),
            bars: metrics.bars.get(),
            predictions: scored + prediction("abstained"),
            scored,
            rows: rows("bars") + rows("predictions"),
        }
    }
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
    /// Bars and predictions that were written to PostgreSQL.
    pub rows_stored: u64,
    /// Trades a second while the market was catching up with now.
    pub ticks_per_second: f64,
    /// From a bar's end (plus the lateness) to the prediction in a subscriber's hands; null without a bar in real time.
    pub latency_p50_ms: Option<f64>,
    /// The same, 99th percentile.
    pub latency_p99_ms: Option<f64>,
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
        format!(
            "{:.0} s: {} ticks ({:.0} a second while catching up), {} bars, {} predictions ({} scored), {} rows in PostgreSQL, \
             {} dead letters; latency from bar end to subscriber {latency}",
            self.seconds,
            self.ticks,
            self.ticks_per_second,
            self.bars,
            self.predictions,
            self.predictions_scored,
            self.rows_stored,
            self.dead_letters
        )
    }
}

/// Prints how things go, about once a second, on standard error.
pub struct Board {
    last: (Instant, Counts),
    terminal: bool,
    quiet: bool,
}

impl Board {
    /// A board; with `quiet` it speaks to terminals only.
    pub fn new(quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { last: (Instant::now(), Counts::default()), terminal, quiet: quiet && !terminal }
    }

    /// Shows `counts`, with how many trades wait in Kafka and the latency in milliseconds.
    pub fn show(&mut self, counts: Counts, lag: u64, latency: Option<(f64, f64)>) {
        let (then, before) = self.last;
        let elapsed = then.elapsed().as_secs_f64();
        if self.quiet || elapsed < 1.0 {
            return;
        }
        self.last = (Instant::now(), counts);
        let rate = (counts.ticks - before.ticks) as f64 / elapsed;
        let latency = latency.map_or_else(|| "-".to_owned(), |(p50, _)| format!("{p50:.0} ms"));
        let line = format!(
            "{rate:>8.0} ticks/s {:>8} bars {:>9} predictions {:>9} scored  latency {latency:>7}  lag {lag:>7} {:>9} rows stored",
            counts.bars, counts.predictions, counts.scored, counts.rows
        );
        let (begin, end) = if self.terminal { ("\r\x1b[K", "") } else { ("", "\n") };
        // Nobody watches: that is no reason to stop.
        let _ = write!(std::io::stderr(), "{begin}{line}{end}");
    }

    /// Leaves the last line where it is.
    pub fn end(&self) {
        if self.terminal {
            eprintln!();
        }
    }
}
