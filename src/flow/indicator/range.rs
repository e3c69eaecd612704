//! How far prices move within and between bars. On a flat series both are 0.

use super::average::Decay;
use super::tail;

/// Average true range: the Wilder average over `n` of `max(high, previous close) - min(low, previous close)`, seeded with
/// the mean of the first `n` (Wilder 1978; TA-Lib `ATR`). In price units. Needs `n + 1` bars.
pub fn atr(high: &[f64], low: &[f64], close: &[f64], n: usize) -> f64 {
    let len = close.len();
    if n == 0 || len <= n || high.len() != len || low.len() != len {
        return f64::NAN;
    }
    let (high, low, before) = (&high[1..], &low[1..], &close[..len - 1]);
    let range = |i: usize| high[i].max(before[i]) - low[i].min(before[i]);
    let mut sum = Decay::wilder(n, (0..n).map(range).sum());
    let mut i = n;
    while i + 4 < len {
        sum.push4([range(i), range(i + 1), range(i + 2), range(i + 3)]);
        i += 4;
    }
    (i..len - 1).for_each(|i| sum.push(range(i)));
    sum.value / n as f64
}

/// Parkinson's volatility of the last `n` bars: `sqrt(mean(ln(high / low)^2) / (4 ln 2))` (Parkinson 1980). A bar's
/// standard deviation of log prices.
pub fn parkinson(high: &[f64], low: &[f64], n: usize) -> f64 {
    let (Some(high), Some(low)) = (tail(high, n), tail(low, n)) else { return f64::NAN };
    let squares: f64 = high.iter().zip(low).map(|(high, low)| (high / low).ln().powi(2)).sum();
    (squares / n as f64 / (4.0 * std::f64::consts::LN_2)).sqrt()
}
