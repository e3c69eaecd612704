//! How widely values scatter. On a flat series each is 0.

use super::value::mean;
use super::{ROUNDING, tail};

/// Population standard deviation of the last `n` values (TA-Lib `STDDEV` with `nbdev` 1), in two passes, so that it does
/// not lose a small scatter around a large price.
pub fn stddev(x: &[f64], n: usize) -> f64 {
    tail(x, n).map_or(f64::NAN, |x| moments(x).1)
}

/// How many standard deviations the newest value lies above the mean of the last `n`: the position in Bollinger's bands
/// (`(x - SMA) / STDDEV` of TA-Lib). Flat: 0; a scatter that is only rounding counts as flat.
pub fn bb_z(x: &[f64], n: usize) -> f64 {
    let Some(x) = tail(x, n) else { return f64::NAN };
    let (mean, deviation) = moments(x);
    if deviation <= ROUNDING * mean.abs() { 0.0 } else { (x[n - 1] - mean) / deviation }
}

/// Realised volatility of the last `n` log returns, not annualised and not centred: `sqrt(mean(ln(x[i] / x[i-1])^2))`.
/// Needs `n + 1` values.
pub fn realised_vol(x: &[f64], n: usize) -> f64 {
    let (Some(x), true) = (tail(x, n + 1), n > 0) else { return f64::NAN };
    let squares: f64 = x.windows(2).map(|pair| (pair[1] / pair[0]).ln().powi(2)).sum();
    (squares / n as f64).sqrt()
}

/// Mean and population standard deviation.
fn moments(x: &[f64]) -> (f64, f64) {
    let n = x.len() as f64;
    let mean = mean(x);
    let squares: f64 = x.iter().map(|x| (x - mean) * (x - mean)).sum();
    (mean, (squares / n).sqrt())
}
