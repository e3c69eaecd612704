//! The judge of the models of one partition of outcomes: outcomes in, accuracy reports and alarms out.
//!
//! ```text
//!  outcome ──► cohort (model, version, interval, horizon, target) ─┐
//!  progress, left ──► participants ──► how far all have come ──────┴─► close, in order of target: figures, detector
//! ```
//!
//! A cohort closes when every participant (a partition of predictions that has shown the model and has not left) has passed
//! its target, and whoever is no participant has nothing to say: the caller looks ([`Judge::questions`]) and answers
//! ([`Judge::answer`]). So the result does not depend on how the partitions are interleaved. It is folded in order of symbol.
//!
//! Restore: [`Judge::restore`] with the items that were written down, [`Judge::reapply`] over [R, C), [`Judge::rebuilt`].

mod model;
mod saving;
mod track;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use self::saving::Restored;
use self::track::{Cohort, Entry, Track};
use crate::flow::accuracy::{Report, Subject};
use crate::flow::evidence::Evidence;
use crate::flow::outcome::Passage;
use crate::flow::retrain::{Flight, Request, request_id};
use crate::flow::symbol::Symbol;
use crate::flow::time::Micros;
use crate::flow::trigger::{self, Alarm, Guards, Held};

/// Most tracks (versions times horizons) of one model: the one that has been quiet longest goes for a new one.
const MAX_TRACKS: usize = 64;

/// Symbols whose text is shared between cohorts.
const MAX_SYMBOLS: usize = 100_000;

/// What a model was accepted with.
#[derive(Clone, Debug, PartialEq)]
pub struct Acceptance {
    /// Its name.
    pub model: String,
    /// Its version.
    pub model_version: String,
    /// Hit rate at each horizon.
    pub hit_rate: BTreeMap<u32, f64>,
    /// End of its training data.
    pub trained_until: Micros,
}

/// What shapes the judgement.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Cohorts between two reports.
    pub report_every: u32,
    /// Cohorts in the window.
    pub window: u32,
    /// Detectors and guards.
    pub trigger: trigger::Settings,
    /// Partitions of predictions.
    pub partitions: i32,
    /// Outcomes that may wait for their cohort.
    pub max_open_rows: usize,
    /// What is known of models.
    pub acceptances: Vec<Acceptance>,
}

impl Settings {
    /// The hit rate that a track's model was accepted with, and the end of its training data.
    fn known(&self, subject: &Subject) -> (Option<f64>, Option<Micros>) {
        let same = |a: &&Acceptance| *a.model == *subject.model && *a.model_version == *subject.model_version;
        match self.acceptances.iter().find(same) {
            Some(known) => (known.hit_rate.get(&subject.horizon).copied(), Some(known.trained_until)),
            None => (None, None),
        }
    }
}

/// What became of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It waits in its cohort.
    Used,
    /// Its cohort is closed: it is counted, and nothing else.
    Late,
    /// Its symbol is none.
    BadSymbol,
    /// It would bring one more than may wait; it was not applied.
    Full,
}

/// What comes out.
#[derive(Clone, Debug, PartialEq)]
pub enum Judged {
    /// A report.
    Report(Box<Report>),
    /// The model is degraded; whether it becomes a request is for [`Judge::request`].
    Alarm {
        /// Whose.
        subject: Subject,
        /// What the detector said.
        alarm: Alarm,
        /// Target time of the cohort.
        at: Micros,
        /// The report of that moment.
        evidence: Box<Report>,
    },
}

/// One model.
struct Model {
    participants: BTreeMap<i32, Micros>,
    closed: Option<Micros>,
    /// Cohorts up to here may close although some partitions are no participants: those had nothing to say.
    cleared: Micros,
    tracks: BTreeMap<Subject, Track>,
    open: BTreeMap<(Micros, Subject), Cohort>,
    guards: Guards,
    ends: u64,
    late: Vec<i64>,
    dirty: bool,
}

