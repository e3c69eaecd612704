//! A prediction settled against what the market did.
//!
//! `flat` means that the price stayed within the model's dead band: such a row knows no direction, so it has no `hit` and no
//! log-loss. Direction is the sign of `p_up - p_down`, whatever was decided. Not here: who waits for whom
//! ([`crate::machine::settler`]).

use std::sync::Arc;

use super::prediction::{Decision, Probabilities, Role};
use super::symbol::Symbol;
use super::time::{Interval, Micros};

/// What the price did between a bar's close and the close of the target's bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Realised {
    /// It fell beyond the dead band.
    Down,
    /// It stayed within it, its edges included.
    Flat,
    /// It rose beyond the dead band.
    Up,
}

impl Realised {
    /// Every class, in the order of a model's output.
    pub const ALL: [Self; 3] = [Self::Down, Self::Flat, Self::Up];

    /// The class of a return, in basis points.
    pub fn of(return_bps: f64, dead_band_bps: f64) -> Self {
        if return_bps > dead_band_bps {
            Self::Up
        } else if return_bps < -dead_band_bps {
            Self::Down
        } else {
            Self::Flat
        }
    }

    /// Its name in a record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Flat => "flat",
            Self::Up => "up",
        }
    }
}

/// Why a prediction cannot be settled. It is never counted wrong because data is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unscorable {
    /// Its own bar or the target's had no trade: there is no price to measure with.
    Synthetic,
    /// Its own bar or the target's misses trades.
    Incomplete,
    /// The symbol has no bar at the target: it fell silent, or the stream has a hole.
    Missing,
}

impl Unscorable {
    /// Every reason, in the order of the schema.
    pub const ALL: [Self; 3] = [Self::Synthetic, Self::Incomplete, Self::Missing];

    /// Its name in a record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Synthetic => "synthetic",
            Self::Incomplete => "incomplete",
            Self::Missing => "missing",
        }
    }
}

/// Probabilities are clipped to `[CLIP, 1 - CLIP]` before a logarithm is taken.
pub const CLIP: f64 = 1e-6;

/// Basis points of the return from `before` to `after`.
pub fn return_bps(before: f64, after: f64) -> f64 {
    (after / before - 1.0) * 1e4
}

/// The probability of `up` among `up` and `down`, clipped; half where the model gives both nothing.
pub fn probability_up(p: Probabilities) -> f64 {
    let (down, up) = (f64::from(p.down), f64::from(p.up));
    let both = down + up;
    let q = if both > 0.0 { up / both } else { 0.5 };
    q.clamp(CLIP, 1.0 - CLIP)
}

/// What is known once the target's bar is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settlement {
    /// Close of the target's bar.
    pub target_price: f64,
    /// From the reference price to the target's, in basis points.
    pub realised_return_bps: f64,
    /// Its class.
    pub realised: Realised,
    /// Whether the direction was right; none where the price did not move. No direction (`p_up = p_down`) is not right.
    pub hit: Option<bool>,
    /// `-ln` of the probability given to the direction that came, of [`probability_up`]; none where the price did not move.
    pub log_loss: Option<f64>,
    /// Squared difference of [`probability_up`] and what came (1 for up); none where the price did not move.
    pub brier: Option<f64>,
    /// Vwap of the bar after the prediction's: the first price one could have had. None where that bar had no trade or misses
    /// some.
    pub entry_price: Option<f64>,
    /// What the decision earned, in basis points of the entry price, after the fee. None where it was neither up nor down, or
    /// where there was no entry.
    pub pnl_bps: Option<f64>,
}

/// The prices that settle a prediction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prices {
    /// Close of the prediction's bar.
    pub reference: f64,
    /// Vwap of the next bar, if it had trades and is complete.
    pub entry: Option<f64>,
    /// Close of the target's bar.
    pub target: f64,
}

/// Settles what was said by `p` and `decision`.
pub fn settle(p: Probabilities, decision: Decision, dead_band_bps: f64, fee_bps: f64, prices: Prices) -> Settlement {
    let realised_return_bps = return_bps(prices.reference, prices.target);
    let realised = Realised::of(realised_return_bps, dead_band_bps);
    let q = probability_up(p);
    let (hit, log_loss, brier) = match realised {
        Realised::Flat => (None, None, None),
        Realised::Up => (Some(p.up > p.down), Some(-q.ln()), Some((1.0 - q) * (1.0 - q))),
        Realised::Down => (Some(p.down > p.up), Some(-(1.0 - q).ln()), Some(q * q)),
    };
    let side = match decision {
        Decision::Up => Some(1.0),
        Decision::Down => Some(-1.0),
        Decision::Flat | Decision::Abstain => None,
    };
    let pnl_bps = side.zip(prices.entry).map(|(side, entry)| side * return_bps(entry, prices.target) - fee_bps);
    Settlement {
        target_price: prices.target,
        realised_return_bps,
        realised,
        hit,
        log_loss,
        brier,
        entry_price: prices.entry,
        pnl_bps,
    }
}

