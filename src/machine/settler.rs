//! The settler of one partition of predictions: each closed bar's record carries its price, so it settles the earlier ones.
//!
//! ```text
//!  prediction ─► closes the targets that were waiting for its bar ─► outcomes ─┐
//!      └───────► waits for its own target (bounded)                            ├─► settled, in the order of the log
//!      └───────► a later as_of finishes the bar end before ─► progress, left ──┘
//! ```
//!
//! One ordered input, no join. A forecaster writes a record for every live symbol in every cycle, so whoever misses one is gone.
//! Restore: feed the records of [R, C) again and throw away what comes out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use hashbrown::HashMap;

use crate::flow::outcome::{Outcome, Passage, Prices, Settled, Settlement, Unscorable, return_bps, settle};
use crate::flow::prediction::{Decision, Probabilities, Reference, Role};
use crate::flow::said::Said;
use crate::flow::symbol::Symbol;
use crate::flow::time::{Interval, Micros};
use crate::flow::trace_context::TraceContext;

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It counts.
    Used,
    /// The same symbol, bar, horizon and model version is there already.
    Duplicate,
    /// It speaks of a bar before the one that is being read: another forecaster writes here, or one was set back.
    OutOfOrder,
    /// Its symbol is none.
    BadSymbol,
    /// It would bring one more than may wait; it was not applied.
    Full,
}

/// A scored prediction that waits for its target.
struct Pending {
    prediction_id: Box<str>,
    as_of: Micros,
    target_time: Micros,
    interval: Interval,
    model: Arc<str>,
    version: Arc<str>,
    role: Role,
    probabilities: Probabilities,
    decision: Decision,
    dead_band_bps: f64,
    reference: Reference,
    prior_return_bps: Option<f64>,
}

/// One live symbol.
struct Track {
    symbol: Symbol,
    model: Arc<str>,
    /// Bars up to the longest horizon back, newest last.
    bars: VecDeque<(Micros, Reference)>,
    /// By horizon, each in order of target.
    waiting: Vec<(u32, VecDeque<Pending>)>,
}

impl Track {
    fn newest(&self) -> Micros {
        self.bars.back().map_or(Micros::MIN, |&(as_of, _)| as_of)
    }

    fn bar(&self, as_of: Micros) -> Option<Reference> {
        let place = self.bars.binary_search_by_key(&as_of, |&(time, _)| time).ok()?;
        Some(self.bars[place].1)
    }
}

/// A bar end that a restore needs.
struct End {
    as_of: Micros,
    /// Of its first record.
    offset: i64,
    trace: Option<TraceContext>,
}

/// Why a bar's price measures nothing.
fn unreal(bar: Reference) -> Option<Unscorable> {
    if bar.synthetic {
        Some(Unscorable::Synthetic)
    } else if !bar.complete {
        Some(Unscorable::Incomplete)
    } else {
        None
    }
}

/// The state of one partition.
pub struct Settler {
    partition: i32,
    fee_bps: f64,
    max_pending: usize,
    /// W: the bar end that is being read.
    now: Option<Micros>,
    tracks: HashMap<Symbol, Track>,
    /// Symbols that have a record at W.
    seen: usize,
    /// Live symbols of each model, and what waits of it.
    models: BTreeMap<Arc<str>, usize>,
    versions: BTreeMap<Box<str>, Arc<str>>,
    pending: usize,
    /// The longest horizon met, in microseconds.
    span: Micros,
    /// Bar ends, newest last.
    ends: VecDeque<End>,
}

impl Settler {
    /// A settler of `partition` that has read nothing; `fee_bps` is what going in and out costs.
    pub fn new(partition: i32, fee_bps: f64, max_pending: usize) -> Self {
        Self {
            partition,
            fee_bps,
            max_pending,
            now: None,
            tracks: HashMap::new(),
            seen: 0,
            models: BTreeMap::new(),
            versions: BTreeMap::new(),
            pending: 0,
            span: 0,
            ends: VecDeque::new(),
        }
    }

    /// W: the bar end that is being read.
    pub fn now(&self) -> Option<Micros> {
        self.now
    }

    /// Scored predictions that wait for their target.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// R: where a restore begins to read when `next` is the next record to apply. Twice the longest horizon back: what waits
    /// needs the bars before it for its prior return.
    pub fn resume(&self, next: i64) -> i64 {
        self.ends.front().map_or(next, |end| end.offset)
    }

    /// The trace that the predictions of the newest bar end belong to. One cycle has made them all.
    pub fn set_trace(&mut self, trace: TraceContext) {
        if let Some(end) = self.ends.back_mut() {
            end.trace = Some(trace);
        }
    }

