//! One assigned partition.

use std::time::{Duration, Instant};

use super::trouble::Trouble;
use super::watch::Watch;

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

pub(super) struct Partition<T> {
    pub state: T,
    pub phase: Phase,
    /// Offset of the next record to apply.
    pub next: i64,
    /// The offset committed last, and whether anything changed since.
    pub committed: i64,
    pub dirty: bool,
    /// Whether the end of the partition was reached and nothing came since.
    pub at_end: bool,
    /// Whether a record came since the clock was read last.
    pub came: bool,
    /// When the last record came (monotonic).
    pub last_record: Instant,
    /// Offset after the last record that was read again while rebuilding.
    pub reread: i64,
    /// Since when it makes no progress.
    pub watch: Watch,
    /// What failed of it.
    pub trouble: Trouble,
}

impl<T> Partition<T> {
    pub fn new(state: T, phase: Phase, next: i64) -> Self {
        let now = Instant::now();
        Self {
            state,
            phase,
            next,
            committed: next,
            dirty: false,
            at_end: false,
            came: false,
            last_record: now,
            reread: 0,
            watch: Watch::new(now),
            trouble: Trouble::default(),
        }
    }

    /// What outlives a restore.
    pub const fn past(&self) -> (Watch, Trouble) {
        (self.watch, self.trouble)
    }

    /// Takes what the state before the restore knew.
    pub const fn remember(&mut self, past: (Watch, Trouble)) {
        (self.watch, self.trouble) = past;
    }

    /// How long ago the last record came, and whether this is the first look since; call it whenever the queue was found empty.
    pub fn idle_for(&mut self) -> (Duration, bool) {
        let fresh = std::mem::take(&mut self.came);
        if fresh {
            self.last_record = Instant::now();
        }
        (self.last_record.elapsed(), fresh)
    }
}
