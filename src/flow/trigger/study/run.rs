//! One detector over one stream of scores, until it alarms.

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::hits::Hits;
use super::{AFTER, Acceptance, Case, HIT_RATE, LEAD_IN};
use crate::flow::trigger::{CohortScore, Cusum, Detector, Settings, State};

/// A detector and its scores.
pub(super) struct Run<'a> {
    case: &'a Case,
    settings: &'a Settings,
    hits: &'a mut Hits,
    rng: StdRng,
    /// Scores seen.
    seen: i64,
}

/// How a run with a drop went.
pub(super) struct Drop {
    /// Scores from the drop to the alarm.
    pub delay: u32,
    /// The mean that theory gives for this detector's reference and threshold.
    pub expected: f64,
}

impl<'a> Run<'a> {
    /// Run `number` of a case; equal seeds give equal scores.
    pub fn new(case: &'a Case, settings: &'a Settings, hits: &'a mut Hits, seed: u64, number: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..16].copy_from_slice(&number.to_le_bytes());
        let mut rng = StdRng::from_seed(bytes);
        hits.restart(&mut rng);
        Self { case, settings, hits, rng, seen: 0 }
    }

    /// Scores from the end of the reference to the first false alarm; none within `most`.
    pub fn false_alarm(mut self, most: u32) -> Option<u32> {
        let mut detector = self.learn();
        (1..=most).find(|_| self.step(&mut detector, 0))
    }

    /// The delay after the hit rate has fallen to number `rate`; none when the detector did not wait for it.
    pub fn drop(mut self, rate: usize, most: u32) -> Option<Drop> {
        let mut detector = self.learn();
        if (0..LEAD_IN).any(|_| self.step(&mut detector, 0)) {
            return None;
        }
        let expected = detector.cusum().expected_delay(AFTER[rate]);
        let delay = (1..=most).find(|_| self.step(&mut detector, rate)).unwrap_or(most);
        Some(Drop { delay, expected })
    }

    /// Feeds the reference.
    fn learn(&mut self) -> Watch {
        let acceptance = match self.case.acceptance {
            Acceptance::None => None,
            Acceptance::True => Some(HIT_RATE),
            Acceptance::TooHigh | Acceptance::TooHighUnbounded => Some(HIT_RATE + 0.05),
        };
        let mut detector = Detector::new(self.settings, acceptance, None);
        loop {
            detector.observe(self.score(0), None);
            let Some(cusum) = detector.cusum() else { continue };
            if self.case.acceptance != Acceptance::TooHighUnbounded {
                return Watch::Detector(Box::new(detector));
            }
            let Settings { drop, in_control, .. } = *self.settings;
            let unbounded = Cusum::new(HIT_RATE + 0.05, cusum.deviation(), drop, in_control, 0);
            return Watch::Unbounded(unbounded);
        }
    }

    fn score(&mut self, rate: usize) -> CohortScore {
        self.seen += 1;
        let (rows, hits) = self.hits.next(&mut self.rng, rate);
        CohortScore { target_time: self.seen, rows, hits }
    }

    /// Feeds one score and says whether there is an alarm.
    fn step(&mut self, watch: &mut Watch, rate: usize) -> bool {
        let score = self.score(rate);
        match watch {
            Watch::Detector(detector) => {
                detector.observe(score, None);
                detector.state() == State::Degraded
            }
            Watch::Unbounded(cusum) => {
                cusum.observe(f64::from(score.hits) / f64::from(score.rows), score.target_time);
                cusum.evidence() >= 1.0
            }
        }
    }
}

/// The detector, or what it would be if the acceptance figure were taken for the reference.
enum Watch {
    Detector(Box<Detector>),
    Unbounded(Cusum),
}

impl Watch {
    fn cusum(&self) -> &Cusum {
        match self {
            Self::Detector(detector) => detector.cusum().expect("it has learnt its reference"),
            Self::Unbounded(cusum) => cusum,
        }
    }
}