    /// The trace of the predictions of a bar end that some of them may still wait at.
    pub fn trace(&self, as_of: Micros) -> Option<TraceContext> {
        let place = self.ends.binary_search_by_key(&as_of, |end| end.as_of).ok()?;
        self.ends[place].trace
    }

    /// Applies the record at `offset`; what it settles is added to `out`.
    pub fn apply(&mut self, offset: i64, said: &Said<'_>, out: &mut Vec<Settled>) -> Verdict {
        if self.now.is_some_and(|now| said.as_of < now) {
            return Verdict::OutOfOrder;
        }
        if said.probabilities.is_some() && self.pending >= self.max_pending {
            return Verdict::Full;
        }
        if !self.tracks.contains_key(said.symbol) && Symbol::new(said.symbol).is_err() {
            return Verdict::BadSymbol;
        }
        if self.now.is_none_or(|now| now < said.as_of) {
            self.turn(said.as_of, offset, out);
        }
        self.span = self.span.max(said.target_time - said.as_of);
        self.reach(said, out);
        if said.silent {
            self.forget(said.symbol, out);
            return Verdict::Used;
        }
        self.wait(said)
    }

    /// A later bar end begins: the one before is finished.
    fn turn(&mut self, as_of: Micros, offset: i64, out: &mut Vec<Settled>) {
        if let Some(now) = self.now {
            if self.seen < self.tracks.len() {
                let mut gone: Vec<Symbol> = self
                    .tracks
                    .values()
                    .filter(|track| track.newest() < now)
                    .map(|track| track.symbol.clone())
                    .collect();
                gone.sort_unstable();
                gone.iter().for_each(|symbol| self.forget(symbol.as_str(), out));
            }
            let passed = |model: &Arc<str>| {
                Settled::Progress(Passage { model: Arc::clone(model), partition: self.partition, time: now })
            };
            out.extend(self.models.keys().map(passed));
        }
        self.now = Some(as_of);
        self.seen = 0;
        self.ends.push_back(End { as_of, offset, trace: None });
        while self.ends.front().is_some_and(|end| end.as_of < as_of - 2 * self.span) {
            self.ends.pop_front();
        }
    }

    /// Takes the bar of a record, if it is the first of its symbol there, and settles what waited for it.
    fn reach(&mut self, said: &Said<'_>, out: &mut Vec<Settled>) {
        let span = self.span;
        let track = match self.tracks.get_mut(said.symbol) {
            Some(track) => track,
            // The last record of a symbol comes once a horizon: the first of them has closed it.
            None if said.silent => return,
            None => {
                let Ok(symbol) = Symbol::new(said.symbol) else { return };
                let model = known_model(&mut self.models, said.model);
                self.tracks.entry(symbol.clone()).or_insert(Track {
                    symbol,
                    model,
                    bars: VecDeque::new(),
                    waiting: Vec::new(),
                })
            }
        };
        if &*track.model != said.model {
            let model = known_model(&mut self.models, said.model);
            let before = std::mem::replace(&mut track.model, model);
            release_model(&mut self.models, &before, self.partition, said.as_of, out);
        }
        if track.newest() >= said.as_of {
            return;
        }
        self.seen += 1;
        track.bars.push_back((said.as_of, said.reference));
        while track.bars.front().is_some_and(|&(time, _)| time < said.as_of - span) {
            track.bars.pop_front();
        }
        let mut waiting = std::mem::take(&mut track.waiting);
        for (horizon, queue) in &mut waiting {
            while queue.front().is_some_and(|pending| pending.target_time <= said.as_of) {
                let Some(pending) = queue.pop_front() else { break };
                self.pending -= 1;
                let model = Arc::clone(&pending.model);
                out.push(Settled::Outcome(close(track, *horizon, pending, self.fee_bps)));
                release_model(&mut self.models, &model, self.partition, said.as_of, out);
            }
        }
        track.waiting = waiting;
    }

    /// The symbol is gone: what waited for it will not come.
    fn forget(&mut self, symbol: &str, out: &mut Vec<Settled>) {
        let Some(track) = self.tracks.remove(symbol) else { return };
        let now = self.now.unwrap_or(Micros::MIN);
        if self.now == Some(track.newest()) {
            self.seen -= 1;
        }
        for (horizon, queue) in track.waiting {
            for pending in queue {
                self.pending -= 1;
                let model = Arc::clone(&pending.model);
                let missing = Err(Unscorable::Missing);
                out.push(Settled::Outcome(outcome(&track.symbol, horizon, pending, self.fee_bps, missing)));
                release_model(&mut self.models, &model, self.partition, now, out);
            }
        }
        release_model(&mut self.models, &track.model, self.partition, now, out);
    }

