//! One model version at one horizon, watched cohort by cohort.

use super::alarm::Alarm;
use super::baseline::Baseline;
use super::cusum::{self, Cusum};
use super::floor::{self, WindowHit};
use super::settings::{Kind, Settings};
use super::state::State;
use crate::flow::time::{Micros, SECOND};

/// Of the layout of [`Detector::numbers`].
const VERSION: f64 = 1.0;
const DAY: f64 = 86_400.0;

/// One non-overlapping cohort: outcomes with one target time, of the rows that were scored and that moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CohortScore {
    /// What all its predictions were about.
    pub target_time: Micros,
    /// Rows that moved beyond the dead band.
    pub rows: u32,
    /// Those whose direction was right.
    pub hits: u32,
}

/// What a cohort did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// Whether the state is another one.
    pub changed: bool,
    /// On every cohort that leaves the state degraded.
    pub alarm: Option<Alarm>,
}

/// The detector: settings, what it has counted, and the state that follows. Its counts are bounded whatever it has seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Detector {
    settings: Settings,
    acceptance: Option<f64>,
    trained_until: Option<Micros>,
    cohorts: f64,
    last: Micros,
    state: State,
    since: Micros,
    /// State of the rule alone, without the model's age.
    rule: State,
    baseline: Baseline,
    /// Once the reference is complete.
    cusum: Option<Cusum>,
    window: Option<WindowHit>,
}

impl Detector {
    /// A detector that has seen nothing. `acceptance` is the hit rate (0 to 1) with which the model was accepted at this
    /// horizon: it bounds the reference from above. `trained_until` is the end of its training data.
    pub fn new(settings: &Settings, acceptance: Option<f64>, trained_until: Option<Micros>) -> Self {
        Self {
            settings: settings.clone(),
            acceptance,
            trained_until,
            cohorts: 0.0,
            last: 0,
            state: State::Cold,
            since: 0,
            rule: State::Cold,
            baseline: Baseline::default(),
            cusum: None,
            window: None,
        }
    }

    /// Takes the next cohort, in order of target time; one in which nothing moved is skipped. `window` is the hit rate up to
    /// and with this cohort, for the threshold rule, which keeps its state where there is none.
    pub fn observe(&mut self, score: CohortScore, window: Option<WindowHit>) -> Step {
        if score.rows == 0 {
            return Step::default();
        }
        if self.cohorts == 0.0 {
            self.since = score.target_time;
        }
        self.cohorts += 1.0;
        self.last = score.target_time;
        match self.settings.kind {
            Kind::Cusum => self.observe_cusum(score),
            Kind::Threshold => self.observe_window(window),
            Kind::Off if self.warm() => self.rule = State::Ok,
            Kind::Off => {}
        }
        let state = if self.too_old().is_some() { State::Degraded } else { self.rule };
        let changed = state != self.state;
        if changed {
            (self.state, self.since) = (state, score.target_time);
        }
        Step { changed, alarm: (state == State::Degraded).then(|| self.alarm()).flatten() }
    }

    fn observe_cusum(&mut self, score: CohortScore) {
        let hits = score.hits.min(score.rows);
        let Some(cusum) = &mut self.cusum else {
            self.baseline.add(score.rows, hits);
            self.begin();
            if self.cusum.is_some() {
                self.rule = State::Ok;
            }
            return;
        };
        cusum.observe(f64::from(hits) / f64::from(score.rows), score.target_time);
        self.rule = cusum::LADDER.step(self.rule, cusum.evidence());
    }

    fn observe_window(&mut self, window: Option<WindowHit>) {
        let Some(window) = window else { return };
        self.window = Some(window);
        if self.warm() {
            self.rule = floor::LADDER.step(self.rule, window.below(self.settings.floor));
        }
    }

    /// Starts the CUSUM when the reference is complete.
    fn begin(&mut self) {
        if self.baseline.count >= f64::from(self.settings.baseline_n.max(2)) {
            let (reference, deviation) = (self.baseline.reference(self.acceptance), self.baseline.deviation());
            let Settings { drop, in_control, .. } = self.settings;
            self.cusum = Some(Cusum::new(reference, deviation, drop, in_control, self.last));
        }
    }

    fn warm(&self) -> bool {
        self.cohorts >= f64::from(self.settings.min_cohorts)
    }

    /// The model's age and what it may be, when it is more.
    fn too_old(&self) -> Option<(Micros, Micros)> {
        let (limit, until) = self.settings.max_model_age.zip(self.trained_until)?;
        let age = self.last.saturating_sub(until);
        (self.warm() && age > limit).then_some((age, limit))
    }

    /// What the state is: cold until something can be said.
    pub fn state(&self) -> State {
        self.state
    }

    /// Target time of the cohort that brought the state; 0 before the first one.
    pub fn since(&self) -> Micros {
        self.since
    }

    /// The CUSUM, once its reference is complete: statistic, threshold, reference, expected delays.
    pub fn cusum(&self) -> Option<&Cusum> {
        self.cusum.as_ref()
    }