/// Which partitions must have nothing to say, and up to which target cohorts of a model may then close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Name of the model.
    pub model: Arc<str>,
    /// Target of the oldest cohort that waits for the answer.
    pub first: Micros,
    /// Up to here cohorts may close with the answer: an absent partition that is alive must have come as far, or it could show
    /// the model at bars that are over by then.
    pub frontier: Micros,
    /// The partitions of predictions that are no participants.
    pub absent: BTreeSet<i32>,
}

/// The state of one partition of outcomes.
pub struct Judge {
    settings: Settings,
    models: BTreeMap<Arc<str>, Model>,
    symbols: hashbrown::HashSet<Symbol>,
    open_rows: usize,
    gone: Vec<crate::flow::judge_state::Key>,
}

impl Judge {
    /// A judge that has read nothing.
    pub fn new(settings: Settings) -> Self {
        Self { settings, models: BTreeMap::new(), symbols: Default::default(), open_rows: 0, gone: Vec::new() }
    }

    /// Outcomes that wait for their cohort.
    pub fn open_rows(&self) -> usize {
        self.open_rows
    }

    /// How many models are known.
    pub fn models(&self) -> usize {
        self.models.len()
    }

    /// Takes the outcome at `offset`.
    pub fn apply(&mut self, offset: i64, evidence: &Evidence<'_>) -> Verdict {
        if self.open_rows >= self.settings.max_open_rows {
            return Verdict::Full;
        }
        self.take(offset, evidence, false)
    }

    /// Takes an outcome from before the committed offset again.
    pub fn reapply(&mut self, offset: i64, evidence: &Evidence<'_>) {
        self.take(offset, evidence, true);
    }

    fn take(&mut self, offset: i64, evidence: &Evidence<'_>, again: bool) -> Verdict {
        let symbol = match self.symbols.get(evidence.symbol) {
            Some(symbol) => symbol.clone(),
            None => match Symbol::new(evidence.symbol) {
                Ok(symbol) => {
                    // It only shares their text.
                    if self.symbols.len() >= MAX_SYMBOLS {
                        self.symbols.clear();
                    }
                    self.symbols.insert(symbol.clone());
                    symbol
                }
                Err(_) => return Verdict::BadSymbol,
            },
        };
        let model = Self::model(&mut self.models, &self.settings, evidence.model);
        let (settings, gone) = (&self.settings, &mut self.gone);
        let target = evidence.target_time;
        let late = match again {
            true => model.late.binary_search(&offset).is_ok(),
            false => model.closed.is_some_and(|closed| target <= closed),
        };
        if late && !again {
            model.late.push(offset);
            model.dirty = true;
        }
        let track = model.track(evidence, settings, gone);
        if late {
            track.late += u64::from(!again || offset >= track.sealed_at);
            return Verdict::Late;
        }
        if again && target <= track.sealed {
            return Verdict::Used;
        }
        let subject = track.subject.clone();
        let entry = Entry { symbol, row: evidence.row(), prior_return_bps: evidence.prior_return_bps };
        let new = || Cohort { entries: Vec::new(), first_offset: offset };
        model.open.entry((target, subject)).or_insert_with(new).entries.push(entry);
        self.open_rows += 1;
        Verdict::Used
    }

    /// A partition of predictions has passed a time with a model.
    pub fn progress(&mut self, passage: &Passage) {
        let model = Self::model(&mut self.models, &self.settings, &passage.model);
        let passed = model.participants.entry(passage.partition).or_insert(passage.time);
        *passed = (*passed).max(passage.time);
        model.dirty = true;
    }

    /// A partition of predictions has no live symbol of a model any more.
    pub fn left(&mut self, passage: &Passage) {
        let model = Self::model(&mut self.models, &self.settings, &passage.model);
        model.participants.remove(&passage.partition);
        model.dirty = true;
    }

