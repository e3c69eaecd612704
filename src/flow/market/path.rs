//! The returns of one symbol, and how often the best forecast of them is right.

use rand::rngs::StdRng;
use rand_distr::{Distribution as _, StandardNormal};

use super::rng;

/// Weight of the newest return in the average: a span of 20 bars.
const ALPHA: f64 = 2.0 / 21.0;
/// Log return of a bar for a scaled return of 1.
const SCALE: f64 = 8e-4;

/// The rule of the returns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Regime {
    /// R: +1 for trends, -1 for reversals.
    pub direction: f64,
    /// k: half of the largest drift, in deviations of a bar.
    pub strength: f64,
}

impl Default for Regime {
    /// The reference market: trends, k = 0.2.
    fn default() -> Self {
        Self { direction: 1.0, strength: 0.2 }
    }
}

/// Log returns of one symbol's bars, without end.
#[derive(Debug)]
pub struct Path {
    regime: Regime,
    normals: StdRng,
    average: f64,
}

impl Path {
    /// The returns of symbol `number` under `seed`.
    pub fn new(seed: u64, number: u32, regime: Regime) -> Self {
        Self { regime, normals: rng(seed, number, 0), average: 0.0 }
    }

    /// What the best forecast has the sign of: `R * x`, from closed bars alone.
    pub fn signal(&self) -> f64 {
        self.regime.direction * self.x()
    }

    fn x(&self) -> f64 {
        self.average / (ALPHA / (2.0 - ALPHA)).sqrt()
    }
}

impl Iterator for Path {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        let normal: f64 = StandardNormal.sample(&mut self.normals);
        let drift = self.regime.direction * self.regime.strength * 2.0 * (self.x() / 2.0).tanh();
        let r = normal + drift;
        self.average += ALPHA * (r - self.average);
        Some(SCALE * r)
    }
}

/// How often the sign of [`Path::signal`] is that of the return over each of `horizons` bars, over `bars` bars of one path.
/// By symmetry no forecast from past bars does better.
pub fn optimum(regime: Regime, horizons: &[usize], bars: usize, seed: u64) -> Vec<f64> {
    let mut path = Path::new(seed, 0, regime);
    let (mut signals, mut closes) = (Vec::with_capacity(bars), Vec::with_capacity(bars + 1));
    let mut close = 0.0;
    for _ in 0..bars {
        signals.push(path.signal());
        closes.push(close);
        close += path.next().unwrap_or_default();
    }
    closes.push(close);
    // The signal of the first bar is zero: it knows nothing yet.
    let right = |horizon: usize| {
        let scored = 1..bars - horizon;
        let hits = scored.clone().filter(|&t| (closes[t + horizon] - closes[t]) * signals[t] > 0.0).count();
        hits as f64 / scored.len() as f64
    };
    horizons.iter().map(|&horizon| right(horizon)).collect()
}
