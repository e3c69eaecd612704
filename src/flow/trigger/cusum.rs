//! The one-sided lower CUSUM of cohort scores (E. S. Page, *Continuous inspection schemes*, 1954).

use super::run_length::{expected_delay, threshold_for};
use super::state::Ladder;
use crate::flow::time::Micros;

/// The statistic is capped at so many thresholds, so that a model that is well again is ok in bounded time.
const CAP: f64 = 2.0;
/// A warning from half the threshold on, until a quarter of it; degraded until half of it.
pub(super) const LADDER: Ladder = Ladder { warn: 0.5, calm: 0.25, leave: 0.5 };

/// `S = max(0, S + (reference - score - drop/2) / deviation)`: how far scores have stayed below their reference, in
/// deviations of one score, with half of the drop it is tuned for forgiven every time.
#[derive(Clone, Debug, PartialEq)]
pub struct Cusum {
    reference: f64,
    deviation: f64,
    slack: f64,
    threshold: f64,
    statistic: f64,
    zero_at: Micros,
}

impl Cusum {
    /// A CUSUM at zero, at time `at`.
    ///
    /// `reference` and `drop` are hit rates, `deviation` that of one score, `in_control` the mean number of scores between
    /// two false alarms, from which the threshold follows ([`threshold_for`]).
    pub fn new(reference: f64, deviation: f64, drop: f64, in_control: f64, at: Micros) -> Self {
        let slack = drop / (2.0 * deviation);
        let threshold = threshold_for(slack, in_control);
        Self { reference, deviation, slack, threshold, statistic: 0.0, zero_at: at }
    }

    /// Takes the score of the cohort with target time `at`.
    pub fn observe(&mut self, score: f64, at: Micros) {
        let step = (self.reference - score) / self.deviation - self.slack;
        self.statistic = (self.statistic + step).clamp(0.0, CAP * self.threshold);
        if self.statistic == 0.0 {
            self.zero_at = at;
        }
    }

    /// The statistic as a share of the threshold: 1 is an alarm.
    pub fn evidence(&self) -> f64 {
        self.statistic / self.threshold
    }

    /// S, in deviations of one score.
    pub fn statistic(&self) -> f64 {
        self.statistic
    }

    /// What S must reach.
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// The hit rate it measures against.
    pub fn reference(&self) -> f64 {
        self.reference
    }

    /// Deviation of one score.
    pub fn deviation(&self) -> f64 {
        self.deviation
    }

    /// Target time of the last cohort at which S was zero.
    pub fn change_point(&self) -> Micros {
        self.zero_at
    }

    /// Mean number of cohorts from S = 0 to the alarm when the hit rate is `hit_rate` from now on; see [`expected_delay`].
    pub fn expected_delay(&self, hit_rate: f64) -> f64 {
        expected_delay(self.reference - hit_rate, self.deviation, self.slack, self.threshold)
    }

    /// Puts it where it was.
    pub(super) fn resume(&mut self, statistic: f64, zero_at: Micros) {
        self.statistic = statistic.clamp(0.0, CAP * self.threshold);
        self.zero_at = zero_at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_what_is_below_the_reference_by_more_than_half_the_drop() {
        let mut cusum = Cusum::new(0.6, 0.1, 0.05, 1e4, 7);
        assert_eq!((cusum.statistic(), cusum.change_point()), (0.0, 7));
        cusum.observe(0.575, 8);
        assert!(cusum.statistic() < 1e-12, "half the drop is forgiven");
        cusum.observe(0.9, 9);
        assert_eq!((cusum.statistic(), cusum.change_point()), (0.0, 9));
        cusum.observe(0.4, 10);
        cusum.observe(0.4, 11);
        assert!((cusum.statistic() - 3.5).abs() < 1e-9);
        assert_eq!(cusum.change_point(), 9);
    }

    #[test]
    fn it_is_capped_and_comes_back() {
        let mut cusum = Cusum::new(0.6, 0.1, 0.05, 1e4, 0);
        (0..10_000).for_each(|at| cusum.observe(0.0, at));
        assert_eq!(cusum.evidence(), CAP);
        let back = (0..).take_while(|&at| {
            cusum.observe(0.6, at);
            cusum.evidence() >= LADDER.leave
        });
        let bound = 1.5 * cusum_threshold() / 0.25;
        assert!((back.count() as f64) <= bound.ceil());
    }

    fn cusum_threshold() -> f64 {
        Cusum::new(0.6, 0.1, 0.05, 1e4, 0).threshold()
    }

    #[test]
    fn it_does_not_depend_on_the_unit() {
        // Twice the deviation, drop and distances: the same statistic.
        let (mut one, mut two) = (Cusum::new(0.5, 0.1, 0.05, 1e4, 0), Cusum::new(0.5, 0.2, 0.1, 1e4, 0));
        assert_eq!(one.threshold(), two.threshold());
        for (at, away) in [0.1, -0.05, 0.2, 0.0, 0.15].into_iter().enumerate() {
            one.observe(0.5 - away, at as Micros);
            two.observe(0.5 - 2.0 * away, at as Micros);
            assert!((one.statistic() - two.statistic()).abs() < 1e-12);
        }
    }
}
