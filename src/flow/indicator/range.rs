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
    let range = |high: f64, low: f64, before: f64| high.max(before) - low.min(before);
    let (seed, rest) = ((&high[1..=n], &low[1..=n], &close[..n]), (&high[n + 1..], &low[n + 1..], &close[n..len - 1]));
    let seed = seed.0.iter().zip(seed.1).zip(seed.2).map(|((high, low), before)| range(*high, *low, *before)).sum();
    let mut sum = Decay::wilder(n, seed);
    let (high, high_rest) = rest.0.as_chunks::<4>();
    let (low, low_rest) = rest.1.as_chunks::<4>();
    let (before, before_rest) = rest.2.as_chunks::<4>();
    for ((high, low), before) in high.iter().zip(low).zip(before) {
        sum.push4(std::array::from_fn(|i| range(high[i], low[i], before[i])));
    }
    for ((high, low), before) in high_rest.iter().zip(low_rest).zip(before_rest) {
        sum.push(range(*high, *low, *before));
    }
    sum.value / n as f64
}

/// Parkinson's volatility of the last `n` bars: `sqrt(mean(ln(high / low)^2) / (4 ln 2))` (Parkinson 1980). A bar's
/// standard deviation of log prices.
pub fn parkinson(high: &[f64], low: &[f64], n: usize) -> f64 {
    let (Some(high), Some(low)) = (tail(high, n), tail(low, n)) else { return f64::NAN };
    let squares: f64 = high.iter().zip(low).map(|(high, low)| (high / low).ln().powi(2)).sum();
    (squares / n as f64 / (4.0 * std::f64::consts::LN_2)).sqrt()
}
