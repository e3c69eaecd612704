//! What detectors and guards are told.

use std::fmt;
use std::str::FromStr;

use crate::flow::time::{Micros, SECOND};

/// The rule that is applied to the hit rate; model age works beside any of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A one-sided CUSUM of cohort scores below their reference.
    #[default]
    Cusum,
    /// The Wilson upper bound of the window's hit rate below a floor.
    Threshold,
    /// None.
    Off,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Cusum, Self::Threshold, Self::Off];

    /// As it is written in settings and alarms.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cusum => "cusum",
            Self::Threshold => "threshold",
            Self::Off => "off",
        }
    }

    pub(super) fn number(self) -> f64 {
        f64::from(self as u8)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is not a detector: write cusum, threshold or off"))
    }
}

/// Settings of the detectors and guards. Counts are non-overlapping cohorts; spans are event time.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The rule.
    pub kind: Kind,
    /// Cohorts that make the CUSUM's reference; cold until then. Fewer make the reference itself a guess: see [`Default`].
    pub baseline_n: u32,
    /// The fall of the hit rate that the CUSUM is tuned for, as a share (0.05: five points).
    pub drop: f64,
    /// Cohorts between two false alarms of one detector, on average: what the CUSUM's threshold is made from.
    pub in_control: f64,
    /// The hit rate that the threshold rule does not want to be under.
    pub floor: f64,
    /// Cohorts before the threshold rule or the model's age may say anything (the CUSUM's minimum is `baseline_n`).
    pub min_cohorts: u32,
    /// Degraded when a cohort's target time is later than this after the end of training; none for never.
    pub max_model_age: Option<Micros>,
    /// From one request of a model, or from its challenger's promotion or rejection, to the next.
    pub cooldown: Micros,
    /// Requests of a model in a UTC day of event time.
    pub daily_cap: u32,
}

impl Default for Settings {
    /// For bars of seconds to minutes, horizons of 1 to 15 bars and any number of symbols. 200 cohorts are half an hour of
    /// 10 s bars at horizon 1 and two days of 1 m bars at horizon 15. A million cohorts between two false alarms are 116 days
    /// of the former; the rate is stated for scores that are independent of each other, and hits that come in rows (drifts
    /// last, and strong ones are easier to call) make it five to twenty times as high.
    fn default() -> Self {
        Self {
            kind: Kind::Cusum,
            baseline_n: 200,
            drop: 0.05,
            in_control: 1_000_000.0,
            floor: 0.5,
            min_cohorts: 30,
            max_model_age: None,
            cooldown: 3_600 * SECOND,
            daily_cap: 6,
        }
    }
}

impl Settings {
    /// What cannot be meant, each with the name of the setting; empty when all is well.
    pub fn problems(&self) -> Vec<String> {
        let rules = [
            ((2..=1_000_000).contains(&self.baseline_n), "baseline_n must be between 2 and 1000000 cohorts"),
            ((0.001..=0.5).contains(&self.drop), "drop must be between 0.001 and 0.5 (0.05 is five points)"),
            ((10.0..=1e12).contains(&self.in_control), "in_control must be between 10 and 1e12 cohorts"),
            ((0.0..=1.0).contains(&self.floor), "floor must be a hit rate between 0 and 1"),
            (self.min_cohorts >= 1, "min_cohorts must be at least 1"),
            (self.max_model_age.is_none_or(|age| age > 0), "max_model_age must be longer than nothing, or off"),
            (self.cooldown >= 0, "cooldown must not be negative"),
        ];
        rules.into_iter().filter(|(good, _)| !good).map(|(_, problem)| problem.to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_written_and_read_back() {
        for kind in Kind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert!("".parse::<Kind>().is_err() && "CUSUM".parse::<Kind>().is_err());
    }

    #[test]
    fn every_problem_is_named() {
        assert!(Settings::default().problems().is_empty());
        let bad = Settings {
            baseline_n: 1,
            drop: f64::NAN,
            in_control: 0.0,
            floor: 50.0,
            min_cohorts: 0,
            max_model_age: Some(0),
            cooldown: -1,
            ..Settings::default()
        };
        assert_eq!(bad.problems().len(), 7);
    }
}
