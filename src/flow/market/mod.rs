//! A generated market whose best forecast is known: for demos, tests and the reference model.
//!
//! Per symbol, with independent standard normals `u`, the scaled return of a bar is
//!
//! ```text
//! r_t = u_t + R * k * 2 tanh(x_{t-1} / 2)        ln(close_t / close_{t-1}) = 8e-4 * r_t
//! ```
//!
//! where `x` is the 20-bar exponential average of `r` (alpha = 2/21) over the stationary deviation that it would have on
//! independent unit normals, `sqrt(alpha / (2 - alpha)) = sqrt(1/20)`. `R` is +1 (trends) or -1 (reversals). The best
//! direction is the sign of `R * x`, at every horizon; [`optimum`] says how often it is right. For `R = +1, k = 0.2`: 58.1%
//! one bar ahead, 65.1% five, 67.9% fifteen. No forecast of one bar can beat Phi(2k), the probability at full drift.
//!
//! Trades within a bar ([`ticks`]) are decoration: they end at the bar's close and know nothing of later bars.
//!
//! Pure: randomness comes from the seed alone, so the same [`MarketSpec`] gives the same trades, digit for digit.

mod path;
mod ticks;

pub use path::{Path, Regime, optimum};
pub use ticks::MarketTick;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use self::ticks::TickBars;
use super::merge::{Merge, Timed};
use super::symbol::Symbol;
use super::time::{Interval, Micros};

/// What is generated.
#[derive(Clone, Debug)]
pub struct MarketSpec {
    /// How many symbols: `SIM-1.TICKCAST` and so on, independent of each other.
    pub symbols: u32,
    /// Length of the bars that the returns are made for.
    pub interval: Interval,
    /// Any time in the first bar: trades begin where that bar opens.
    pub start: Micros,
    /// How many bars a symbol; none for no end.
    pub bars: Option<u64>,
    /// What all randomness comes from. A symbol's trades depend on it and on the symbol's number only.
    pub seed: u64,
    /// Trades a bar, on average; every bar has at least one.
    pub ticks_per_bar: f64,
    /// The rule of the returns.
    pub regime: Regime,
}

/// The trades of all symbols in time order.
#[derive(Debug)]
pub struct Market(Merge<TickBars>);

impl Market {
    /// A market of `spec`.
    pub fn new(spec: &MarketSpec) -> Self {
        Self(Merge::new((1..=spec.symbols).map(|number| TickBars::new(spec, number)).collect()))
    }
}

impl Iterator for Market {
    type Item = MarketTick;

    fn next(&mut self) -> Option<MarketTick> {
        self.0.next().map(|Ok(tick)| tick)
    }
}

impl Timed for MarketTick {
    fn time(&self) -> Micros {
        self.event_time
    }
}

/// How the names of generated symbols end: no exchange is called that.
pub const VENUE: &str = ".TICKCAST";

/// The name of symbol `number`, counted from 1.
fn name(number: u32) -> Symbol {
    Symbol::new(&format!("SIM-{number}{VENUE}")).expect("letters, digits, a dash and a dot")
}

/// Independent streams for each symbol and use: `StdRng` is seeded through a hash, so close seeds are as good as far ones.
fn rng(seed: u64, symbol: u32, stream: u64) -> StdRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..12].copy_from_slice(&symbol.to_le_bytes());
    bytes[12..20].copy_from_slice(&stream.to_le_bytes());
    StdRng::from_seed(bytes)
}

#[cfg(test)]
mod tests;
