//! The forecaster of one partition: records in, closed bars and predictions out.
//!
//! ```text
//!  record ─► apply ─► watermark ─► next_cycle? ─► close: bars ─► windows ─► features ─► scoring ─► predictions
//! ```
//!
//! A caller applies a record, then runs [`Forecaster::close`] for as long as [`Forecaster::next_cycle`] gives a bar's end, then
//! applies the next record. It may commit between any two of these steps: [`Forecaster::checkpoint`] says what to write
//! down, [`restore`] how it is taken up again. Bytes, clocks and Kafka are the caller's.

mod apply;
mod book;
mod cycle;
mod predict;
mod restore;
#[cfg(test)]
mod tests;

pub use apply::{Position, Verdict};
pub use cycle::Cycle;
pub use restore::RestoreError;

use std::collections::VecDeque;

use self::book::Book;
use crate::flow::features::{FeatureError, FeatureSet};
use crate::flow::gaps::Gaps;
use crate::flow::model::{ModelSpec, Scorer};
use crate::flow::prediction::PredictionIds;
use crate::flow::rules::Rules;
use crate::flow::time::{Interval, Micros};
use crate::machine::checkpoint::Checkpoint;

/// A model with its features planned: what a lane scores with. One per lane, shared by its partitions.
pub struct Champion {
    /// The loaded model.
    pub scorer: Box<dyn Scorer>,
    /// Its feature SQL, planned once.
    pub features: FeatureSet,
    name: std::sync::Arc<str>,
    version: std::sync::Arc<str>,
}

impl Champion {
    /// Plans the model's features.
    ///
    /// # Errors
    /// When its SQL is no feature set, or looks further back than its window.
    pub fn new(scorer: Box<dyn Scorer>) -> Result<Self, FeatureError> {
        let spec = scorer.spec();
        let features = FeatureSet::plan(&spec.features)?;
        features.check_window(spec.window)?;
        let (name, version) = (spec.name.as_str().into(), spec.version.as_str().into());
        Ok(Self { scorer, features, name, version })
    }

    /// The model's declaration.
    pub fn spec(&self) -> &ModelSpec {
        self.scorer.spec()
    }

    fn ids(&self, interval: Interval, as_of: Micros) -> PredictionIds {
        PredictionIds::new(interval, as_of, &self.spec().horizons, &self.name, &self.version)
    }
}

/// The state of one partition.
pub struct Forecaster {
    rules: Rules,
    book: Book,
    gaps: Gaps,
    watermark: Option<Micros>,
    /// W: end of the last closed cycle.
    closed: Option<Micros>,
    /// Offset in `bars` of the first bar of each cycle that a window may still need.
    cycle_offsets: VecDeque<(Micros, i64)>,
    /// Offset after the last bar.
    bars_end: i64,
}

impl Forecaster {
    /// An empty forecaster for models of `spec`'s window, sequence and number of features.
    pub fn new(rules: Rules, champion: &Champion) -> Self {
        let spec = champion.spec();
        let book = Book::new(spec.window, spec.sequence, champion.features.names().len());
        Self {
            rules,
            book,
            gaps: Gaps::default(),
            watermark: None,
            closed: None,
            cycle_offsets: VecDeque::new(),
            bars_end: 0,
        }
    }

    /// The watermark.
    pub fn watermark(&self) -> Option<Micros> {
        self.watermark
    }

    /// W: end of the last closed cycle.
    pub fn closed(&self) -> Option<Micros> {
        self.closed
    }

    /// How many symbols are known.
    pub fn symbols(&self) -> usize {
        self.book.len()
    }

    /// Bytes that the windows of all symbols take.
    pub fn window_bytes(&self) -> usize {
        self.book.windows.bytes()
    }

    /// Event time goes on without records: `elapsed` since the last one, never to the wall clock.
    ///
    /// `base` is the watermark at that last record.
    pub fn idle(&mut self, base: Micros, elapsed: Micros) {
        self.advance(base.saturating_add(elapsed));
    }

    fn advance(&mut self, to: Micros) {
        if self.watermark.is_none_or(|watermark| watermark < to) {
            self.watermark = Some(to);
        }
    }

    /// Notes where the producer put a bar of the cycle that ends at `close_time`. To be called in the order of the log.
    pub fn bar_written(&mut self, close_time: Micros, offset: i64) {
        if self.cycle_offsets.back().is_none_or(|&(end, _)| end < close_time) {
            self.cycle_offsets.push_back((close_time, offset));
        }
        self.bars_end = offset + 1;
    }

    /// What to commit with offset `next` (that of the next record to apply).
    pub fn checkpoint(&mut self, next: i64, config_hash: u64, bad: crate::flow::bad_ratio::BadRatio) -> Checkpoint {
        let open = self.book.first_open_offset();
        let resume = [open, self.gaps.first_offset()].into_iter().flatten().min().unwrap_or(next);
        Checkpoint {
            config_hash,
            closed: self.closed,
            watermark: self.watermark,
            resume,
            bars: self.bars_needed(),
            seen: bad.seen,
            bad: bad.bad,
        }
    }

    /// [B, E), forgetting the cycles that no window needs any more.
    fn bars_needed(&mut self) -> (i64, i64) {
        let Some(oldest) = self.book.oldest_bar_needed(self.rules.interval) else {
            self.cycle_offsets.clear();
            return (self.bars_end, self.bars_end);
        };
        while self.cycle_offsets.front().is_some_and(|&(end, _)| end < oldest) {
            self.cycle_offsets.pop_front();
        }
        (self.cycle_offsets.front().map_or(self.bars_end, |&(_, offset)| offset), self.bars_end)
    }
}
