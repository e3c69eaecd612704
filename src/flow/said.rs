//! What a reader of predictions needs to settle them: borrowed from the record, or from the prediction itself.

use super::prediction::{AbstainReason, Decision, Prediction, Probabilities, Reference, Role};
use super::time::{Interval, Micros};

/// A prediction as its reader sees it. The fields mean what they mean in [`Prediction`].
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields are those of `Prediction`")]
pub struct Said<'a> {
    pub prediction_id: &'a str,
    pub symbol: &'a str,
    pub interval: Interval,
    pub horizon: u32,
    pub as_of: Micros,
    pub target_time: Micros,
    pub reference: Reference,
    pub dead_band_bps: f64,
    pub probabilities: Option<Probabilities>,
    pub decision: Decision,
    /// Whether this is the symbol's last record until it trades again.
    pub silent: bool,
    pub model: &'a str,
    pub model_version: &'a str,
    pub role: Role,
}

impl<'a> From<&'a Prediction> for Said<'a> {
    fn from(p: &'a Prediction) -> Self {
        Self {
            prediction_id: &p.prediction_id,
            symbol: p.symbol.as_str(),
            interval: p.interval,
            horizon: p.horizon,
            as_of: p.as_of,
            target_time: p.target_time,
            reference: p.reference,
            dead_band_bps: p.dead_band_bps,
            probabilities: p.probabilities,
            decision: p.decision,
            silent: p.abstain_reasons.contains(&AbstainReason::Silent),
            model: &p.model,
            model_version: &p.model_version,
            role: p.role,
        }
    }
}

impl Said<'_> {
    /// What makes it unfit to be settled, if anything: a record of our own topic that no forecaster has written.
    pub fn problem(&self) -> Option<&'static str> {
        if self.horizon == 0 || self.target_time <= self.as_of {
            return Some("target_time is not after as_of");
        }
        if self.target_time - self.as_of != i64::from(self.horizon) * self.interval.micros() {
            return Some("target_time is not horizon bars after as_of");
        }
        if !self.reference.price.is_finite() || self.reference.price <= 0.0 {
            return Some("reference_price is no price");
        }
        if self.model.is_empty() || self.model.len() > 64 || self.model_version.len() > 64 {
            return Some("model has no name, or one of more than 64 bytes");
        }
        None
    }
}
