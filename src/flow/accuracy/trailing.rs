//! The forecasts of three rules that need no model, each with a probability from its own trailing frequency.
//!
//! Majority says the direction that was more frequent of late. Persistence says that the price goes on as it last went,
//! reversal that it turns back. A frequency is Laplace's (`(hits + 1) / (rows + 2)`, the rule of succession) over counts that
//! forget: when a cohort is taken in, every count is multiplied by `1 - 1/window` before the cohort's is added (fading
//! factors: J. Gama, R. Sebastião and P. Rodrigues, "On evaluating stream learning algorithms", Machine Learning 90, 2013).
//!
//! No look-ahead: a forecast made at `as_of` knows the cohorts whose target time was at or before it, no others. Cohorts
//! that are folded wait in a queue until a later cohort's `as_of` has reached their target time: as many as the horizon has
//! bars. For every cohort, in order of target time: [`Trailing::promote`] to its `as_of`, [`Trailing::forecasts`] for its
//! rows, [`Trailing::push`] what came of it.

use std::collections::VecDeque;

use super::numbers::Numbers;
use super::row::BaselineForecast;
use crate::flow::time::Micros;

/// What is counted of cohorts: forgotten sums, or one cohort's own.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    /// Rows that moved, U of them up.
    moved: f64,
    ups: f64,
    /// Rows that moved after a return that was not zero, R of them in its direction.
    with_prior: f64,
    right: f64,
}

/// A cohort that is not yet known to the forecasts.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pending {
    target_time: Micros,
    counts: Counts,
}

/// Trailing counts of one model and horizon.
#[derive(Clone, Debug, PartialEq)]
pub struct Trailing {
    window: u32,
    known: Counts,
    pending: VecDeque<Pending>,
}

impl Trailing {
    /// Nothing known, every probability one half. `window` cohorts is how far the counts remember (their mean age); at
    /// least 1.
    pub fn new(window: u32) -> Self {
        Self { window: window.max(1), known: Counts::default(), pending: VecDeque::new() }
    }

    /// Takes in the cohorts whose target time is at or before `as_of`.
    pub fn promote(&mut self, as_of: Micros) {
        let keep = 1.0 - 1.0 / f64::from(self.window);
        while let Some(cohort) = self.pending.pop_front_if(|cohort| cohort.target_time <= as_of) {
            self.known = Counts {
                moved: self.known.moved * keep + cohort.counts.moved,
                ups: self.known.ups * keep + cohort.counts.ups,
                with_prior: self.known.with_prior * keep + cohort.counts.with_prior,
                right: self.known.right * keep + cohort.counts.right,
            };
        }
    }

    /// What majority, persistence and reversal say, in this order, of a symbol whose last return was `prior_return_bps`.
    ///
    /// With f the frequency at which the last return went on, persistence says f for the direction of that return. Reversal
    /// is right at `1 - f` and says the other direction, so its probability of up is the same number and its log-loss and
    /// Brier score are those of persistence; its hits are the complement. Without a last return, or with one of zero, there
    /// is nothing to go on with or to turn back from: both say what majority says.
    pub fn forecasts(&self, prior_return_bps: Option<f64>) -> [BaselineForecast; 3] {
        let Counts { moved, ups, with_prior, right } = self.known;
        let majority = BaselineForecast { probability_up: (ups + 1.0) / (moved + 2.0), up: ups >= moved - ups };
        // Neither NaN nor zero is a direction.
        let Some(rose) = prior_return_bps.filter(|prior| *prior != 0.0 && !prior.is_nan()).map(|prior| prior > 0.0)
        else {
            return [majority; 3];
        };
        let goes_on = (right + 1.0) / (with_prior + 2.0);
        let probability_up = if rose { goes_on } else { 1.0 - goes_on };
        let say = |up| BaselineForecast { probability_up, up };
        [majority, say(rose), say(!rose)]
    }

    /// Notes what came of the cohort that settled at `target_time`, which is later than that of the last one: of its rows
    /// `moved` moved and `ups` of these went up; `with_prior` of those that moved had a last return that was not zero, and
    /// `right` of these went on in its direction.
    pub fn push(&mut self, target_time: Micros, ups: u32, moved: u32, right: u32, with_prior: u32) {
        let [moved, ups, with_prior, right] = [moved, ups, with_prior, right].map(f64::from);
        self.pending.push_back(Pending { target_time, counts: Counts { moved, ups, with_prior, right } });
    }

