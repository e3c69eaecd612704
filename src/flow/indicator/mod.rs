//! Indicators: pure functions of a window's columns, one family a file, each with its formula, its source and its value on
//! a flat series.
//!
//! Rules that hold for all: a slice holds one column, the oldest bar first; the value is that of the last bar; it is a
//! function of the given bars alone, so recursive ones ("seeded") start at the slice's beginning; windowed ones look at the
//! last `n` bars (`n + 1` where they compare neighbours); too few bars, or an `n` of zero, give NaN. Where TA-Lib has the
//! function, the value equals TA-Lib's last value for the same bars to 1e-9 relative (1e-12 absolute), except where
//! TA-Lib's formula divides by nothing: it gives 0 there, these their neutral value. `README.md` beside this file has them.
//!
//! Not here: SQL ([`super::features`]).

mod average;
mod directional;
mod dispersion;
mod flow;
mod macd;
mod momentum;
mod range;
mod value;

pub use average::{ema, sma, wma};
pub use directional::{adx, minus_di, plus_di};
pub use dispersion::{bb_z, realised_vol, stddev};
pub use flow::{mfi, obv_slope, trade_imbalance, vwap_gap};
pub use macd::{macd, macd_hist};
pub use momentum::{cci, roc, rsi, stoch_k, willr};
pub use range::{atr, parkinson};
pub use value::{lag, last, max, min, sum};

/// The last `n` values, where there are as many and `n` is not zero.
fn tail(x: &[f64], n: usize) -> Option<&[f64]> {
    if n == 0 { None } else { x.get(x.len().checked_sub(n)?..) }
}

/// A difference this small against the values it is of is rounding, not movement. (TA-Lib takes nearly equal typical prices
/// for equal, too: on a grid of prices, sums of the same three in another order differ in their last bit.)
const ROUNDING: f64 = 8.0 * f64::EPSILON;

/// `a / b`, or `otherwise` where `b` is zero.
fn ratio(a: f64, b: f64, otherwise: f64) -> f64 {
    if b == 0.0 { otherwise } else { a / b }
}

#[cfg(test)]
mod tests;
