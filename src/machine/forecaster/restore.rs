//! Taking up a partition where a checkpoint left it. The log is the state: bars from `bars`, open bars from `ticks`.
//!
//! Order: [`Forecaster::resume`], [`Forecaster::restore_bar`] over [B, E), [`Forecaster::bars_restored`],
//! [`Forecaster::reapply`] over [R, C), then the cycles that are due, then the record at C.

use super::{Champion, Cycle, Forecaster};
use crate::flow::bar::Bar;
use crate::flow::rules::Rules;
use crate::flow::time::Micros;
use crate::machine::checkpoint::Checkpoint;

/// Symbols whose feature rows are computed in one view.
const SYMBOLS_AT_ONCE: usize = 16;

/// A restored state that cannot be what was committed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// A bar of another interval.
    #[error("bar {symbol} at {close_time} in `bars` has interval {found}, the configuration says {expected}")]
    Interval {
        /// Its symbol.
        symbol: String,
        /// Its end.
        close_time: Micros,
        /// Its interval.
        found: String,
        /// The configured one.
        expected: String,
    },
    /// Features could not be computed again.
    #[error("features of the restored windows: {0}")]
    Features(String),
}

impl Forecaster {
    /// A forecaster at `checkpoint`, still without windows and open bars.
    pub fn resume(rules: Rules, champion: &Champion, checkpoint: &Checkpoint) -> Self {
        let mut forecaster = Self::new(rules, champion);
        forecaster.watermark = checkpoint.watermark;
        forecaster.closed = checkpoint.closed;
        forecaster.bars_end = checkpoint.bars.1;
        forecaster
    }

    /// Takes a bar of [B, E), in the order of the log.
    ///
    /// # Errors
    /// When it has another interval.
    pub fn restore_bar(&mut self, bar: Bar, offset: i64) -> Result<(), RestoreError> {
        if bar.interval != self.rules.interval {
            return Err(RestoreError::Interval {
                symbol: bar.symbol.to_string(),
                close_time: bar.close_time,
                found: bar.interval.to_string(),
                expected: self.rules.interval.to_string(),
            });
        }
        self.bar_written(bar.close_time, offset);
        let place = self.book.find(bar.symbol.as_str()).unwrap_or_else(|| self.book.insert(bar.symbol.clone()));
        let entry = self.book.entry(place);
        let slot = entry.slot;
        // A hole means that the symbol was silent, forgotten, and began anew.
        let anew = entry.last.as_ref().is_some_and(|last| last.close_time != bar.open_time);
        entry.fills = if bar.synthetic { entry.fills + 1 } else { 0 };
        if !bar.complete {
            entry.last_incomplete = bar.close_time;
        }
        entry.last = Some(bar.clone());
        if anew {
            self.book.windows.clear(slot);
        }
        self.book.windows.push(slot, &bar);
        Ok(())
    }

    /// Ends the bars: drops the symbols that were forgotten, computes the feature rows of the others.
    ///
    /// # Errors
    /// When features cannot be computed.
    pub fn bars_restored(&mut self, champion: &Champion) -> Result<(), RestoreError> {
        let closed = self.closed;
        let gone: Vec<u32> = self
            .book
            .order()
            .iter()
            .copied()
            .filter(|&place| self.book.get(place).last.as_ref().map(|bar| bar.close_time) != closed)
            .collect();
        self.book.remove(&gone);
        let places = self.book.order().to_vec();
        let mut out = Cycle::default();
        let sequence = champion.spec().sequence;
        // A few symbols at a time, all rows of one after the other: they overlap, so its bars come from memory once.
        for places in places.chunks(SYMBOLS_AT_ONCE) {
            let oldest_first = |&place| (0..sequence).rev().map(move |back| (place, back));
            let rows: Vec<_> = places.iter().flat_map(oldest_first).collect();
            self.feature_rows(&rows, champion, &mut out);
        }
        match out.problems.pop() {
            Some(problem) => Err(RestoreError::Features(problem)),
            None => Ok(()),
        }
    }
}
