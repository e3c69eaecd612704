//! For how long the oldest cohort of each model has been waiting for somebody. The clock is an argument.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::flow::time::Micros;

/// A cohort that waits.
struct Wait {
    target: Micros,
    since: Instant,
    why: String,
}

/// What waits, by model.
#[derive(Default)]
pub(super) struct Waiting(BTreeMap<Arc<str>, Wait>);

impl Waiting {
    /// Notes who waits now: model, target of its oldest cohort, and why it does not close. A model whose oldest cohort is another
    /// one than before gets on, and its clock starts anew.
    pub fn note(&mut self, found: impl IntoIterator<Item = (Arc<str>, Micros, String)>, now: Instant) {
        let mut before = std::mem::take(&mut self.0);
        for (model, target, why) in found {
            let since = before.remove(&model).filter(|wait| wait.target == target).map_or(now, |wait| wait.since);
            self.0.insert(model, Wait { target, since, why });
        }
    }

    /// What has been waiting for longer than `patience`, the longest of them.
    pub fn complaint(&self, patience: Duration, now: Instant) -> Option<String> {
        let wait = self.longest()?;
        let waited = now.saturating_duration_since(wait.since);
        (waited > patience).then(|| format!("{} (for {waited:?})", wait.why))
    }

    /// Why the cohort waits that has been waiting longest.
    pub fn why(&self) -> Option<&str> {
        self.longest().map(|wait| wait.why.as_str())
    }

    fn longest(&self) -> Option<&Wait> {
        self.0.values().min_by_key(|wait| wait.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const PATIENCE: Duration = Duration::from_secs(60);

    /// Notes once a second what waits; the first complaint, and when it came.
    fn first(seconds: u32, waits: impl Fn(u32) -> Vec<(&'static str, i64, &'static str)>) -> Option<(u32, String)> {
        let (begin, mut waiting) = (Instant::now(), Waiting::default());
        (0..seconds).find_map(|second| {
            let now = begin + SECOND * second;
            let found = waits(second).into_iter().map(|(model, target, why)| (model.into(), target, why.to_owned()));
            waiting.note(found, now);
            waiting.complaint(PATIENCE, now).map(|why| (second, why))
        })
    }

    #[test]
    fn a_cohort_that_waits_for_too_long_is_complained_about() {
        assert_eq!(first(60, |_| vec![("m", 7, "absent")]), None);
        assert_eq!(first(90, |_| vec![("m", 7, "absent")]), Some((61, "absent (for 61s)".to_owned())));
        // It is told what holds it up now.
        let why = |second| if second < 50 { "behind" } else { "absent" };
        assert_eq!(first(90, |second| vec![("m", 7, why(second))]), Some((61, "absent (for 61s)".to_owned())));
    }

    #[test]
    fn a_judge_that_gets_on_is_not_complained_about() {
        assert_eq!(first(600, |second| vec![("m", i64::from(second / 50), "absent")]), None);
        assert_eq!(first(600, |second| if second % 50 == 0 { vec![] } else { vec![("m", 7, "absent")] }), None);
    }

    #[test]
    fn a_model_that_gets_on_does_not_hide_one_that_waits() {
        let both = |second| vec![("a", i64::from(second), "a waits"), ("b", 7, "b waits")];
        assert_eq!(first(90, both), Some((61, "b waits (for 61s)".to_owned())));
    }
}