    fn wait(&mut self, said: &Said<'_>) -> Verdict {
        let (Some(probabilities), Some(track)) = (said.probabilities, self.tracks.get_mut(said.symbol)) else {
            return Verdict::Used;
        };
        let version = match self.versions.get(said.model_version) {
            Some(version) => Arc::clone(version),
            None => {
                // A few at a time are in use; the map only shares their text.
                if self.versions.len() >= 64 {
                    self.versions.clear();
                }
                let version: Arc<str> = said.model_version.into();
                self.versions.insert(said.model_version.into(), Arc::clone(&version));
                version
            }
        };
        let prior = track.bar(said.as_of - (said.target_time - said.as_of)).filter(|bar| unreal(*bar).is_none());
        let prior_return_bps =
            prior.filter(|_| unreal(said.reference).is_none()).map(|bar| return_bps(bar.price, said.reference.price));
        let queue = match track.waiting.iter().position(|(horizon, _)| *horizon == said.horizon) {
            Some(place) => &mut track.waiting[place].1,
            None => {
                track.waiting.push((said.horizon, VecDeque::new()));
                let last = track.waiting.len() - 1;
                &mut track.waiting[last].1
            }
        };
        let same = |p: &&Pending| p.target_time == said.target_time && p.version == version;
        if queue.iter().rev().take_while(|p| p.as_of == said.as_of).any(|p| same(&p)) {
            return Verdict::Duplicate;
        }
        queue.push_back(Pending {
            prediction_id: said.prediction_id.into(),
            as_of: said.as_of,
            target_time: said.target_time,
            interval: said.interval,
            model: Arc::clone(&track.model),
            version,
            role: said.role,
            probabilities,
            decision: said.decision,
            dead_band_bps: said.dead_band_bps,
            reference: said.reference,
            prior_return_bps,
        });
        if let Some(count) = self.models.get_mut(said.model) {
            *count += 1;
        }
        self.pending += 1;
        Verdict::Used
    }
}

/// Counts one more live symbol of a model.
fn known_model(models: &mut BTreeMap<Arc<str>, usize>, name: &str) -> Arc<str> {
    let model = models.get_key_value(name).map_or_else(|| name.into(), |(model, _)| Arc::clone(model));
    *models.entry(Arc::clone(&model)).or_default() += 1;
    model
}

/// Counts one of a model less, a live symbol or what waits; says so when it was the last.
fn release_model(
    models: &mut BTreeMap<Arc<str>, usize>,
    model: &Arc<str>,
    partition: i32,
    time: Micros,
    out: &mut Vec<Settled>,
) {
    let Some(live) = models.get_mut(model) else { return };
    *live -= 1;
    if *live == 0 {
        models.remove(model);
        out.push(Settled::Left(Passage { model: Arc::clone(model), partition, time }));
    }
}

/// Settles a prediction against its symbol's newest bar, which is the target's or a later one.
fn close(track: &Track, horizon: u32, pending: Pending, fee_bps: f64) -> Outcome {
    let Some(target) = track.bar(pending.target_time) else {
        return outcome(&track.symbol, horizon, pending, fee_bps, Err(Unscorable::Missing));
    };
    if let Some(why) = unreal(pending.reference).or_else(|| unreal(target)) {
        return outcome(&track.symbol, horizon, pending, fee_bps, Err(why));
    }
    let next = track.bar(pending.as_of + pending.interval.micros());
    let prices = Prices {
        reference: pending.reference.price,
        entry: next.filter(|bar| unreal(*bar).is_none()).map(|bar| bar.vwap),
        target: target.price,
    };
    let settled = settle(pending.probabilities, pending.decision, pending.dead_band_bps, fee_bps, prices);
    outcome(&track.symbol, horizon, pending, fee_bps, Ok(settled))
}

fn outcome(
    symbol: &Symbol,
    horizon: u32,
    pending: Pending,
    fee_bps: f64,
    settlement: Result<Settlement, Unscorable>,
) -> Outcome {
    Outcome {
        prediction_id: pending.prediction_id,
        symbol: symbol.clone(),
        interval: pending.interval,
        horizon,
        as_of: pending.as_of,
        target_time: pending.target_time,
        model: pending.model,
        model_version: pending.version,
        role: pending.role,
        probabilities: pending.probabilities,
        decision: pending.decision,
        reference_price: pending.reference.price,
        dead_band_bps: pending.dead_band_bps,
        fee_bps,
        prior_return_bps: pending.prior_return_bps,
        settlement,
    }
}

#[cfg(test)]
mod tests;
