//! Brier score of a probability of up: the mean of `(p - o)²`, o = 1 where the price went up and 0 where it went down; a
//! quarter for a forecast of one half. G. W. Brier, "Verification of forecasts expressed in terms of probability", Monthly
//! Weather Review 78 (1950), in its usual binary form (half of the original).

use super::mean;
use super::numbers::Numbers;

/// The sum of squared differences. Its owner counts the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Brier {
    sum: f64,
}

/// The Brier score of one forecast.
pub fn brier(probability_up: f64, up: bool) -> f64 {
    let distance = probability_up - f64::from(u8::from(up));
    distance * distance
}

impl Brier {
    /// Adds a row that moved.
    pub fn add(&mut self, probability_up: f64, up: bool) {
        self.sum += brier(probability_up, up);
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
        assert_eq!([brier(0.5, true), brier(0.5, false)], [0.25, 0.25]);
        assert_eq!([brier(1.0, true), brier(0.0, false), brier(1.0, false)], [0.0, 0.0, 1.0]);
        let mut score = Brier::default();
        assert_eq!(score.value(0), None);
        score.add(0.25, false);
        score.add(0.25, true);
        assert_eq!(score.value(2), Some((0.0625 + 0.5625) / 2.0));
    }
}