    fn model<'a>(models: &'a mut BTreeMap<Arc<str>, Model>, settings: &Settings, name: &str) -> &'a mut Model {
        if !models.contains_key(name) {
            models.insert(name.into(), Model::new(settings));
        }
        models.get_mut(name).expect("inserted just now")
    }

    /// What the caller must find out before cohorts that all participants have passed may close; empty when nothing waits
    /// for that.
    pub fn questions(&self) -> Vec<Question> {
        let all = 0..self.settings.partitions;
        let ask = |(name, model): (&Arc<str>, &Model)| {
            let frontier = model.frontier()?;
            let first = model.open.keys().next()?.0;
            let absent: BTreeSet<i32> = all.clone().filter(|p| !model.participants.contains_key(p)).collect();
            let waits = first <= frontier && first > model.cleared && !absent.is_empty();
            waits.then(|| Question { model: Arc::clone(name), first, frontier, absent })
        };
        self.models.iter().filter_map(ask).collect()
    }

    /// The absent partitions of `question` have nothing to say up to its frontier, and everything that was in this partition when
    /// that was found out has been applied.
    pub fn answer(&mut self, question: &Question) {
        if let Some(model) = self.models.get_mut(&question.model) {
            model.cleared = model.cleared.max(question.frontier);
        }
    }

    /// Closes the next cohorts that are due, all of one model and target; `false` when none is.
    ///
    /// They close together because a commit may follow: what is closed is written down as a time.
    pub fn close(&mut self, out: &mut Vec<Judged>) -> bool {
        let partitions = self.settings.partitions;
        let due = self.models.iter().find(|(_, model)| model.due(partitions));
        let Some(name) = due.map(|(name, _)| Arc::clone(name)) else { return false };
        let model = self.models.get_mut(&name).expect("found just now");
        let Some(due) = model.first_open() else { return false };
        while model.first_open() == Some(due) {
            self.open_rows -= model.close_first(&self.settings, false, out);
        }
        true
    }

    /// What was closed when the offset was committed closes again, without a word.
    pub fn rebuilt(&mut self) {
        for model in self.models.values_mut() {
            while model.open.first_key_value().is_some_and(|((target, _), _)| model.closed >= Some(*target)) {
                self.open_rows -= model.close_first(&self.settings, true, &mut Vec::new());
            }
        }
    }

    /// The oldest cohort of each model, where some participants have passed it and others have not, with those that have not.
    pub fn waits_for(&self) -> Vec<(Arc<str>, Micros, Vec<i32>)> {
        let waits = |(name, model): (&Arc<str>, &Model)| {
            let first = model.open.keys().next()?.0;
            let behind: Vec<i32> = model.participants.iter().filter(|(_, at)| **at < first).map(|(p, _)| *p).collect();
            let passed = behind.len() < model.participants.len();
            (passed && !behind.is_empty()).then(|| (Arc::clone(name), first, behind))
        };
        self.models.iter().filter_map(waits).collect()
    }

    /// Whether an alarm of `model` at `at` could become a request, as far as is known without a look at open requests.
    ///
    /// # Errors
    /// What holds it back.
    pub fn may_request(&self, model: &str, at: Micros) -> Result<(), Held> {
        self.models.get(model).map_or(Ok(()), |model| model.guards.allow(at, false))
    }

    /// Turns an alarm into a request, unless one is open or the guards hold it back.
    ///
    /// # Errors
    /// What holds it back.
    pub fn request(
        &mut self,
        subject: &Subject,
        alarm: Alarm,
        at: Micros,
        evidence: Report,
        flight: &Flight,
    ) -> Result<Request, Held> {
        let model = Self::model(&mut self.models, &self.settings, &subject.model);
        let told = usize::try_from(model.ends).unwrap_or(usize::MAX);
        for (closed, when) in flight.ends().iter().skip(told) {
            model.guards.closed(*closed, *when);
            model.dirty = true;
        }
        model.ends = flight.ends().len() as u64;
        model.guards.allow(at, flight.open().is_some())?;
        model.guards.requested(at);
        model.dirty = true;
        let (interval, horizon) = (subject.interval.to_string(), subject.horizon.to_string());
        let time = at.to_string();
        let id = request_id(&[&subject.model, &subject.model_version, &interval, &horizon, alarm.detector, &time]);
        Ok(Request { id, subject: subject.clone(), alarm, as_of: at, evidence })
    }

    /// The report of every track as it stands.
    pub fn reports(&self) -> Vec<Report> {
        self.models.values().flat_map(|model| model.tracks.values().filter_map(Track::report)).collect()
    }
}

#[cfg(test)]
mod tests;
