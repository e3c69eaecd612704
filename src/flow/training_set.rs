//! Rows to train on: the features of every full window, beside what came after it.
//!
//! The features come from the same code over the same view as in a live cycle; the rows are overlapping windows into one
//! column of bars.

use arrow::array::AsArray as _;
use arrow::datatypes::Float64Type;

use crate::flow::bar::Bar;
use crate::flow::features::{FeatureError, FeatureSet};
use crate::flow::time::Micros;
use crate::flow::window::{WindowError, WindowRow, Windows};

/// Rows that are computed at once.
const CHUNK: usize = 4_096;

/// Why rows could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// The windows could not be shown.
    #[error(transparent)]
    Window(#[from] WindowError),
    /// The features could not be computed.
    #[error(transparent)]
    Feature(#[from] FeatureError),
}

/// The rows of one symbol, by columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrainingRows {
    /// End of the row's last bar.
    pub close_time: Vec<Micros>,
    /// Its close.
    pub close: Vec<f64>,
    /// A column a feature, NaN where it has no value.
    pub features: Vec<Vec<f32>>,
    /// A column a horizon: the return to the close so many bars later, in basis points; none where that bar is missing,
    /// synthetic or incomplete, which is where a prediction could not be settled.
    pub return_bps: Vec<Vec<Option<f64>>>,
}

/// One row for each of `bars` (one symbol's, in order) that ends `window` complete bars without a gap.
///
/// # Errors
/// When the bars are more than a column can hold, or the features cannot be computed.
pub fn rows(
    bars: &[Bar],
    window: usize,
    horizons: &[u32],
    features: &FeatureSet,
) -> Result<TrainingRows, TrainingError> {
    let mut rows = TrainingRows {
        features: vec![Vec::new(); features.names().len()],
        return_bps: vec![Vec::new(); horizons.len()],
        ..TrainingRows::default()
    };
    let ends = full_windows(bars, window);
    let Some(first) = bars.first() else { return Ok(rows) };
    let mut windows = Windows::new(window, bars.len());
    let slot = windows.insert();
    bars.iter().for_each(|bar| windows.push(slot, bar));
    for chunk in ends.chunks(CHUNK) {
        let view = chunk.iter().map(|&end| WindowRow {
            slot,
            back: bars.len() - 1 - end,
            symbol: first.symbol.as_str(),
            close_time: bars[end].close_time,
        });
        let columns = windows.view(view, |batch| features.evaluate(batch))??;
        for (column, values) in rows.features.iter_mut().zip(&columns) {
            column.extend(values.as_primitive::<Float64Type>().values().iter().map(|&value| value as f32));
        }
    }
    for end in ends {
        rows.close_time.push(bars[end].close_time);
        rows.close.push(bars[end].close);
        for (column, &horizon) in rows.return_bps.iter_mut().zip(horizons) {
            column.push(forward_return(bars, end, horizon));
        }
    }
    Ok(rows)
}

/// Places of the bars that end `window` complete bars in a row.
fn full_windows(bars: &[Bar], window: usize) -> Vec<usize> {
    let mut run = 0;
    let mut ends = Vec::new();
    for (i, bar) in bars.iter().enumerate() {
        let follows = i > 0 && bars[i - 1].close_time == bar.open_time;
        run = match (bar.complete, follows) {
            (true, true) => run + 1,
            (true, false) => 1,
            (false, _) => 0,
        };
        if run >= window {
            ends.push(i);
        }
    }
    ends
}

fn forward_return(bars: &[Bar], from: usize, horizon: u32) -> Option<f64> {
    let start = &bars[from];
    let target_time = start.close_time + i64::from(horizon) * start.interval.micros();
    let ahead = usize::try_from(horizon).ok()?.checked_add(from)?;
    // A silence leaves bars out, so the target may lie closer, never further.
    let target = bars[from..bars.len().min(ahead + 1)].iter().rev().find(|bar| bar.close_time <= target_time)?;
    let settles = target.close_time == target_time && target.complete && !target.synthetic;
    settles.then(|| (target.close / start.close - 1.0) * 1e4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::symbol::Symbol;
    use crate::flow::time::Interval;

    fn bars(closes: &[f64]) -> Vec<Bar> {
        let interval = Interval::from_seconds(10).unwrap();
        let bar = |(i, &close): (usize, &f64)| Bar {
            symbol: Symbol::new("A").unwrap(),
            interval,
            open_time: i as i64 * interval.micros(),
            close_time: (i as i64 + 1) * interval.micros(),
            open: close,
            high: close,
            low: close,
            close,
            volume: 1.0,
            vwap: close,
            trades: 1,
            buy_volume: 1.0,
            sell_volume: 0.0,
            complete: true,
            synthetic: false,
            last_event_time: i as i64 * interval.micros(),
        };
        closes.iter().enumerate().map(bar).collect()
    }

    fn features() -> FeatureSet {
        FeatureSet::plan(r#"SELECT last(close) AS newest, sma(close, 3) AS mean FROM "window""#).unwrap()
    }

    #[test]
    fn a_row_for_each_full_window_with_what_came_after() {
        let rows = rows(&bars(&[1.0, 2.0, 3.0, 4.0, 5.0]), 3, &[1, 2], &features()).unwrap();
        assert_eq!(rows.close, [3.0, 4.0, 5.0]);
        assert_eq!(rows.close_time, [30_000_000, 40_000_000, 50_000_000]);
        assert_eq!(rows.features, [vec![3.0, 4.0, 5.0], vec![2.0, 3.0, 4.0]]);
        let bps = |from: f64, to: f64| Some((to / from - 1.0) * 1e4);
        assert_eq!(rows.return_bps, [vec![bps(3.0, 4.0), bps(4.0, 5.0), None], vec![bps(3.0, 5.0), None, None]]);
    }

    #[test]
    fn incomplete_bars_and_gaps_break_windows_and_targets() {
        let mut bars = bars(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        bars[3].complete = false;
        let rows_of = |bars: &[Bar]| rows(bars, 3, &[1], &features()).unwrap();
        assert_eq!(rows_of(&bars).close, [3.0, 7.0, 8.0]);
        assert_eq!(rows_of(&bars).return_bps[0][0], None);
        bars[3].complete = true;
        bars.remove(4);
        assert_eq!(rows_of(&bars).close, [3.0, 4.0, 8.0]);
        assert_eq!(rows_of(&bars).return_bps[0][1], None);
        bars[3].synthetic = true;
        assert_eq!(rows_of(&bars).return_bps[0][0], None);
    }

    #[test]
    fn chunks_do_not_show() {
        let closes: Vec<f64> = (0..CHUNK * 2 + 10).map(|i| 100.0 + (i % 17) as f64).collect();
        let all = bars(&closes);
        let rows = rows(&all, 3, &[1], &features()).unwrap();
        assert_eq!(rows.close.len(), closes.len() - 2);
        for (row, newest) in rows.features[0].iter().enumerate() {
            assert_eq!(f64::from(*newest), closes[row + 2]);
        }
    }

    #[test]
    fn nothing_gives_nothing() {
        assert_eq!(rows(&[], 3, &[1], &features()).unwrap().close.len(), 0);
    }
}