/// One record per scored prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The prediction.
    pub prediction_id: Box<str>,
    /// The instrument.
    pub symbol: Symbol,
    /// Length of its bars.
    pub interval: Interval,
    /// How many bars ahead.
    pub horizon: u32,
    /// Close of the prediction's bar.
    pub as_of: Micros,
    /// Close of the bar it is measured by.
    pub target_time: Micros,
    /// Name of the model.
    pub model: Arc<str>,
    /// Version of the model.
    pub model_version: Arc<str>,
    /// Who said it.
    pub role: Role,
    /// What the model said.
    pub probabilities: Probabilities,
    /// What was decided.
    pub decision: Decision,
    /// Close of the prediction's bar.
    pub reference_price: f64,
    /// Half-width of `flat`, in basis points.
    pub dead_band_bps: f64,
    /// Cost of going in and out, in basis points.
    pub fee_bps: f64,
    /// Return over the horizon's bars up to `as_of`, in basis points; none where a bar of the two is not real. For baselines.
    pub prior_return_bps: Option<f64>,
    /// What came, or why that is not known.
    pub settlement: Result<Settlement, Unscorable>,
}

/// What `settle` writes for a model.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "nearly all are outcomes, made and moved once: a box would cost more")]
pub enum Settled {
    /// A settled prediction.
    Outcome(Outcome),
    /// Every outcome of this partition with a target up to `time` has been written.
    Progress(Passage),
    /// The model's last symbol in this partition fell silent: nothing more is to be waited for.
    Left(Passage),
}

/// How far one partition of `predictions` has come with one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Name of the model.
    pub model: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// Event time.
    pub time: Micros,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn p(down: f32, flat: f32, up: f32) -> Probabilities {
        Probabilities { down, flat, up }
    }

    fn prices(target: f64) -> Prices {
        Prices { reference: 100.0, entry: Some(100.1), target }
    }

    #[test]
    fn the_edge_of_the_dead_band_is_flat() {
        assert_eq!(Realised::of(2.0, 2.0), Realised::Flat);
        assert_eq!(Realised::of(-2.0, 2.0), Realised::Flat);
        assert_eq!(Realised::of(2.1, 2.0), Realised::Up);
        assert_eq!(Realised::of(0.0, 0.0), Realised::Flat);
        assert_eq!(Realised::of(-1e-9, 0.0), Realised::Down);
    }

    #[test]
    fn a_long_that_wins_pays_its_fee() {
        let settled = settle(p(0.2, 0.2, 0.6), Decision::Up, 0.0, 10.0, prices(101.0));
        assert_eq!((settled.realised, settled.hit), (Realised::Up, Some(true)));
        assert!((settled.realised_return_bps - 100.0).abs() < 1e-9);
        assert!((settled.log_loss.unwrap() + 0.75_f64.ln()).abs() < 1e-6);
        assert!((settled.brier.unwrap() - 0.0625).abs() < 1e-6);
        assert!((settled.pnl_bps.unwrap() - ((101.0 / 100.1 - 1.0) * 1e4 - 10.0)).abs() < 1e-9);
    }

    #[test]
    fn a_short_earns_what_falls() {
        let settled = settle(p(0.6, 0.2, 0.2), Decision::Down, 0.0, 0.0, prices(99.0));
        assert_eq!(settled.hit, Some(true));
        assert!((settled.pnl_bps.unwrap() + (99.0 / 100.1 - 1.0) * 1e4).abs() < 1e-9);
    }

    #[test]
    fn direction_counts_whatever_was_decided() {
        let settled = settle(p(0.1, 0.7, 0.2), Decision::Abstain, 5.0, 10.0, prices(99.0));
        assert_eq!((settled.hit, settled.pnl_bps), (Some(false), None));
        let tie = settle(p(0.4, 0.2, 0.4), Decision::Flat, 0.0, 10.0, prices(99.0));
        assert_eq!((tie.hit, tie.brier), (Some(false), Some(0.25)));
    }

    #[test]
    fn what_did_not_move_knows_no_direction() {
        let settled = settle(p(0.1, 0.7, 0.2), Decision::Up, 5.0, 10.0, prices(100.01));
        assert_eq!(
            (settled.realised, settled.hit, settled.log_loss, settled.brier),
            (Realised::Flat, None, None, None)
        );
        assert!(settled.pnl_bps.is_some());
    }

    #[test]
    fn without_an_entry_nothing_is_earned() {
        let settled = settle(p(0.1, 0.1, 0.8), Decision::Up, 0.0, 10.0, Prices { entry: None, ..prices(101.0) });
        assert_eq!((settled.hit, settled.pnl_bps), (Some(true), None));
    }

    proptest! {
        #[test]
        fn losses_are_finite_and_better_when_right(down in 0.0f32..1.0, up in 0.0f32..1.0, target in 50.0f64..150.0) {
            let settled = settle(p(down, 0.0, up), Decision::Flat, 0.0, 0.0, prices(target));
            if let (Some(hit), Some(loss), Some(brier)) = (settled.hit, settled.log_loss, settled.brier) {
                prop_assert!(loss.is_finite() && (0.0..=1.0).contains(&brier));
                if hit {
                    prop_assert!(loss <= std::f64::consts::LN_2 && brier <= 0.25);
                } else {
                    prop_assert!(loss >= std::f64::consts::LN_2 && brier >= 0.25);
                }
            }
        }
    }
}
