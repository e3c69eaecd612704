//! Moving averages. On a flat series each is the series' value.

use super::tail;
use super::value::mean;

/// Simple moving average: the mean of the last `n` values (TA-Lib `SMA`).
pub fn sma(x: &[f64], n: usize) -> f64 {
    tail(x, n).map_or(f64::NAN, mean)
}

/// Exponential moving average: `e += (x - e) * 2 / (n + 1)`, seeded with the mean of the first `n` values (TA-Lib `EMA`).
pub fn ema(x: &[f64], n: usize) -> f64 {
    if n == 0 || x.len() < n {
        return f64::NAN;
    }
    let (seed, rest) = x.split_at(n);
    let k = 2.0 / (n as f64 + 1.0);
    // The recursion acts on the distance from the seed, so a flat series stays exactly where it is.
    let mean = mean(seed);
    let mut decay = Decay::new(1.0 - k, 0.0);
    let (chunks, rest) = rest.as_chunks::<4>();
    for &[a, b, c, d] in chunks {
        decay.push4([(a - mean) * k, (b - mean) * k, (c - mean) * k, (d - mean) * k]);
    }
    rest.iter().for_each(|x| decay.push((x - mean) * k));
    mean + decay.value
}

/// Weighted moving average of the last `n` values: weights 1 (oldest) to `n` (newest) (TA-Lib `WMA`).
pub fn wma(x: &[f64], n: usize) -> f64 {
    let Some(x) = tail(x, n) else { return f64::NAN };
    let newest = x[n - 1];
    let distance: f64 = x.iter().zip(1..).map(|(x, weight)| f64::from(weight) * (x - newest)).sum();
    newest + distance / (n * (n + 1) / 2) as f64
}

/// The recursion `value = keep * value + x`, which every seeded average is.
///
/// Four steps at once cost little more than one: only one multiplication and one addition wait for the value before, and
/// that wait is what the recursion costs (windows are 256 bars long, one after the other).
pub(super) struct Decay {
    keep: [f64; 4],
    /// The recursion's value.
    pub value: f64,
}

impl Decay {
    pub fn new(keep: f64, value: f64) -> Self {
        let square = keep * keep;
        Self { keep: [keep, square, square * keep, square * square], value }
    }

    /// Wilder's smoothing of `n` values as a sum: `value -= value / n; value += x`.
    pub fn wilder(n: usize, sum: f64) -> Self {
        Self::new(1.0 - 1.0 / n as f64, sum)
    }

    pub fn push(&mut self, x: f64) {
        self.value = self.keep[0] * self.value + x;
    }

    pub fn push4(&mut self, [a, b, c, d]: [f64; 4]) {
        let [k1, k2, k3, k4] = self.keep;
        self.value = k4 * self.value + ((k3 * a + k2 * b) + (k1 * c + d));
    }
}
