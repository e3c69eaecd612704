//! All metrics of one set of rows: rows go in, sets are added up, figures come out.

use super::baselines::Baseline;
use super::brier::Brier;
use super::calibration::Calibration;
use super::classes::Classes;
use super::coverage::Coverage;
use super::effective::Effective;
use super::figures::Figures;
use super::hit_rate::HitRate;
use super::log_loss::LogLoss;
use super::numbers::Numbers;
use super::pnl::Pnl;
use super::row::Row;
use super::wilson;

/// The sums of every metric. Small, for there is one per symbol and block: 280 bytes and 24 for each cell of the calibration
/// grid that has rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    hit_rate: HitRate,
    effective: Effective,
    log_loss: LogLoss,
    brier: Brier,
    coverage: Coverage,
    classes: Classes,
    pnl: Pnl,
    baselines: [Baseline; 3],
    calibration: Calibration,
}

impl Statistics {
    /// Adds a row to every metric but the effective number, which is about cohorts: [`Self::add_cluster`].
    pub fn add(&mut self, row: &Row) {
        self.coverage.add(row);
        self.classes.add(row);
        self.pnl.add(row);
        let Some(up) = row.moved else { return };
        self.hit_rate.add(row.hit);
        self.log_loss.add(row.probability_up, up);
        self.brier.add(row.probability_up, up);
        self.calibration.add(row.probability_up, up);
        for (baseline, forecast) in self.baselines.iter_mut().zip(&row.baselines) {
            baseline.add(forecast, up);
        }
    }

    /// Adds a cohort that overlaps no other: `moved` of its rows moved, `hits` of these were hits.
    pub fn add_cluster(&mut self, moved: u32, hits: u32) {
        self.effective.add(moved, hits);
    }

    /// Adds the rows and cohorts of `other`; none is in both.
    pub fn merge(&mut self, other: &Self) {
        self.hit_rate.merge(&other.hit_rate);
        self.effective.merge(&other.effective);
        self.log_loss.merge(&other.log_loss);
        self.brier.merge(&other.brier);
        self.coverage.merge(&other.coverage);
        self.classes.merge(&other.classes);
        self.pnl.merge(&other.pnl);
        for (own, other) in self.baselines.iter_mut().zip(&other.baselines) {
            own.merge(other);
        }
        self.calibration.merge(&other.calibration);
    }

    /// What the rows say.
    pub fn figures(&self) -> Figures {
        let (n, rows) = (self.hit_rate.n(), self.coverage.rows());
        let n_effective = self.effective.value();
        let hit_rate = self.hit_rate.value();
        let interval = hit_rate.map(|rate| wilson::interval(rate, n_effective));
        let [majority, persistence, reversal] = self.baselines.map(|baseline| baseline.figures(n));
        Figures {
            scored: rows,
            n,
            n_effective,
            hit_rate,
            hit_low: interval.map(|(low, _)| low),
            hit_high: interval.map(|(_, high)| high),
            log_loss: self.log_loss.value(n),
            brier: self.brier.value(n),
            calibration_error: self.calibration.value(),
            coverage: self.coverage.value(),
            decided_n: self.coverage.decided().n(),
            decided_hit_rate: self.coverage.decided().value(),
            class_accuracy: self.classes.accuracy(rows),
            class_log_loss: self.classes.log_loss(rows),
            trades: self.pnl.trades(),
            pnl_bps: self.pnl.sum(),
            pnl_mean_bps: self.pnl.mean(),
            break_even: self.pnl.break_even(),
            majority,
            persistence,
            reversal,
        }
    }

    /// Forgets everything and keeps the room.
    pub(super) fn clear(&mut self) {
        let mut calibration = std::mem::take(&mut self.calibration);
        calibration.clear();
        *self = Self { calibration, ..Self::default() };
    }

    /// All sums as numbers, without loss: 32, and one to three for each cell of the calibration grid that has rows.
    pub fn numbers(&self) -> Vec<f64> {
        let mut out = Vec::with_capacity(64);
        self.hit_rate.write(&mut out);
        self.effective.write(&mut out);
        self.log_loss.write(&mut out);
        self.brier.write(&mut out);
        self.coverage.write(&mut out);
        self.classes.write(&mut out);
        self.pnl.write(&mut out);
        self.baselines.iter().for_each(|baseline| baseline.write(&mut out));
        // Reads to the end, so it comes last.
        self.calibration.write(&mut out);
        out
    }

    /// The statistics that [`Self::numbers`] wrote; none where it cannot have written these.
    pub fn from_numbers(numbers: &[f64]) -> Option<Self> {
        let from = &mut Numbers::new(numbers);
        // Fields are read in the order in which they stand here, which is that of `numbers`.
        Some(Self {
            hit_rate: HitRate::read(from)?,
            effective: Effective::read(from)?,
            log_loss: LogLoss::read(from)?,
            brier: Brier::read(from)?,
            coverage: Coverage::read(from)?,
            classes: Classes::read(from)?,
            pnl: Pnl::read(from)?,
            baselines: [Baseline::read(from)?, Baseline::read(from)?, Baseline::read(from)?],
            calibration: Calibration::read(from)?,
        })
    }
}
