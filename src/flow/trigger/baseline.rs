//! The reference: what a model's first live cohorts were like.

/// A cohort's deviation is not believed to be smaller: one point of hit rate.
const LEAST_DEVIATION: f64 = 0.01;
/// How many of its standard errors the reference stays below the mean; measured, see [`Baseline::reference`].
const STANDARD_ERRORS: f64 = 0.5;

/// Running mean and deviation (Welford) of the first cohorts' scores.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Baseline {
    pub count: f64,
    pub mean: f64,
    pub squares: f64,
    pub rows: f64,
    pub hits: f64,
}

impl Baseline {
    /// Takes one more cohort with at least one row.
    pub fn add(&mut self, rows: u32, hits: u32) {
        let score = f64::from(hits) / f64::from(rows);
        self.count += 1.0;
        let before = score - self.mean;
        self.mean += before / self.count;
        self.squares += before * (score - self.mean);
        self.rows += f64::from(rows);
        self.hits += f64::from(hits);
    }

    /// Standard deviation of one cohort's score. Never below that of as many independent rows (hit rate by the rule of
    /// succession): a lucky reference, or one in which nothing ever missed, must not make the next miss an outrage.
    pub fn deviation(&self) -> f64 {
        let sample = (self.squares / (self.count - 1.0).max(1.0)).sqrt();
        let rate = (self.hits + 1.0) / (self.rows + 2.0);
        let rows = (self.rows / self.count.max(1.0)).max(1.0);
        sample.max((rate * (1.0 - rate) / rows).sqrt()).max(LEAST_DEVIATION)
    }

    /// The hit rate to measure against: the mean score less half of its standard error, and never above `acceptance`.
    ///
    /// The mean of 200 cohorts is wrong by 45% of the slack when a cohort holds ten symbols (one standard error), and by more
    /// than all of it when it holds one: a reference that is too high makes false alarms several times as frequent as stated.
    /// Measured by `tickcast detectors`, false alarms per 1000 cohorts in the first 1000 (0.1 is stated), and cohorts to the
    /// alarm after a drop of five points:
    ///
    /// | standard errors | 10 symbols | correlated at .6 | 1 symbol | delays |
    /// |---|---|---|---|---|
    /// | 0 | 0.23 | 0.27 | 0.30 | 86, 246, 386 |
    /// | 0.5 | 0.10 | 0.14 | 0.15 | 105, 393, 814 |
    /// | 1 | 0.04 | 0.07 | 0.09 | 123, 655, 1668 |
    ///
    /// The acceptance figure comes from other rows, usually earlier and often flattering: it may lower the reference, and
    /// never raises it, because a model that never reached that figure live has not become worse.
    pub fn reference(&self, acceptance: Option<f64>) -> f64 {
        let mean = self.mean - STANDARD_ERRORS * self.deviation() / self.count.max(1.0).sqrt();
        acceptance.filter(|rate| rate.is_finite()).map_or(mean, |rate| mean.min(rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(scores: &[(u32, u32)]) -> Baseline {
        let mut baseline = Baseline::default();
        scores.iter().for_each(|&(rows, hits)| baseline.add(rows, hits));
        baseline
    }

    #[test]
    fn mean_and_deviation_of_scores() {
        let baseline = of(&[(10, 2), (10, 8), (5, 4), (10, 6)]);
        assert!((baseline.mean - 0.6).abs() < 1e-12);
        assert!((baseline.deviation() - 0.08_f64.sqrt()).abs() < 1e-12);
        assert!((baseline.reference(None) - (0.6 - 0.5 * 0.08_f64.sqrt() / 2.0)).abs() < 1e-12);
    }

    #[test]
    fn a_quiet_reference_keeps_the_deviation_of_independent_rows() {
        let even = of(&[(4, 2); 50]);
        assert!((even.deviation() - 0.25).abs() < 1e-12);
        let perfect = of(&[(1, 1); 98]);
        assert!((perfect.deviation() - (0.99_f64 * 0.01).sqrt()).abs() < 1e-12, "{}", perfect.deviation());
        assert_eq!(of(&[(1_000_000, 500_000); 9]).deviation(), LEAST_DEVIATION);
    }

    #[test]
    fn acceptance_lowers_and_never_raises() {
        let baseline = of(&[(10, 5), (10, 6)]);
        let own = baseline.reference(None);
        assert_eq!(baseline.reference(Some(0.9)), own);
        assert_eq!(baseline.reference(Some(0.4)), 0.4);
        assert_eq!(baseline.reference(Some(f64::NAN)), own);
    }
}
