//! Values and plain aggregates of a column: not indicators in themselves, but what feature SQL is made of.

use super::tail;

/// The newest value.
pub fn last(x: &[f64]) -> f64 {
    x.last().copied().unwrap_or(f64::NAN)
}

/// The value `n` bars before the newest. Needs `n + 1` bars.
pub fn lag(x: &[f64], n: usize) -> f64 {
    x.len().checked_sub(n + 1).map_or(f64::NAN, |i| x[i])
}

/// Sum of the last `n` values (TA-Lib `SUM`).
pub fn sum(x: &[f64], n: usize) -> f64 {
    tail(x, n).map_or(f64::NAN, total)
}

/// Smallest of the last `n` values (TA-Lib `MIN`).
pub fn min(x: &[f64], n: usize) -> f64 {
    tail(x, n).map_or(f64::NAN, lowest)
}

/// Largest of the last `n` values (TA-Lib `MAX`).
pub fn max(x: &[f64], n: usize) -> f64 {
    tail(x, n).map_or(f64::NAN, highest)
}

/// The sum in four interleaved parts: an addition need not wait for the one before it.
pub(super) fn total(x: &[f64]) -> f64 {
    let (chunks, rest) = x.as_chunks::<4>();
    let mut parts = [0.0; 4];
    for chunk in chunks {
        for (part, value) in parts.iter_mut().zip(chunk) {
            *part += value;
        }
    }
    (parts[0] + parts[1]) + (parts[2] + parts[3]) + rest.iter().sum::<f64>()
}

/// The mean, summed as distances from the newest value, in four interleaved parts: equal values give exactly that value.
/// `x` is not empty.
pub(super) fn mean(x: &[f64]) -> f64 {
    let origin = x[x.len() - 1];
    let (chunks, rest) = x.as_chunks::<4>();
    let mut parts = [0.0; 4];
    for chunk in chunks {
        for (part, value) in parts.iter_mut().zip(chunk) {
            *part += value - origin;
        }
    }
    let rest: f64 = rest.iter().map(|value| value - origin).sum();
    origin + ((parts[0] + parts[1]) + (parts[2] + parts[3]) + rest) / x.len() as f64
}

/// The smallest value, in four interleaved parts. NaN where there is none.
pub(super) fn lowest(x: &[f64]) -> f64 {
    fold(x, |a, b| if b < a { b } else { a })
}

/// The largest value, in four interleaved parts. NaN where there is none.
pub(super) fn highest(x: &[f64]) -> f64 {
    fold(x, |a, b| if b > a { b } else { a })
}

fn fold(x: &[f64], pick: impl Fn(f64, f64) -> f64) -> f64 {
    let Some(&first) = x.first() else { return f64::NAN };
    let (chunks, rest) = x.as_chunks::<4>();
    let mut parts = [first; 4];
    for chunk in chunks {
        for (part, value) in parts.iter_mut().zip(chunk) {
            *part = pick(*part, *value);
        }
    }
    rest.iter().copied().fold(pick(pick(parts[0], parts[1]), pick(parts[2], parts[3])), pick)
}
