//! Moving average convergence/divergence (Appel; TA-Lib `MACD`). On a flat series both are 0.
//!
//! The averages are subtracted, so what is left of them is small: the arithmetic here is TA-Lib's, step by step, because
//! another order of the same operations differs by more than 1e-9 of the remainder.

use super::value::mean;

/// `ema(fast) - ema(slow)`, the fast one seeded over the last `fast` of the slow one's seed bars. Needs `slow` values and
/// `fast < slow`. Flat: 0.
pub fn macd(x: &[f64], fast: usize, slow: usize) -> f64 {
    lines(x, fast, slow, 1).0
}

/// [`macd`] less its own EMA over `signal` values, seeded with the mean of the first `signal`. Needs `slow + signal - 1`
/// values. Flat: 0.
pub fn macd_hist(x: &[f64], fast: usize, slow: usize, signal: usize) -> f64 {
    let (macd, signal) = lines(x, fast, slow, signal);
    macd - signal
}

struct Ema {
    k: f64,
    value: f64,
}

impl Ema {
    /// Seeded with the mean of `x`.
    fn new(x: &[f64]) -> Self {
        Self { k: 2.0 / (x.len() as f64 + 1.0), value: mean(x) }
    }

    fn push(&mut self, x: f64) -> f64 {
        self.value += (x - self.value) * self.k;
        self.value
    }
}

fn lines(x: &[f64], fast: usize, slow: usize, signal: usize) -> (f64, f64) {
    if fast == 0 || signal == 0 || fast >= slow || x.len() + 1 < slow + signal {
        return (f64::NAN, f64::NAN);
    }
    let (seed, rest) = x.split_at(slow);
    let (mut fast, mut slow) = (Ema::new(&seed[slow - fast..]), Ema::new(seed));
    let mut line = fast.value - slow.value;
    let (warm, rest) = rest.split_at(signal - 1);
    let mut sum = line;
    for &value in warm {
        line = fast.push(value) - slow.push(value);
        sum += line;
    }
    let mut signal = Ema { k: 2.0 / (signal as f64 + 1.0), value: sum / signal as f64 };
    for &value in rest {
        line = fast.push(value) - slow.push(value);
        signal.push(line);
    }
    (line, signal.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::indicator::ema;

    #[test]
    fn the_slow_half_is_a_plain_ema() {
        let x: Vec<f64> = (0..60).map(|i| f64::from(i * i % 17)).collect();
        // With one bar more than the slow seed, the fast seed is aligned to it: macd = ema(x[14..], 12) - ema(x, 26).
        assert!((macd(&x, 12, 26) - (ema(&x[14..], 12) - ema(&x, 26))).abs() < 1e-12);
    }
}
