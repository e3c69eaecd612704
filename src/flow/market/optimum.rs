//! How often the best forecast of a rule is right, and one that was made for another rule.

use super::{Path, Regime};

/// Bars ahead that [`known`] figures are given for: the horizons of the reference model.
pub const HORIZONS: [usize; 3] = [1, 5, 15];

/// [`optimum`] at each of [`HORIZONS`]: for the two rules that the generator flips between as simulated over twelve million bars
/// (right to 0.1 points), for any other over one million (to 0.3 points).
pub fn known(regime: Regime) -> [f64; 3] {
    match regime {
        Regime::TREND => [0.5807, 0.6507, 0.6792],
        Regime::REVERSAL => [0.6222, 0.6810, 0.6717],
        other => {
            let rates = optimum(other, &HORIZONS, 1_000_000, 1);
            std::array::from_fn(|i| (rates[i] * 1e4).round() / 1e4)
        }
    }
}

/// How often the sign of [`Path::signal`] is that of the return over each of `horizons` bars, over `bars` bars (more than any
/// horizon) of one path of one rule. By symmetry no forecast from past bars does better, nor from those of other symbols:
/// what symbols share is new in every bar.
pub fn optimum(regime: Regime, horizons: &[usize], bars: usize, seed: u64) -> Vec<f64> {
    let mut path = Path::new(seed, 0, &regime.into(), 0.0);
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

/// How often the best forecast of the rule `learned` is right where `regime` holds, whose optimum is `optimum`.
///
/// It goes by the sign of `x` alone, so it is the best forecast there too, or says the opposite every time.
pub fn frozen(learned: Regime, regime: Regime, optimum: f64) -> f64 {
    if learned.direction * regime.direction > 0.0 { optimum } else { 1.0 - optimum }
}
