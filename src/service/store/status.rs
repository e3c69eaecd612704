//! What the store role has done and whether it can go on, for health, metrics and the live summary.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Counters and health, written by the role and read by anybody.
#[derive(Debug, Default)]
pub struct Status {
    pub(super) bars: AtomicU64,
    pub(super) predictions: AtomicU64,
    pub(super) dead_letters: AtomicU64,
    pub(super) bad_records: AtomicU64,
    pub(super) transactions: AtomicU64,
    pub(super) conflicts: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) assigned: AtomicBool,
    problem: Mutex<Option<String>>,
}

/// The counters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Bars stored.
    pub bars: u64,
    /// Predictions stored.
    pub predictions: u64,
    /// Dead letters counted.
    pub dead_letters: u64,
    /// Records of our own topics that could not be read, and were skipped.
    pub bad_records: u64,
    /// Transactions committed.
    pub transactions: u64,
    /// Batches dropped because the offsets in PostgreSQL were not where they began.
    pub conflicts: u64,
    /// Attempts that PostgreSQL refused or did not answer.
    pub retries: u64,
    /// Whether the offsets of an assignment are loaded and consumption goes on.
    pub assigned: bool,
    /// What keeps the role from storing; none when it is well.
    pub problem: Option<String>,
}

impl Status {
    /// The counters now.
    pub fn snapshot(&self) -> Snapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Snapshot {
            bars: read(&self.bars),
            predictions: read(&self.predictions),
            dead_letters: read(&self.dead_letters),
            bad_records: read(&self.bad_records),
            transactions: read(&self.transactions),
            conflicts: read(&self.conflicts),
            retries: read(&self.retries),
            assigned: self.assigned.load(Ordering::Relaxed),
            problem: self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    pub(super) fn count(&self, counter: fn(&Self) -> &AtomicU64, more: u64) {
        counter(self).fetch_add(more, Ordering::Relaxed);
    }

    /// Says what keeps the role from storing, or that nothing does.
    pub(super) fn set_problem(&self, problem: Option<String>) {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }
}
