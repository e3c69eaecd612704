//! The whole pipeline over recorded data, without Kafka: a forecaster and a settler per partition, and one judge.
//!
//! ```text
//!  record ─► forecaster of its partition ─► predictions ─► settler of the partition ─► outcomes ─► judge ─► reports, requests
//! ```
//!
//! These are the machines that also run live, fed in the same order, so what comes out is what a run over Kafka gives. The
//! future guard never triggers (there is no Kafka time to measure against) and nobody answers a retrain request.
//!
//! A cohort closes when every partition that has shown the model has passed it, as live. Whoever has not shown the model yet,
//! or has left, has nothing to say of it: records come in order of time, so whatever that partition will say is about later
//! targets. Only at the end, when partitions are closed one after the other, all must have had the last word first.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::forecaster::{Champion, Cycle, Forecaster, Position, Verdict};
use super::judge::{self, Judge, Judged};
use super::settler::{self, Settler};
use crate::flow::accuracy::{Report, Subject};
use crate::flow::bad_ratio::{BLOCK, BadRatio};
use crate::flow::dead_letter::Reason;
use crate::flow::evidence::Evidence;
use crate::flow::outcome::{Outcome, Settled};
use crate::flow::prediction::Prediction;
use crate::flow::retrain::{Flight, Request};
use crate::flow::rules::Rules;
use crate::flow::said::Said;
use crate::flow::tick::Record;
use crate::flow::time::Micros;
use crate::flow::trigger::Held;

/// Never in the past of a record.
const ALWAYS: Micros = Micros::MAX;

/// What shapes the outputs, apart from the model.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bars and predictions.
    pub rules: Rules,
    /// Cost of going in and out, in basis points.
    pub fee_bps: f64,
    /// Predictions of a partition that may wait for their target.
    pub max_pending: usize,
    /// Share of undecodable records in a block of a partition's.
    pub max_bad_ratio: f64,
    /// The judge, and how many partitions there are.
    pub judge: judge::Settings,
}

/// What comes out, in order.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A prediction, abstentions included.
    Prediction(&'a Prediction),
    /// A settled prediction.
    Outcome(&'a Outcome),
    /// A report.
    Report(&'a Report),
    /// A retrain is asked for.
    Request(&'a Request),
    /// An alarm that does not become a request.
    Held(&'a Subject, Micros, Held),
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Trades that count.
    pub used: u64,
    /// Trades whose id was in their bar already.
    pub duplicates: u64,
    /// Records that the stream would have dead-lettered, by reason.
    pub dead: BTreeMap<&'static str, u64>,
    /// Closed bars.
    pub bars: u64,
    /// Predictions, abstentions included.
    pub predictions: u64,
    /// Predictions with probabilities.
    pub scored: u64,
    /// Predictions that cannot be settled as they are, which live are skipped and counted: a mistake of ours.
    pub skipped: u64,
    /// Outcomes, unscorable ones included.
    pub outcomes: u64,
    /// Outcomes that came after their cohort was closed.
    pub late: u64,
    /// Reports.
    pub reports: u64,
    /// Retrain requests.
    pub requests: u64,
    /// Alarms that were held back.
    pub held: u64,
    /// Cycles in which features or scoring failed for some rows, which abstained.
    pub problems: u64,
}

/// Why it cannot go on. Live, a partition would pause here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// More symbols than a partition may hold.
    #[error(
        "{symbols} symbols are known in partition {partition}: raise forecast.max_symbols or give more --partitions"
    )]
    Symbols {
        /// The partition.
        partition: usize,
        /// How many it holds.
        symbols: usize,
    },
    /// Nearly nothing can be decoded.
    #[error(
        "nearly all of the last {BLOCK} records of partition {partition} cannot be decoded, the last because of `{reason}`: do the \
         files hold something else than trades? (forecast.max_bad_ratio)"
    )]
    Bad {
        /// The partition.
        partition: usize,
        /// Of the last one.
        reason: &'static str,
    },
    /// More predictions wait than may.
    #[error(
        "{pending} predictions of partition {partition} wait for their targets: raise settle.max_pending, use shorter horizons or \
         give more --partitions"
    )]
    Pending {
        /// The partition.
        partition: usize,
        /// How many wait.
        pending: usize,
    },
    /// More outcomes wait for their cohort than may.
    #[error(
        "{rows} outcomes wait for a partition whose symbols have stopped trading: raise judge.max_open_rows, or give fewer \
         --partitions"
    )]
    Open {
        /// How many wait.
        rows: usize,
    },
}

