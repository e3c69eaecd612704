//! What the page shows of the whole run, gathered while it goes, in bounded room.

use std::collections::BTreeMap;

use super::series::{Equity, Thinned};
use crate::flow::accuracy::Report;
use crate::flow::outcome::{Outcome, Realised, Unscorable, probability_up};
use crate::flow::prediction::Decision;
use crate::flow::retrain::Request;
use crate::flow::time::{Interval, Micros};

/// Bins of the reliability diagram, of equal width.
pub const BINS: usize = 20;
/// Requests that the page lists.
const MOST_REQUESTS: usize = 100;

/// Decisions, in the order of [`Horizon::confusion`].
pub const DECISIONS: [Decision; 4] = [Decision::Down, Decision::Flat, Decision::Up, Decision::Abstain];

/// Rows of one bin.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bin {
    /// Rows that moved.
    pub count: u64,
    /// Of these, those that went up.
    pub ups: u64,
    /// Sum of their probabilities of up.
    pub sum: f64,
}

/// A report as a point.
#[derive(Clone, Copy, Debug)]
pub struct Rolling {
    /// Target time of the newest cohort.
    pub at: Micros,
    /// Hit rate and its interval.
    pub hit: (f64, f64, f64),
    /// Hit rates of majority, persistence and reversal.
    pub baselines: [Option<f64>; 3],
}

/// One horizon.
pub struct Horizon {
    /// Outcomes that could be settled, whether they moved or not.
    pub settled: u64,
    /// Outcomes that could not, by reason.
    pub unscorable: [u64; 3],
    /// Rows that moved.
    pub moved: u64,
    /// Right directions among them.
    pub hits: u64,
    /// Sum of log-losses.
    pub log_loss: f64,
    /// Sum of Brier scores.
    pub brier: f64,
    /// Decisions that could be traded.
    pub trades: u64,
    /// Profits.
    pub equity: Equity,
    /// Calibration.
    pub bins: [Bin; BINS],
    /// Decisions by what came: down, flat, up.
    pub confusion: [[u64; 3]; 4],
    /// Reports over all symbols.
    pub rolling: Thinned<Rolling>,
}

/// Everything.
pub struct Run {
    interval: Interval,
    /// By horizon.
    pub horizons: BTreeMap<u32, Horizon>,
    /// Requests, the first of them.
    pub requests: Vec<Request>,
}

impl Run {
    /// Nothing was seen.
    pub fn new(interval: Interval) -> Self {
        Self { interval, horizons: BTreeMap::new(), requests: Vec::new() }
    }

    fn horizon(&mut self, horizon: u32) -> &mut Horizon {
        let interval = self.interval;
        self.horizons.entry(horizon).or_insert_with(|| Horizon {
            settled: 0,
            unscorable: [0; 3],
            moved: 0,
            hits: 0,
            log_loss: 0.0,
            brier: 0.0,
            trades: 0,
            equity: Equity::new(interval),
            bins: [Bin::default(); BINS],
            confusion: [[0; 3]; 4],
            rolling: Thinned::default(),
        })
    }

    /// Takes an outcome.
    pub fn outcome(&mut self, outcome: &Outcome) {
        let horizon = self.horizon(outcome.horizon);
        let settled = match &outcome.settlement {
            Ok(settled) => settled,
            Err(why) => {
                let place = Unscorable::ALL.iter().position(|other| other == why).unwrap_or_default();
                horizon.unscorable[place] += 1;
                return;
            }
        };
        horizon.settled += 1;
        let said = DECISIONS.iter().position(|decision| *decision == outcome.decision).unwrap_or_default();
        let came = Realised::ALL.iter().position(|class| *class == settled.realised).unwrap_or_default();
        horizon.confusion[said][came] += 1;
        if let (Some(hit), Some(log_loss), Some(brier)) = (settled.hit, settled.log_loss, settled.brier) {
            horizon.moved += 1;
            horizon.hits += u64::from(hit);
            horizon.log_loss += log_loss;
            horizon.brier += brier;
            let q = probability_up(outcome.probabilities);
            // Not negative, and a cast saturates.
            let bin = &mut horizon.bins[((q * BINS as f64) as usize).min(BINS - 1)];
            bin.count += 1;
            bin.ups += u64::from(settled.realised == Realised::Up);
            bin.sum += q;
        }
        if let Some(pnl) = settled.pnl_bps {
            horizon.trades += 1;
            horizon.equity.add(outcome.target_time, pnl, outcome.fee_bps);
        }
    }

    /// Takes a report.
    pub fn report(&mut self, report: &Report) {
        let figures = &report.figures;
        if let (None, Some(hit), Some(low), Some(high)) =
            (&report.symbol, figures.hit_rate, figures.hit_low, figures.hit_high)
        {
            let baselines = [&figures.majority, &figures.persistence, &figures.reversal].map(|b| b.hit_rate);
            let point = Rolling { at: report.as_of, hit: (hit, low, high), baselines };
            self.horizon(report.subject.horizon).rolling.push(point);
        }
    }

    /// Takes a request.
    pub fn request(&mut self, request: &Request) {
        if self.requests.len() < MOST_REQUESTS {
            self.requests.push(request.clone());
        }
    }
}
