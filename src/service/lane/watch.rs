//! The lane's own look at itself, once a second: signs of life, lag, a watchdog per partition.

use std::time::Instant;

use rdkafka::consumer::Consumer as _;

use super::Lane;
use super::partition::Phase;
use super::stage::Stage;
use crate::telemetry::metrics::PartitionLabel;

impl<S: Stage> Lane<S> {
    pub(super) fn look(&mut self) {
        self.parts.health.beat();
        let patience = self.parts.config.forecast.watchdog_timeout.get();
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
            if partition.seen.0 != partition.progress() || lag == 0 {
                partition.seen = (partition.progress(), Instant::now());
            }
            let waiting = partition.seen.1.elapsed();
            if waiting > patience && !matches!(partition.phase, Phase::Paused(_)) {
                stuck = Some(format!(
                    "{}/{number}: {lag} records to read and no progress for {waiting:?}",
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