struct Lane {
    forecaster: Forecaster,
    settler: Settler,
    bad: BadRatio,
    records: i64,
    predictions: i64,
}

/// Where events go.
pub trait Sink {
    /// Takes one.
    fn take(&mut self, event: Event<'_>);
}

impl<F: FnMut(Event<'_>)> Sink for F {
    fn take(&mut self, event: Event<'_>) {
        self(event);
    }
}

/// All partitions.
pub struct Backtest {
    champion: Champion,
    lanes: Vec<Lane>,
    max_bad_ratio: f64,
    judge: Judge,
    flights: BTreeMap<Arc<str>, Flight>,
    /// Whether some partitions have ended and others have not.
    ending: bool,
    /// Records of outcomes so far: the offset of the next.
    settled_total: i64,
    counts: Counts,
    cycle: Cycle,
    settled: Vec<Settled>,
    judged: Vec<Judged>,
}

impl Backtest {
    /// Partitions that have seen nothing.
    pub fn new(settings: Settings, champion: Champion) -> Self {
        let lane = |partition| Lane {
            forecaster: Forecaster::new(settings.rules.clone(), &champion),
            settler: Settler::new(partition, settings.fee_bps, settings.max_pending),
            bad: BadRatio::default(),
            records: 0,
            predictions: 0,
        };
        Self {
            lanes: (0..settings.judge.partitions.max(1)).map(lane).collect(),
            champion,
            max_bad_ratio: settings.max_bad_ratio,
            judge: Judge::new(settings.judge),
            flights: BTreeMap::new(),
            ending: false,
            settled_total: 0,
            counts: Counts::default(),
            cycle: Cycle::default(),
            settled: Vec::new(),
            judged: Vec::new(),
        }
    }

    /// What was counted so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The report of the model at every horizon as it stands.
    pub fn reports(&self) -> Vec<Report> {
        self.judge.reports()
    }

    /// Applies the next record of `partition`, or the reason why the stream would not use it, and everything that follows
    /// from it. Records of all partitions are to come in order of time.
    ///
    /// # Errors
    /// Where a live partition would pause.
    pub fn apply(
        &mut self,
        partition: usize,
        record: Result<&Record<'_>, Reason>,
        sink: &mut impl Sink,
    ) -> Result<Verdict, Stopped> {
        let lane = &mut self.lanes[partition];
        let at = Position { offset: lane.records, kafka_time: ALWAYS };
        let verdict = match record {
            Ok(record) => lane.forecaster.apply(at, record),
            Err(reason) => Verdict::Dead(reason),
        };
        let mut bad = false;
        match verdict {
            Verdict::Used => self.counts.used += 1,
            Verdict::Duplicate => self.counts.duplicates += 1,
            Verdict::Dead(reason) => {
                bad = !reason.is_decodable();
                if bad && lane.bad.is_spent(self.max_bad_ratio) {
                    return Err(Stopped::Bad { partition, reason: reason.as_str() });
                }
                *self.counts.dead.entry(reason.as_str()).or_default() += 1;
            }
            Verdict::Full => return Err(Stopped::Symbols { partition, symbols: lane.forecaster.symbols() }),
        }
        lane.bad.observe(bad);
        lane.records += 1;
        self.close_due(partition, sink)?;
        Ok(verdict)
    }

    /// Ends every partition with a watermark at `end`, as `replay` does: nothing earlier comes.
    ///
    /// # Errors
    /// Where a live partition would pause.
    pub fn finish(&mut self, end: Micros, sink: &mut impl Sink) -> Result<(), Stopped> {
        self.ending = true;
        for partition in 0..self.lanes.len() {
            let lane = &mut self.lanes[partition];
            lane.forecaster.apply(Position { offset: lane.records, kafka_time: ALWAYS }, &Record::Watermark(end));
            lane.records += 1;
            self.close_due(partition, sink)?;
        }
        self.ending = false;
        self.judge_due(sink);
        Ok(())
    }

