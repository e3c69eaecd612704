//! What the judge needs of an outcome: borrowed from the record, or from the outcome itself.

use super::accuracy::{BaselineForecast, Row};
use super::outcome::{Outcome, Realised, Unscorable, probability_up};
use super::prediction::{Decision, Probabilities};
use super::time::{Interval, Micros};

/// An outcome as the judge sees it. The fields mean what they mean in [`Outcome`].
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields are those of `Outcome` and `Settlement`")]
pub struct Evidence<'a> {
    pub symbol: &'a str,
    pub interval: Interval,
    pub horizon: u32,
    pub target_time: Micros,
    pub model: &'a str,
    pub model_version: &'a str,
    pub probabilities: Probabilities,
    pub decision: Decision,
    pub fee_bps: f64,
    pub prior_return_bps: Option<f64>,
    pub realised: Result<Realised, Unscorable>,
    pub hit: Option<bool>,
    pub pnl_bps: Option<f64>,
}

impl<'a> From<&'a Outcome> for Evidence<'a> {
    fn from(o: &'a Outcome) -> Self {
        let settled = o.settlement.as_ref();
        Self {
            symbol: o.symbol.as_str(),
            interval: o.interval,
            horizon: o.horizon,
            target_time: o.target_time,
            model: &o.model,
            model_version: &o.model_version,
            probabilities: o.probabilities,
            decision: o.decision,
            fee_bps: o.fee_bps,
            prior_return_bps: o.prior_return_bps,
            realised: settled.map(|s| s.realised).map_err(|why| *why),
            hit: settled.ok().and_then(|s| s.hit),
            pnl_bps: settled.ok().and_then(|s| s.pnl_bps),
        }
    }
}

impl Evidence<'_> {
    /// The row for the metrics, its baselines still to be said; none where it could not be settled.
    pub fn row(&self) -> Option<Row> {
        let realised = self.realised.ok()?;
        let p = self.probabilities;
        let class_probability = match realised {
            Realised::Down => p.down,
            Realised::Flat => p.flat,
            Realised::Up => p.up,
        };
        Some(Row {
            probability_up: probability_up(p),
            moved: match realised {
                Realised::Down => Some(false),
                Realised::Flat => None,
                Realised::Up => Some(true),
            },
            hit: self.hit.unwrap_or(false),
            class_probability: f64::from(class_probability),
            class_hit: p.decision().as_str() == realised.as_str(),
            trades: matches!(self.decision, Decision::Up | Decision::Down),
            pnl_bps: self.pnl_bps,
            fee_bps: self.fee_bps,
            baselines: [BaselineForecast { probability_up: 0.5, up: true }; 3],
        })
    }
}
