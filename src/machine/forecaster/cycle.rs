//! Closing cycles: when the watermark reaches a bar's end, all symbols whose bar ends there close together.

use arrow::array::{Array, AsArray};
use arrow::datatypes::Float64Type;

use super::{Champion, Forecaster};
use crate::flow::bar::Bar;
use crate::flow::prediction::Prediction;
use crate::flow::time::Micros;
use crate::flow::window::WindowRow;

/// What one cycle gave, sorted by symbol. Reused from cycle to cycle.
#[derive(Debug, Default)]
pub struct Cycle {
    /// One bar per live symbol.
    pub bars: Vec<Bar>,
    /// One prediction per bar and horizon, and the last ones of symbols that fell silent.
    pub predictions: Vec<Prediction>,
    /// Rows that were scored.
    pub scored: usize,
    /// What went wrong while computing features or scoring; the rows concerned abstain.
    pub problems: Vec<String>,
}

impl Cycle {
    fn clear(&mut self) {
        self.bars.clear();
        self.predictions.clear();
        self.scored = 0;
        self.problems.clear();
    }
}

impl Forecaster {
    /// Whether the watermark has passed the end of a bar that is not closed: [`Forecaster::next_cycle`] may give a cycle.
    pub fn is_due(&self) -> bool {
        let closed = self.closed.unwrap_or(Micros::MIN);
        self.watermark.is_some_and(|watermark| watermark >= closed.saturating_add(self.rules.interval.micros()))
    }

    /// The end of the next cycle that is due, if any. Cheap when none is.
    pub fn next_cycle(&mut self) -> Option<Micros> {
        let watermark = self.watermark?;
        let interval = self.rules.interval.micros();
        if self.closed.is_some_and(|closed| watermark < closed + interval) {
            return None;
        }
        let due = self.rules.interval.open_of(watermark);
        let next = match self.closed {
            Some(closed) if self.book.any_live() => Some(closed + interval),
            // Nobody waits for a synthetic bar: go to the next bar that has a trade.
            _ => self.book.first_open_end(),
        };
        if next.is_some_and(|end| end <= due) {
            return next;
        }
        self.closed = Some(due);
        self.gaps.forget_until(due);
        None
    }

    /// Runs the cycle that ends at `end`, which [`Forecaster::next_cycle`] gave.
    pub fn close(&mut self, end: Micros, champion: &mut Champion, out: &mut Cycle) {
        out.clear();
        let mut gone = Vec::new();
        let order = self.book.order().to_vec();
        let mut closing = Vec::with_capacity(order.len());
        for place in order {
            match self.close_bar(place, end) {
                Closing::Bar(bar) => {
                    let entry = self.book.entry(place);
                    if !bar.complete {
                        entry.last_incomplete = bar.close_time;
                    }
                    let slot = entry.slot;
                    entry.last = Some(bar.clone());
                    self.book.windows.push(slot, &bar);
                    out.bars.push(bar);
                    closing.push(place);
                }
                Closing::Silent(last) => {
                    self.predict_silent(&last, end, champion, out);
                    let entry = self.book.entry(place);
                    (entry.last, entry.fills) = (None, 0);
                    entry.rows.clear();
                    let slot = entry.slot;
                    if entry.open.is_empty() {
                        gone.push(place);
                    }
                    self.book.windows.clear(slot);
                }
                Closing::Nothing => {}
            }
        }
        let newest: Vec<_> = closing.iter().map(|&place| (place, 0)).collect();
        self.feature_rows(&newest, champion, out);
        self.predict(&closing, end, champion, out);
        self.book.remove(&gone);
        self.closed = Some(end);
        self.gaps.forget_until(end);
    }

    fn close_bar(&mut self, place: u32, end: Micros) -> Closing {
        let interval = self.rules.interval;
        let max_fill = self.rules.max_fill;
        let entry = self.book.entry(place);
        let whole = !self.gaps.touch(&entry.symbol, end);
        if let Some(open) = entry.take_open(end) {
            // A symbol's first bar began before we looked.
            let complete = whole && entry.last.is_some();
            entry.fills = 0;
            return Closing::Bar(open.close(entry.symbol.clone(), interval, complete));
        }
        match entry.last.take() {
            None => Closing::Nothing,
            Some(last) if entry.fills >= max_fill => Closing::Silent(last),
            Some(last) => {
                entry.fills += 1;
                Closing::Bar(last.synthetic_next(whole))
            }
        }
    }

    /// Computes the feature row of the window that ends `back` bars ago for every `(place, back)` that has one, in that order.
    pub(super) fn feature_rows(&mut self, wanted: &[(u32, usize)], champion: &Champion, out: &mut Cycle) {
        let window = champion.spec().window;
        let book = &mut self.book;
        let ready: Vec<(u32, usize)> = wanted
            .iter()
            .copied()
            .filter(|&(place, back)| book.windows.len(book.get(place).slot) >= window + back)
            .collect();
        if ready.is_empty() {
            return;
        }
        let step = self.rules.interval.micros();
        let (windows, entries) = book.windows_and_entries();
        let rows = ready.iter().map(|&(place, back)| {
            let entry = entries[place as usize].as_ref().expect("places in use come from this book");
            let newest = entry.last.as_ref().map_or(0, |bar| bar.close_time);
            let close_time = newest - i64::try_from(back).unwrap_or(0) * step;
            WindowRow { slot: entry.slot, back, symbol: entry.symbol.as_str(), close_time }
        });
        let columns = match windows.view(rows, |batch| champion.features.evaluate(batch)) {
            Ok(Ok(columns)) => columns,
            Ok(Err(error)) => return self.failed_rows(&ready, champion, error.to_string(), out),
            Err(error) => return self.failed_rows(&ready, champion, error.to_string(), out),
        };
        let columns: Vec<_> = columns.iter().map(|column| column.as_primitive::<Float64Type>()).collect();
        for (row, &(place, _)) in ready.iter().enumerate() {
            let values =
                columns.iter().map(|column| if column.is_null(row) { f32::NAN } else { column.value(row) as f32 });
            self.book.entry(place).rows.push(values);
        }
    }

    /// Rows whose features could not be computed hold no number, and so abstain.
    fn failed_rows(&mut self, wanted: &[(u32, usize)], champion: &Champion, problem: String, out: &mut Cycle) {
        out.problems.push(problem);
        let width = champion.features.names().len();
        for &(place, _) in wanted {
            self.book.entry(place).rows.push(std::iter::repeat_n(f32::NAN, width));
        }
    }
}

enum Closing {
    Bar(Bar),
    Silent(Bar),
    /// The symbol has no closed bar yet, or none any more.
    Nothing,
}