    /// Runs the cycles that are due in `partition`, and closes the cohorts that are due then.
    fn close_due(&mut self, partition: usize, sink: &mut impl Sink) -> Result<(), Stopped> {
        while let Some(end) = self.lanes[partition].forecaster.next_cycle() {
            self.lanes[partition].forecaster.close(end, &mut self.champion, &mut self.cycle);
            self.counts.bars += self.cycle.bars.len() as u64;
            self.counts.problems += u64::from(!self.cycle.problems.is_empty());
            let cycle = std::mem::take(&mut self.cycle);
            let told = cycle.predictions.iter().try_for_each(|prediction| self.predicted(partition, prediction, sink));
            self.cycle = cycle;
            told?;
            self.judge_due(sink);
        }
        Ok(())
    }

    fn predicted(&mut self, partition: usize, prediction: &Prediction, sink: &mut impl Sink) -> Result<(), Stopped> {
        self.counts.predictions += 1;
        self.counts.scored += u64::from(prediction.probabilities.is_some());
        sink.take(Event::Prediction(prediction));
        let lane = &mut self.lanes[partition];
        let offset = lane.predictions;
        lane.predictions += 1;
        let said = Said::from(prediction);
        if said.problem().is_some() {
            self.counts.skipped += 1;
            return Ok(());
        }
        match lane.settler.apply(offset, &said, &mut self.settled) {
            settler::Verdict::Used => {}
            settler::Verdict::Full => return Err(Stopped::Pending { partition, pending: lane.settler.pending() }),
            settler::Verdict::Duplicate | settler::Verdict::OutOfOrder | settler::Verdict::BadSymbol => {
                self.counts.skipped += 1;
            }
        }
        let mut settled = std::mem::take(&mut self.settled);
        let heard = settled.drain(..).try_for_each(|settled| self.settled(&settled, sink));
        self.settled = settled;
        heard
    }

    fn settled(&mut self, settled: &Settled, sink: &mut impl Sink) -> Result<(), Stopped> {
        let offset = self.settled_total;
        self.settled_total += 1;
        match settled {
            Settled::Outcome(outcome) => {
                self.counts.outcomes += 1;
                sink.take(Event::Outcome(outcome));
                match self.judge.apply(offset, &Evidence::from(outcome)) {
                    judge::Verdict::Used | judge::Verdict::BadSymbol => {}
                    judge::Verdict::Late => self.counts.late += 1,
                    judge::Verdict::Full => return Err(Stopped::Open { rows: self.judge.open_rows() }),
                }
            }
            Settled::Progress(passage) => self.judge.progress(passage),
            Settled::Left(passage) => self.judge.left(passage),
        }
        Ok(())
    }

    /// Closes the cohorts that are due.
    fn judge_due(&mut self, sink: &mut impl Sink) {
        loop {
            while self.judge.close(&mut self.judged) {
                let mut judged = std::mem::take(&mut self.judged);
                judged.drain(..).for_each(|judged| self.said(judged, sink));
                self.judged = judged;
            }
            let questions = self.judge.questions();
            if questions.is_empty() || self.ending {
                return;
            }
            questions.iter().for_each(|question| self.judge.answer(question));
        }
    }

    fn said(&mut self, judged: Judged, sink: &mut impl Sink) {
        match judged {
            Judged::Report(report) => {
                self.counts.reports += 1;
                sink.take(Event::Report(&report));
            }
            Judged::Alarm { subject, alarm, at, evidence } => {
                let flight = self.flights.entry(Arc::clone(&subject.model)).or_default();
                match self.judge.request(&subject, alarm, at, *evidence, flight) {
                    Ok(request) => {
                        flight.requested(&request.id);
                        self.counts.requests += 1;
                        sink.take(Event::Request(&request));
                    }
                    Err(held) => {
                        self.counts.held += 1;
                        sink.take(Event::Held(&subject, at, held));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
