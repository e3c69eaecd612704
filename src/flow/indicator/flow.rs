//! Indicators of volume and of who took it.

use super::value::total;
use super::{ROUNDING, last, ratio, tail};

/// Money flow index, 0 to 100: the share of `typical price * volume` that fell on bars whose typical price
/// `(high + low + close) / 3` rose, among those that rose or fell, over the last `n` bars (Quong and Soudack 1989; TA-Lib
/// `MFI`). Needs `n + 1` bars. Where no money flowed up or down in the whole period (flat, or no volume on the bars that
/// moved): 50 (TA-Lib: 0).
pub fn mfi(high: &[f64], low: &[f64], close: &[f64], volume: &[f64], n: usize) -> f64 {
    let (Some(high), Some(low), Some(close), Some(volume), true) =
        (tail(high, n + 1), tail(low, n + 1), tail(close, n + 1), tail(volume, n + 1), n > 0)
    else {
        return f64::NAN;
    };
    let (mut rise, mut fall) = (0.0, 0.0);
    let mut before = (high[0] + low[0] + close[0]) / 3.0;
    for i in 1..=n {
        let typical = (high[i] + low[i] + close[i]) / 3.0;
        let flow = typical * volume[i];
        let change = typical - before;
        let moved = change.abs() > ROUNDING * typical;
        rise += if moved && change > 0.0 { flow } else { 0.0 };
        fall += if moved && change < 0.0 { flow } else { 0.0 };
        before = typical;
    }
    100.0 * ratio(rise, rise + fall, 0.5)
}

/// Slope per bar of the on-balance volume over the last `n` bars, by least squares, over their mean volume
/// (`LINEARREG_SLOPE(OBV) / SMA(volume)` of TA-Lib). Needs `n` bars, at least 2. Flat, or no volume: 0.
pub fn obv_slope(close: &[f64], volume: &[f64], n: usize) -> f64 {
    let (Some(close), Some(volume), true) = (tail(close, n), tail(volume, n), n > 1) else { return f64::NAN };
    let middle = (n - 1) as f64 / 2.0;
    // A slope does not see a constant: the volume balance starts at zero here.
    let (mut balance, mut moment) = (0.0, 0.0);
    for i in 1..n {
        let change = close[i] - close[i - 1];
        balance += if change > 0.0 {
            volume[i]
        } else if change < 0.0 {
            -volume[i]
        } else {
            0.0
        };
        moment += (i as f64 - middle) * balance;
    }
    let n = n as f64;
    ratio(moment * 12.0 / (n * n - 1.0), total(volume), 0.0)
}

/// `ln(newest close / volume-weighted average price of the last n bars)`; without volume the plain mean of their vwap.
/// Flat: 0.
pub fn vwap_gap(close: &[f64], vwap: &[f64], volume: &[f64], n: usize) -> f64 {
    let (Some(vwap), Some(volume)) = (tail(vwap, n), tail(volume, n)) else { return f64::NAN };
    let close = last(close);
    // Measured from the close, so that prices that are all the same give exactly zero.
    let distance: f64 = vwap.iter().zip(volume).map(|(vwap, volume)| (vwap - close) * volume).sum();
    let plain = vwap.iter().map(|vwap| vwap - close).sum::<f64>() / n as f64;
    -(ratio(distance, total(volume), plain) / close).ln_1p()
}

/// `(bought - sold) / (bought + sold)` of the takers over the last `n` bars, -1 to 1. Without volume: 0.
pub fn trade_imbalance(buy: &[f64], sell: &[f64], n: usize) -> f64 {
    let (Some(buy), Some(sell)) = (tail(buy, n), tail(sell, n)) else { return f64::NAN };
    let (buy, sell) = (total(buy), total(sell));
    ratio(buy - sell, buy + sell, 0.0)
}
