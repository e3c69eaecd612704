//! What the CUSUM does, by simulation: false alarms while nothing is wrong, delays after the hit rate has fallen.
//!
//! A model with a hit rate of 55% is watched by a [`Detector`](super::Detector); hits are drawn, nothing is forecast. Cases
//! differ in what the scores are ([`Fed`]), how symbols move together, and what the model was accepted with.
//!
//! Pure: all randomness comes from the seed.

mod hits;
mod normal;
mod run;

pub use hits::{Fed, Symbols};

use self::hits::Hits;
use self::run::Run;
use super::settings::{Kind, Settings};

/// The hit rate while nothing is wrong.
pub const HIT_RATE: f64 = 0.55;
/// Hit rates by number: before, after a drop of five points, after one of twenty.
const AFTER: [f64; 3] = [HIT_RATE, HIT_RATE - 0.05, HIT_RATE - 0.2];
/// Scores between the end of the reference and a drop.
const LEAD_IN: u32 = 100;
/// A young model's life, in scores after its reference.
pub const YOUNG: u32 = 1_000;
/// How long nothing happens at most.
pub const LIFE: u32 = 10_000;

/// The figure that a model was accepted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// None is known: the reference is what was seen live.
    None,
    /// What it is.
    True,
    /// Five points too high.
    TooHigh,
    /// Five points too high, and taken for the reference, as the detector does not do.
    TooHighUnbounded,
}

/// One line of the study.
#[derive(Clone, Debug)]
pub struct Case {
    /// Short, unique, for machines.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    /// Whose hits.
    pub symbols: Symbols,
    /// What is one score.
    pub fed: Fed,
    /// What is known of the model.
    pub acceptance: Acceptance,
}

impl Case {
    /// What is fed is not what the detector is made for.
    pub fn is_wrong(&self) -> bool {
        self.fed != Fed::Cohorts || self.acceptance == Acceptance::TooHighUnbounded
    }

    /// How many of its scores a cohort's time holds: the reference spans the same time in all cases.
    pub fn scores_a_cohort(&self) -> u32 {
        match self.fed {
            Fed::Cohorts => 1,
            Fed::Rows => self.symbols.count,
            Fed::EveryBar { horizon } => horizon,
        }
    }
}

/// Every case, as it should be first.
pub fn cases() -> Vec<Case> {
    let case = |name, title, count, correlation, fed, acceptance| Case {
        name,
        title,
        symbols: Symbols { count, correlation },
        fed,
        acceptance,
    };
    use Acceptance::{None, TooHigh, TooHighUnbounded, True};
    use Fed::{Cohorts, EveryBar, Rows};
    vec![
        case("independent", "10 independent symbols", 10, 0.0, Cohorts, None),
        case("independent_true", "  accepted with its true figure", 10, 0.0, Cohorts, True),
        case("independent_optimistic", "  accepted 5 points too high", 10, 0.0, Cohorts, TooHigh),
        case("independent_unbounded", "  the same, taken as reference", 10, 0.0, Cohorts, TooHighUnbounded),
        case("correlated", "10 symbols correlated at .6", 10, 0.6, Cohorts, None),
        case("correlated_true", "  accepted with its true figure", 10, 0.6, Cohorts, True),
        case("correlated_optimistic", "  accepted 5 points too high", 10, 0.6, Cohorts, TooHigh),
        case("correlated_unbounded", "  the same, taken as reference", 10, 0.6, Cohorts, TooHighUnbounded),
        case("one", "1 symbol", 1, 0.0, Cohorts, None),
        case("thousand", "1000 independent symbols", 1_000, 0.0, Cohorts, None),
        case("overlapping", "wrong: every bar, horizon 15", 10, 0.0, EveryBar { horizon: 15 }, None),
        case("rows", "wrong: rows, correlated at .6", 10, 0.6, Rows, None),
    ]
}

/// What was found in one case. Delays and counts are scores: cohorts, but for the two cases that feed something else.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// False alarms per 1000 scores in the first 1000 after the reference, of models that had none before.
    pub young: f64,
    /// The same over 10,000: references that are too low by chance live long.
    pub life: f64,
    /// False alarms that were counted for `young` and for `life`.
    pub alarms: (u32, u32),
    /// Median delay after a drop of five points; none when half of the runs had no alarm in 10,000 scores, or half of them
    /// had one before the drop.
    pub delay_5: Option<f64>,
    /// After twenty.
    pub delay_20: Option<f64>,
    /// What theory gives for them: the median run's mean delay, none when no run waited for the drop.
    pub expected_5: Option<f64>,
    /// After twenty.
    pub expected_20: Option<f64>,
}

/// Simulates one case with the CUSUM of `settings`, `runs` times each for false alarms and for both drops; calls `progress` after each of the 3 x `runs`.
pub fn simulate(case: &Case, settings: &Settings, seed: u64, runs: u32, mut progress: impl FnMut()) -> Finding {
    let baseline_n = settings.baseline_n.saturating_mul(case.scores_a_cohort());
    let settings = Settings { baseline_n, kind: Kind::Cusum, max_model_age: None, ..settings.clone() };
    let mut hits = Hits::new(case.symbols, case.fed, &AFTER);
    let run = |kind: u64, number: u32| u64::from(number) * 3 + kind;
    let (mut alarms, mut exposed) = ((0, 0), (0.0, 0.0));
    for number in 0..runs {
        let alarm = Run::new(case, &settings, &mut hits, seed, run(0, number)).false_alarm(LIFE);
        let end = alarm.unwrap_or(LIFE);
        alarms.0 += u32::from(alarm.is_some_and(|end| end <= YOUNG));
        alarms.1 += u32::from(alarm.is_some());
        exposed.0 += f64::from(end.min(YOUNG));
        exposed.1 += f64::from(end);
        progress();
    }
    let mut after = |rate: usize| {
        let mut drops = Vec::new();
        for number in 0..runs {
            drops.extend(Run::new(case, &settings, &mut hits, seed, run(rate as u64, number)).drop(rate, LIFE));
            progress();
        }
        // Those that did wait for the drop are the sluggish ones when most did not.
        let waited = drops.len() * 2 > runs as usize;
        let delay = median(drops.iter().map(|drop| f64::from(drop.delay)).collect());
        let delay = delay.filter(|&delay| waited && delay < f64::from(LIFE));
        (delay, median(drops.iter().map(|drop| drop.expected).collect()))
    };
    let ((delay_5, expected_5), (delay_20, expected_20)) = (after(1), after(2));
    Finding {
        young: 1_000.0 * f64::from(alarms.0) / exposed.0,
        life: 1_000.0 * f64::from(alarms.1) / exposed.1,
        alarms,
        delay_5,
        delay_20,
        expected_5,
        expected_20,
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests;