    /// Why the state is what it is, in words and figures of the last cohort.
    pub fn reason(&self) -> String {
        if let Some((age, limit)) = self.too_old()
            && self.rule != State::Degraded
        {
            let days = |span: Micros| span as f64 / SECOND as f64 / DAY;
            return format!("the model was trained {:.2} days before, {:.2} are allowed", days(age), days(limit));
        }
        match (self.settings.kind, &self.cusum, &self.window) {
            (Kind::Cusum, Some(cusum), _) => format!(
                "CUSUM at {:.2} of {:.2} against a reference hit rate of {:.2}% (a cohort deviates by {:.2}%)",
                cusum.statistic(),
                cusum.threshold(),
                100.0 * cusum.reference(),
                100.0 * cusum.deviation()
            ),
            (Kind::Cusum, None, _) => {
                format!("{} of the reference's {} cohorts seen", self.baseline.count, self.settings.baseline_n.max(2))
            }
            (Kind::Threshold | Kind::Off, ..) if !self.warm() => {
                format!("{} of at least {} cohorts seen", self.cohorts, self.settings.min_cohorts)
            }
            (Kind::Threshold, _, Some(window)) => format!(
                "the window's hit rate is within {:.2} and {:.2}% (n_effective {:.1}), the floor is {:.2}%",
                100.0 * window.low,
                100.0 * window.high,
                window.n_effective,
                100.0 * self.settings.floor
            ),
            (Kind::Threshold, _, None) => "no window of hit rates yet".to_owned(),
            (Kind::Off, ..) => "no detector watches the hit rate".to_owned(),
        }
    }

    /// The alarm of a degraded state: of the hit rate where that is to blame, else of the model's age.
    fn alarm(&self) -> Option<Alarm> {
        let alarm = |detector, statistic, threshold| Alarm {
            detector,
            statistic,
            threshold,
            reference: None,
            deviation: None,
            change_point: None,
            reason: self.reason(),
        };
        if self.rule != State::Degraded {
            let (age, limit) = self.too_old()?;
            let seconds = |span: Micros| span as f64 / SECOND as f64;
            return Some(alarm("model_age", seconds(age), seconds(limit)));
        }
        if let Some(cusum) = &self.cusum {
            return Some(Alarm {
                reference: Some(cusum.reference()),
                deviation: Some(cusum.deviation()),
                change_point: Some(cusum.change_point()),
                ..alarm(Kind::Cusum.as_str(), cusum.statistic(), cusum.threshold())
            });
        }
        Some(alarm(Kind::Threshold.as_str(), self.window?.high, self.settings.floor))
    }

    /// All that [`restore`](Self::restore) needs, beside settings and what is known of the model: 17 finite numbers.
    pub fn numbers(&self) -> Vec<f64> {
        let Baseline { count, mean, squares, rows, hits } = self.baseline;
        let (statistic, zero_at) = self.cusum.as_ref().map_or((0.0, 0), |c| (c.statistic(), c.change_point()));
        // Times are below 2^53 microseconds until 2255. A window cannot be worth fewer than no outcomes.
        let window = self.window.unwrap_or(WindowHit { n_effective: -1.0, low: 0.0, high: 0.0 });
        vec![
            VERSION,
            self.settings.kind.number(),
            self.cohorts,
            self.last as f64,
            self.state.number(),
            self.since as f64,
            self.rule.number(),
            count,
            mean,
            squares,
            rows,
            hits,
            statistic,
            zero_at as f64,
            window.n_effective,
            window.low,
            window.high,
        ]
    }

    /// The detector that gave `numbers`: it goes on as if it had not been away. Settings may have changed: thresholds are made
    /// anew, and a reference that is now too short is made longer.
    ///
    /// None when the numbers are not those of a detector with this rule: begin a new one then.
    pub fn restore(
        settings: &Settings,
        acceptance: Option<f64>,
        trained_until: Option<Micros>,
        numbers: &[f64],
    ) -> Option<Self> {
        let &[
            version,
            kind,
            cohorts,
            last,
            state,
            since,
            rule,
            count,
            mean,
            squares,
            rows,
            hits,
            statistic,
            zero_at,
            n_effective,
            low,
            high,
        ] = numbers
        else {
            return None;
        };
        let known = version == VERSION && kind == settings.kind.number() && numbers.iter().all(|n| n.is_finite());
        let mut detector = Self {
            cohorts,
            last: last as Micros,
            state: State::from_number(state)?,
            since: since as Micros,
            rule: State::from_number(rule)?,
            baseline: Baseline { count, mean, squares, rows, hits },
            window: (n_effective >= 0.0).then_some(WindowHit { n_effective, low, high }),
            ..Self::new(settings, acceptance, trained_until)
        };
        detector.begin();
        match &mut detector.cusum {
            Some(cusum) => cusum.resume(statistic, zero_at as Micros),
            None if settings.kind == Kind::Cusum => detector.rule = State::Cold,
            None => {}
        }
        known.then_some(detector)
    }
}
