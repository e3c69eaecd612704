//! One assigned partition.

use std::time::{Duration, Instant};

use crate::flow::bad_ratio::BadRatio;
use crate::flow::time::Micros;
use crate::machine::forecaster::Forecaster;

/// What a partition is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Records before this offset are read again to rebuild the open bars; nothing is emitted.
    Rebuilding(i64),
    /// Records are applied.
    Live,
    /// Nothing is read any more, because of this.
    Paused(String),
}

pub(super) struct Partition {
    pub forecaster: Forecaster,
    pub phase: Phase,
    /// Offset of the next record to apply.
    pub next: i64,
    /// The offset committed last, and whether anything changed since.
    pub committed: i64,
    pub dirty: bool,
    pub bad: BadRatio,
    /// Whether the end of the partition was reached and nothing came since.
    pub at_end: bool,
    /// Whether a record came since the clock was read last.
    pub came: bool,
    /// When the last record came (monotonic), and the watermark then: the base of idle advances.
    pub last_record: Instant,
    pub idle_base: Option<Micros>,
    /// Offset after the last record that was read again while rebuilding.
    pub reread: i64,
    /// For the watchdog: the progress it saw last, and when that changed.
    pub seen: (i64, Instant),
}

impl Partition {
    pub fn new(forecaster: Forecaster, phase: Phase, next: i64, bad: BadRatio) -> Self {
        let now = Instant::now();
        let idle_base = forecaster.watermark();
        Self {
            forecaster,
            phase,
            next,
            committed: next,
            dirty: false,
            bad,
            at_end: false,
            came: false,
            last_record: now,
            idle_base,
            reread: 0,
            seen: (next, now),
        }
    }

    /// Where it stands: reading ticks again is progress, though the next record to apply stays the same.
    pub fn progress(&self) -> i64 {
        if matches!(self.phase, Phase::Rebuilding(_)) { self.reread } else { self.next }
    }

    /// How long ago the last record came; call it whenever the queue was found empty.
    pub fn idle_for(&mut self) -> Duration {
        if std::mem::take(&mut self.came) {
            self.last_record = Instant::now();
            self.idle_base = self.forecaster.watermark();
        }
        self.last_record.elapsed()
    }
}
