//! Oscillators of one price against its own recent past.

use super::average::Decay;
use super::value::{highest, lowest};
use super::{ROUNDING, lag, last, ratio, tail};

/// Relative strength index: `100 * gain / (gain + loss)`, both Wilder averages over `n` of the rises and falls from bar to
/// bar, seeded with the mean of the first `n` (Wilder 1978; TA-Lib `RSI`). Needs `n + 1` values. Flat: 50 (TA-Lib: 0).
pub fn rsi(x: &[f64], n: usize) -> f64 {
    if n == 0 || x.len() <= n {
        return f64::NAN;
    }
    let (mut gain, mut loss) = (0.0, 0.0);
    for pair in x[..=n].windows(2) {
        let change = pair[1] - pair[0];
        gain += change.max(0.0);
        loss -= change.min(0.0);
    }
    let (mut gain, mut loss) = (Decay::wilder(n, gain), Decay::wilder(n, loss));
    let mut before = x[n];
    let (chunks, rest) = x[n + 1..].as_chunks::<4>();
    for &[a, b, c, d] in chunks {
        let changes = [a - before, b - a, c - b, d - c];
        gain.push4(changes.map(|change| change.max(0.0)));
        loss.push4(changes.map(|change| (-change).max(0.0)));
        before = d;
    }
    for &value in rest {
        let change = value - before;
        gain.push(change.max(0.0));
        loss.push((-change).max(0.0));
        before = value;
    }
    ratio(100.0 * gain.value, gain.value + loss.value, 50.0)
}

/// Rate of change in percent: `100 * (x / x[n bars ago] - 1)` (TA-Lib `ROC`). Needs `n + 1` values. Flat: 0.
pub fn roc(x: &[f64], n: usize) -> f64 {
    let before = lag(x, n);
    if n == 0 { f64::NAN } else { 100.0 * (ratio(last(x), before, 1.0) - 1.0) }
}

/// Raw stochastic %K: where the close lies between the lowest low (0) and the highest high (100) of the last `n` bars
/// (Lane; TA-Lib `STOCHF` fast %K). Flat: 50 (TA-Lib: 0).
pub fn stoch_k(high: &[f64], low: &[f64], close: &[f64], n: usize) -> f64 {
    let (Some(high), Some(low)) = (tail(high, n), tail(low, n)) else { return f64::NAN };
    let (high, low) = (highest(high), lowest(low));
    100.0 * ratio(last(close) - low, high - low, 0.5)
}

/// Williams %R: [`stoch_k`] less 100, from -100 to 0 (TA-Lib `WILLR`). Flat: -50 (TA-Lib: 0).
pub fn willr(high: &[f64], low: &[f64], close: &[f64], n: usize) -> f64 {
    let (Some(high), Some(low)) = (tail(high, n), tail(low, n)) else { return f64::NAN };
    let (high, low) = (highest(high), lowest(low));
    -100.0 * ratio(high - last(close), high - low, 0.5)
}

/// Commodity channel index: `(p - mean) / (0.015 * mean |p - mean|)` of the typical price `p = (high + low + close) / 3`
/// over the last `n` bars (Lambert 1980; TA-Lib `CCI`). Flat: 0; a spread that is only rounding counts as flat.
pub fn cci(high: &[f64], low: &[f64], close: &[f64], n: usize) -> f64 {
    let (Some(high), Some(low), Some(close)) = (tail(high, n), tail(low, n), tail(close, n)) else { return f64::NAN };
    // As distances from the newest close, so that a small spread around a large price keeps its digits.
    let origin = close[n - 1];
    let typical =
        |((high, low), close): ((&f64, &f64), &f64)| ((high - origin) + (low - origin) + (close - origin)) / 3.0;
    let bars = || high.iter().zip(low).zip(close).map(typical);
    let mean = bars().sum::<f64>() / n as f64;
    let deviation = bars().map(|typical| (typical - mean).abs()).sum::<f64>() / n as f64;
    let newest = typical(((&high[n - 1], &low[n - 1]), &origin));
    if deviation <= ROUNDING * origin.abs() { 0.0 } else { (newest - mean) / (0.015 * deviation) }
}
