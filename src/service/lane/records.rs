//! What the lane does with a record, with the end of a partition, and with the lack of records.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::message::{BorrowedMessage, Message};

use super::partition::Phase;
use super::stage::{Applied, Stage};
use super::{Lane, LaneError};
use crate::io::kafka::KafkaError;
use crate::io::kafka::consumer::offsets;
use crate::telemetry::metrics::PartitionLabel;

/// How often the stage looks at the world while the queue is empty.
const SURVEY: Duration = Duration::from_millis(100);

impl<S: Stage> Lane<S> {
    pub(super) fn record(&mut self, message: &BorrowedMessage<'_>) -> Result<(), LaneError> {
        let (number, offset) = (message.partition(), message.offset());
        let Some(partition) = self.partitions.get_mut(&number) else { return Ok(()) };
        match partition.phase {
            Phase::Paused(_) => return Ok(()),
            Phase::Rebuilding(until) if offset < until => {
                self.stage.reapply(&mut partition.state, message);
                partition.reread = offset + 1;
                return Ok(());
            }
            Phase::Rebuilding(_) => self.rebuilt(number)?,
            Phase::Live => {}
        }
        let Some(partition) = self.partitions.get_mut(&number) else { return Ok(()) };
        // The work that was due may have ended in an abort: then this state has seen what was never committed.
        if partition.phase != Phase::Live || offset < partition.next {
            return Ok(());
        }
        match self.stage.apply(&mut partition.state, message, &mut self.outlet) {
            Ok(Applied::Done) => {
                partition.next = offset + 1;
                partition.dirty = true;
                (partition.at_end, partition.came) = (false, true);
                self.steps(number)?;
            }
            Ok(Applied::Pause(why)) => return self.pause(number, why),
            Err(error) => {
                partition.dirty = true;
                return self.tolerate(Err(error));
            }
        }
        if self.is_in_trouble() {
            // One record at a time, to find the one that cannot be committed.
            self.commit()?;
        }
        Ok(())
    }

    fn pause(&mut self, number: i32, why: String) -> Result<(), LaneError> {
        let input = self.stage.input();
        tracing::error!(topic = input, partition = number, why, "partition paused");
        let list = offsets(input, [(number, 0)])?;
        self.consumer.pause(&list).map_err(KafkaError::call(format!("pausing {input}/{number}")))?;
        let label = PartitionLabel { role: self.stage.role(), partition: number };
        self.parts.metrics.paused.get_or_create(&label).set(1);
        if let Some(partition) = self.partitions.get_mut(&number) {
            partition.phase = Phase::Paused(why);
        }
        self.update_readiness();
        Ok(())
    }

    /// What was read before the committed offset is back: what was due there runs before the next record.
    pub(super) fn rebuilt(&mut self, number: i32) -> Result<(), LaneError> {
        // An abort in another partition's work has parked this one as well.
        let Some(partition) = self.partitions.get_mut(&number).filter(|p| matches!(p.phase, Phase::Rebuilding(_)))
        else {
            return Ok(());
        };
        partition.phase = Phase::Live;
        partition.last_record = Instant::now();
        self.stage.rebuilt(&mut partition.state);
        self.update_readiness();
        self.steps(number)
    }

    /// The end counts as caught up.
    pub(super) fn end_of_partition(&mut self, number: i32) -> Result<(), LaneError> {
        let Some(partition) = self.partitions.get_mut(&number) else { return Ok(()) };
        partition.at_end = true;
        // Every readable record was passed, also those before the committed offset.
        if matches!(partition.phase, Phase::Rebuilding(_)) { self.rebuilt(number) } else { Ok(()) }
    }

    /// Nothing is queued: the stage learns how long, and may find that something is due.
    pub(super) fn idle(&mut self) -> Result<(), LaneError> {
        let mut due = Vec::new();
        for (&number, partition) in &mut self.partitions {
            // Noted also where nothing follows: the offset moves over markers only in a partition at rest.
            let (elapsed, fresh) = partition.idle_for();
            if fresh {
                self.stage.rest(&mut partition.state);
            }
            let at_rest = partition.at_end && partition.phase == Phase::Live;
            if at_rest && self.stage.idle(&mut partition.state, elapsed) {
                partition.dirty = true;
                due.push(number);
            }
        }
        due.into_iter().try_for_each(|number| self.steps(number))?;
        if self.last_survey.elapsed() >= SURVEY { self.survey() } else { Ok(()) }
    }

    /// Lets the stage look at the world.
    pub(super) fn survey(&mut self) -> Result<(), LaneError> {
        self.last_survey = Instant::now();
        let mut due = Vec::new();
        for (&number, partition) in self.partitions.iter_mut().filter(|(_, p)| p.phase == Phase::Live) {
            if self.stage.survey(number, &mut partition.state, partition.next)? {
                due.push(number);
            }
        }
        due.into_iter().try_for_each(|number| self.steps(number))
    }

    /// Does what is due in a partition, committing on the way when a burst fills the transaction.
    pub(super) fn steps(&mut self, number: i32) -> Result<(), LaneError> {
        loop {
            // An abort on the way has parked it.
            let Some(partition) = self.partitions.get_mut(&number).filter(|p| p.phase == Phase::Live) else {
                return Ok(());
            };
            match self.stage.step(number, &mut partition.state, &mut self.outlet) {
                Ok(false) => return Ok(()),
                Ok(true) => {
                    partition.dirty = true;
                    self.commit_if_full()?;
                }
                Err(error) => {
                    partition.dirty = true;
                    return self.tolerate(Err(error));
                }
            }
        }
    }
}
