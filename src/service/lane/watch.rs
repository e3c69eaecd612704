//! The lane's own look at itself, once a second: signs of life, lag, a watchdog per partition.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;

use super::Lane;
use super::partition::Phase;
use super::stage::Stage;
use crate::telemetry::metrics::PartitionLabel;

/// Since when a partition makes no progress. Only what is committed is progress, and what is read again further than before:
/// transactions that fail over and over restore the same state each time, so this outlives restores.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    since: Instant,
    /// Offset after the furthest record that was read again since the last commit.
    reread: i64,
}

impl Watch {
    /// Begins to watch.
    pub const fn new(now: Instant) -> Self {
        Self { since: now, reread: 0 }
    }

    /// Its offset was committed.
    pub const fn committed(&mut self, now: Instant) {
        *self = Self::new(now);
    }

    /// Looks at `waiting` records that are not committed, and at the offset after the last one that was read again. Gives how
    /// long it has made no progress.
    pub fn look(&mut self, waiting: i64, reread: i64, now: Instant) -> Duration {
        if waiting <= 0 || reread > self.reread {
            self.since = now;
        }
        self.reread = self.reread.max(reread);
        now.saturating_duration_since(self.since)
    }
}

impl<S: Stage> Lane<S> {
    pub(super) fn look(&mut self) {
        self.parts.health.beat();
        let now = Instant::now();
        let forecast = &self.parts.config.forecast;
        // Under backlog nothing is committed before the interval is over.
        let patience = forecast.watchdog_timeout.get().max(forecast.commit_interval.get() * 2);
        let mut stuck = None;
        for (&number, partition) in &mut self.partitions {
            let Some(ends) = self.consumer.context().ends(number) else { continue };
            // Markers of transactions at the end are no records; the offset moves over them once the reader has. Records that
            // were fetched may still wait behind those of other partitions: only an empty queue says that there are none.
            let over = partition.phase == Phase::Live && partition.at_end && !partition.came;
            if over && ends.drained && ends.fetched > partition.next {
                partition.next = ends.fetched;
                partition.dirty = true;
            }
            let label = PartitionLabel { role: self.stage.role(), partition: number };
            let lag = (ends.stable - partition.next).max(0);
            self.parts.metrics.lag.get_or_create(&label).set(lag);
            self.parts.metrics.unstable.get_or_create(&label).set((ends.high - ends.stable).max(0));
            let waiting = ends.stable - partition.committed;
            let idle = partition.watch.look(waiting, partition.reread, now);
            // A lane that restores after a failure is no partition that was paused on purpose.
            let paused = matches!(partition.phase, Phase::Paused(_)) && self.retry_at.is_none();
            if idle > patience && !paused {
                stuck = Some(format!(
                    "{}/{number}: {waiting} records to read and no progress for {idle:?}",
                    self.stage.input()
                ));
            }
        }
        self.parts.health.broken(stuck);
        // What a stage complains about comes and goes without a change of phase.
        if self.retry_at.is_none() && !self.partitions.is_empty() {
            self.update_readiness();
        }
    }

    /// Ready means: every assigned partition is live, and nothing is to be complained about.
    pub(super) fn update_readiness(&self) {
        let waits = self.partitions.iter().find_map(|(number, partition)| match &partition.phase {
            Phase::Live => self.stage.complaint(&partition.state).map(|why| format!("partition {number}: {why}")),
            Phase::Rebuilding(until) => {
                Some(format!("partition {number}: reading {} again up to offset {until}", self.stage.input()))
            }
            Phase::Paused(why) => Some(format!("partition {number} is paused: {why}")),
        });
        match waits {
            Some(why) => self.parts.health.waits_for(why),
            None => self.parts.health.ready(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Looks once a second at what `partition` (records that wait, offset read again, whether it was committed just now)
    /// shows; gives for how many seconds it has made no progress at the end.
    fn watched(seconds: u32, mut partition: impl FnMut(u32) -> (i64, i64, bool)) -> u64 {
        let begin = Instant::now();
        let (mut watch, mut idle) = (Watch::new(begin), Duration::ZERO);
        for second in 1..=seconds {
            let now = begin + SECOND * second;
            let (waiting, reread, committed) = partition(second);
            if committed {
                watch.committed(now);
            }
            idle = watch.look(waiting, reread, now);
        }
        idle.as_secs()
    }

    #[test]
    fn records_that_wait_for_nothing_are_noticed() {
        assert_eq!(watched(90, |_| (5, 0, false)), 90);
        assert_eq!(watched(90, |second| (5, 0, second == 30)), 60);
    }

    #[test]
    fn who_has_nothing_to_read_or_gets_on_is_left_alone() {
        assert_eq!(watched(90, |_| (0, 0, false)), 0);
        assert_eq!(watched(90, |second| (i64::from(second), 0, true)), 0, "a backlog that grows although it gets on");
        assert_eq!(watched(90, |second| (5, i64::from(second), false)), 0, "reading again what is needed");
        assert_eq!(
            watched(90, |second| (if second < 80 { 0 } else { 5 }, 0, false)),
            11,
            "the clock starts with the records"
        );
    }

    #[test]
    fn reading_the_same_again_and_again_is_no_progress() {
        assert_eq!(watched(90, |second| (5, i64::from(second % 20), false)), 90 - 19);
        // After a commit the way there may be read again.
        assert_eq!(watched(90, |second| (5, i64::from(second % 20), second % 20 == 0)), 0);
    }
}