    /// How many cohorts wait for their target time to be reached.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// All counts as numbers, without loss: four, and five for each cohort that waits.
    pub fn numbers(&self) -> Vec<f64> {
        let mut out = Vec::with_capacity(4 + 5 * self.pending.len());
        self.known.write(&mut out);
        for cohort in &self.pending {
            out.push(cohort.target_time as f64);
            cohort.counts.write(&mut out);
        }
        out
    }

    /// The state that [`Self::numbers`] wrote, to go on with `window`; none where it cannot have written these.
    pub fn from_numbers(window: u32, numbers: &[f64]) -> Option<Self> {
        let from = &mut Numbers::new(numbers);
        let mut trailing = Self { known: Counts::read(from)?, ..Self::new(window) };
        while !from.is_empty() {
            let cohort = Pending { target_time: from.integer()?, counts: Counts::read(from)? };
            if trailing.pending.back().is_some_and(|last| last.target_time >= cohort.target_time) {
                return None;
            }
            trailing.pending.push_back(cohort);
        }
        Some(trailing)
    }
}

impl Counts {
    fn write(&self, out: &mut Vec<f64>) {
        out.extend([self.moved, self.ups, self.with_prior, self.right]);
    }

    fn read(from: &mut Numbers<'_>) -> Option<Self> {
        let mut real = || from.real();
        let counts = Self { moved: real()?, ups: real()?, with_prior: real()?, right: real()? };
        let fits = |part: f64, whole: f64| 0.0 <= part && part <= whole;
        (fits(counts.ups, counts.moved) && fits(counts.right, counts.with_prior)).then_some(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probabilities(trailing: &Trailing, prior: Option<f64>) -> [f64; 3] {
        trailing.forecasts(prior).map(|forecast| forecast.probability_up)
    }

    fn directions(trailing: &Trailing, prior: Option<f64>) -> [bool; 3] {
        trailing.forecasts(prior).map(|forecast| forecast.up)
    }

    #[test]
    fn nothing_known_is_one_half_and_up() {
        let trailing = Trailing::new(10);
        assert_eq!(probabilities(&trailing, Some(-3.0)), [0.5; 3]);
        assert_eq!(directions(&trailing, Some(-3.0)), [true, false, true]);
        assert_eq!(directions(&trailing, Some(3.0)), [true, true, false]);
    }

    #[test]
    fn knows_a_cohort_only_from_its_target_time() {
        let mut trailing = Trailing::new(10);
        trailing.push(100, 0, 8, 6, 6);
        trailing.promote(99);
        assert_eq!((probabilities(&trailing, Some(1.0)), trailing.pending()), ([0.5; 3], 1));
        trailing.promote(100);
        assert_eq!((probabilities(&trailing, Some(1.0)), trailing.pending()), ([0.1, 0.875, 0.875], 0));
        assert_eq!(probabilities(&trailing, Some(-1.0)), [0.1, 0.125, 0.125]);
        assert_eq!(directions(&trailing, Some(1.0)), [false, true, false]);
        for none in [None, Some(0.0), Some(-0.0), Some(f64::NAN)] {
            assert_eq!(trailing.forecasts(none), [trailing.forecasts(None)[0]; 3]);
        }
    }

    #[test]
    fn forgets() {
        let mut trailing = Trailing::new(4);
        trailing.push(1, 8, 8, 0, 0);
        trailing.push(2, 0, 0, 0, 0);
        trailing.push(3, 0, 1, 0, 0);
        trailing.promote(3);
        // 8 * 3/4 * 3/4 = 4.5 ups of 5.5.
        assert_eq!(probabilities(&trailing, None)[0], 5.5 / 7.5);
        let mut short = Trailing::new(0);
        short.push(1, 8, 8, 0, 0);
        short.push(2, 1, 2, 0, 0);
        short.promote(2);
        assert_eq!(probabilities(&short, None)[0], 0.5, "a window of one knows the last cohort");
    }

    #[test]
    fn numbers_are_checked() {
        let mut trailing = Trailing::new(7);
        trailing.push(1_700_000_000_000_001, 2, 3, 1, 2);
        trailing.promote(1_700_000_000_000_001);
        trailing.push(1_700_000_000_000_002, 2, 3, 1, 2);
        let numbers = trailing.numbers();
        assert_eq!(Trailing::from_numbers(7, &numbers), Some(trailing));
        assert_eq!(Trailing::from_numbers(7, &numbers[..8]), None);
        assert_eq!(Trailing::from_numbers(7, &[]), None);
        let twice = [&numbers[..], &numbers[4..]].concat();
        assert_eq!(Trailing::from_numbers(7, &twice), None, "target times ascend");
        assert_eq!(Trailing::from_numbers(7, &[1.0, 2.0, 0.0, 0.0]), None, "more ups than rows");
    }
}
