//! Log-loss of a probability of up: the mean of `-ln p` where the price went up and `-ln(1 - p)` where it went down, in nats;
//! `ln 2` for a forecast of one half. The logarithmic score of I. J. Good, "Rational decisions", Journal of the Royal
//! Statistical Society B 14 (1952). Probabilities are clipped ([`super::clip`]).

use super::numbers::Numbers;
use super::{clip, mean};

/// The log-loss of one forecast.
pub fn log_loss(probability_up: f64, up: bool) -> f64 {
    let probability_up = clip(probability_up);
    -(if up { probability_up } else { 1.0 - probability_up }).ln()
}

/// The sum of log-losses. Its owner counts the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LogLoss {
    sum: f64,
}

impl LogLoss {
    /// Adds a row that moved.
    pub fn add(&mut self, probability_up: f64, up: bool) {
        self.sum += log_loss(probability_up, up);
    }

    /// Adds what `other` summed.
    pub fn merge(&mut self, other: &Self) {
        self.sum += other.sum;
    }

    /// The mean over `n` rows; none without rows.
    pub fn value(&self, n: u64) -> Option<f64> {
        mean(self.sum, n)
    }

    pub(super) fn write(&self, out: &mut Vec<f64>) {
        out.push(self.sum);
    }

    pub(super) fn read(numbers: &mut Numbers<'_>) -> Option<Self> {
        numbers.real().map(|sum| Self { sum })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges() {
        assert_eq!(log_loss(0.5, true), 2.0_f64.ln());
        assert_eq!(log_loss(0.25, false), log_loss(0.75, true));
        assert_eq!(log_loss(0.0, true), -(1e-6_f64.ln()), "sure and wrong is clipped");
        assert!(log_loss(1.0, true) > 0.0 && log_loss(1.0, true) < 2e-6);
        assert!((log_loss(1.0, false) - log_loss(0.0, true)).abs() < 1e-9);
        let mut loss = LogLoss::default();
        assert_eq!(loss.value(0), None);
        loss.add(0.5, true);
        loss.add(0.2, false);
        assert_eq!(loss.value(2), Some((2.0_f64.ln() - 0.8_f64.ln()) / 2.0));
    }
}
