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
//! The rule may change at stated bars ([`Schedule`]): `x` carries on, and a forecast that was made for the old rule
//! ([`frozen`]) is wrong as often as it was right when `R` changes its sign. Symbols may move together: with a correlation
//! `rho`, `u = sqrt(rho) * common + sqrt(1 - rho) * own`, all of them unit normals, so every symbol by itself is the same market.
//!
//! Trades within a bar ([`ticks`]) are decoration: they end at the bar's close and know nothing of later bars. What goes wrong
//! between a venue and the topic, late, repeated and unusable records, is added by [`Disturbed`] and changes no trade.
//!
//! Pure: randomness comes from the seed alone, so the same [`MarketSpec`] gives the same trades, digit for digit.

mod disturbed;
mod optimum;
mod path;
mod schedule;
mod ticks;

pub use disturbed::{Disturbed, Faults, Flaw, Sent, SentAs};
pub use optimum::{HORIZONS, frozen, known, optimum};
pub use path::Path;
pub use schedule::{Regime, Schedule, ScheduleError, Stretch};
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
    /// How many symbols: `SIM-1.TICKCAST` and so on.
    pub symbols: u32,
    /// Length of the bars that the returns are made for.
    pub interval: Interval,
    /// Any time in the first bar: trades begin where that bar opens.
    pub start: Micros,
    /// How many bars a symbol; none for no end.
    pub bars: Option<u64>,
    /// What all randomness comes from. A symbol's trades depend on it, on the symbol's number, the schedule and the correlation,
    /// not on how many symbols there are.
    pub seed: u64,
    /// Trades a bar, on average; every bar has at least one.
    pub ticks_per_bar: f64,
    /// The rule of the returns, and when it changes.
    pub schedule: Schedule,
    /// Correlation of the normals of any two symbols, from 0 to below 1.
    pub correlation: f64,
}

impl MarketSpec {
    /// When `bar` opens; bars are counted from 0.
    pub fn open_of(&self, bar: u64) -> Micros {
        let bars = Micros::try_from(bar).unwrap_or(Micros::MAX);
        self.interval.open_of(self.start).saturating_add(bars.saturating_mul(self.interval.micros()))
    }

    /// When the rule changes: where the first bar of each new rule opens.
    pub fn flip_times(&self) -> impl Iterator<Item = Micros> + '_ {
        self.schedule.flips().map(|bar| self.open_of(bar))
    }
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

/// What random numbers are for. Those that belong to no symbol are of number 0, which no symbol has.
mod streams {
    /// The normals of a symbol's returns.
    pub const RETURNS: u64 = 0;
    /// A symbol's trades within bars.
    pub const TRADES: u64 = 1;
    /// The normals that all symbols share.
    pub const COMMON: u64 = 2;
    /// Which trades are sent twice.
    pub const DUPLICATES: u64 = 3;
    /// Late trades.
    pub const LATE: u64 = 4;
    /// Bad records.
    pub const BAD: u64 = 5;
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
