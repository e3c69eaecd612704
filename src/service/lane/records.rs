//! What the lane does with a record, with the end of a partition, and with the lack of records.

use std::time::Instant;

use rdkafka::consumer::Consumer as _;
use rdkafka::message::{BorrowedMessage, Message};

use super::partition::Phase;
use super::{Lane, LaneError};
use crate::flow::dead_letter::Reason;
use crate::flow::time::Micros;
use crate::io::kafka::KafkaError;
use crate::io::kafka::consumer::offsets;
use crate::machine::forecaster::{Position, Verdict};
use crate::telemetry::metrics::{PartitionLabel, ReasonLabel};
use crate::wire;

impl Lane {
    pub(super) fn record(&mut self, message: &BorrowedMessage<'_>) -> Result<(), LaneError> {
        let number = message.partition();
        let at = Position {
            offset: message.offset(),
            kafka_time: message.timestamp().to_millis().unwrap_or(0).saturating_mul(1_000),
        };
        let Some(partition) = self.partitions.get_mut(&number) else { return Ok(()) };
        let decoded = wire::tick::decode(message.payload(), self.parts.config.forecast.max_record_bytes);
        match partition.phase {
            Phase::Paused(_) => return Ok(()),
            Phase::Rebuilding(until) if at.offset < until => {
                if let Ok(record) = decoded {
                    partition.forecaster.reapply(at, &record);
                }
                partition.reread = at.offset + 1;
                return Ok(());
            }
            Phase::Rebuilding(_) => self.rebuilt(number)?,
            Phase::Live => {}
        }
        let Some(partition) = self.partitions.get_mut(&number) else { return Ok(()) };
        // The cycles that were due may have ended in an abort: then this state has seen what was never committed.
        if partition.phase != Phase::Live || at.offset < partition.next {
            return Ok(());
        }
        let verdict = match &decoded {
            Ok(record) => partition.forecaster.apply(at, record),
            Err(reason) => Verdict::Dead(*reason),
        };
        let bad = matches!(verdict, Verdict::Dead(reason) if !reason.is_decodable());
        if bad && partition.bad.is_spent(self.parts.config.forecast.max_bad_ratio) {
            let why = format!(
                "more than {} of the last {} records cannot be decoded, the next at offset {}: does the topic hold something \
                 else than ticks? (forecast.max_bad_ratio)",
                self.parts.config.forecast.max_bad_ratio,
                crate::flow::bad_ratio::BLOCK,
                at.offset
            );
            return self.pause(number, why);
        }
        if verdict == Verdict::Full {
            let why = format!(
                "{} symbols are known at offset {}: raise forecast.max_symbols or add partitions",
                partition.forecaster.symbols(),
                at.offset
            );
            return self.pause(number, why);
        }
        partition.bad.observe(bad);
        partition.next = at.offset + 1;
        partition.dirty = true;
        (partition.at_end, partition.came) = (false, true);
        match verdict {
            Verdict::Used => self.counts.used += 1,
            Verdict::Duplicate => self.counts.duplicate += 1,
            Verdict::Dead(reason) => self.dead(message, reason)?,
            Verdict::Full => {}
        }
        self.cycles(number)?;
        if self.aborts >= super::MAX_ABORTS {
            // One record at a time, to find the one that cannot be committed.
            self.commit()?;
        }
        Ok(())
    }

    fn dead(&mut self, message: &BorrowedMessage<'_>, reason: Reason) -> Result<(), LaneError> {
        self.counts.dead += 1;
        self.parts.metrics.dead_letters.get_or_create(&ReasonLabel { reason: reason.as_str() }).inc();
        self.emit_dead_letter(message, reason)
    }

    fn pause(&mut self, number: i32, why: String) -> Result<(), LaneError> {
        tracing::error!(partition = number, why, "partition paused");
        let list = offsets(&self.topics.ticks, [(number, 0)])?;
        self.consumer.pause(&list).map_err(KafkaError::call(format!("pausing {}/{number}", self.topics.ticks)))?;
        self.parts.metrics.paused.get_or_create(&PartitionLabel { partition: number }).set(1);
        if let Some(partition) = self.partitions.get_mut(&number) {
            partition.phase = Phase::Paused(why);
        }
        self.update_readiness();
        Ok(())
    }

    /// The open bars are back: what was due at the committed offset runs before the next record.
    pub(super) fn rebuilt(&mut self, number: i32) -> Result<(), LaneError> {
        // An abort in another partition's cycles has parked this one as well.
        let Some(partition) = self.partitions.get_mut(&number).filter(|p| matches!(p.phase, Phase::Rebuilding(_)))
        else {
            return Ok(());
        };
        partition.phase = Phase::Live;
        partition.last_record = Instant::now();
        self.update_readiness();
        self.cycles(number)
    }

    /// The end counts as caught up.
    pub(super) fn end_of_partition(&mut self, number: i32) -> Result<(), LaneError> {
        let Some(partition) = self.partitions.get_mut(&number) else { return Ok(()) };
        partition.at_end = true;
        // Every readable record was passed, also those before the committed offset.
        if matches!(partition.phase, Phase::Rebuilding(_)) { self.rebuilt(number) } else { Ok(()) }
    }

    /// Lets event time go on where a partition has been at its end for `bars.idle_timeout`.
    pub(super) fn idle(&mut self) -> Result<(), LaneError> {
        let timeout = self.parts.config.bars.idle_timeout.get();
        let interval = self.parts.rules.interval.micros();
        let mut due = Vec::new();
        for (&number, partition) in &mut self.partitions {
            // Noted also where event time is not to go on: the offset moves over markers only in a partition at rest.
            let elapsed = partition.idle_for();
            let Some(timeout) = timeout else { continue };
            if !partition.at_end
                || partition.phase != Phase::Live
                || elapsed < timeout.get()
                || partition.forecaster.symbols() == 0
            {
                continue;
            }
            let (Some(base), Some(closed)) = (partition.idle_base, partition.forecaster.closed()) else { continue };
            let elapsed = Micros::try_from(elapsed.as_micros()).unwrap_or(0);
            // Only an advance that closes a bar is an event; smaller ones would be lost with the process anyway.
            if base + elapsed >= closed + interval {
                partition.forecaster.idle(base, elapsed);
                partition.dirty = true;
                due.push(number);
            }
        }
        due.into_iter().try_for_each(|number| self.cycles(number))
    }

    /// Runs the cycles that are due in a partition, committing between them when a burst fills the transaction.
    pub(super) fn cycles(&mut self, number: i32) -> Result<(), LaneError> {
        loop {
            let Some(partition) = self.partitions.get_mut(&number) else { return Ok(()) };
            // An abort on the way has parked it.
            if partition.phase != Phase::Live {
                return Ok(());
            }
            let Some(end) = partition.forecaster.next_cycle() else { return Ok(()) };
            let began = Instant::now();
            partition.forecaster.close(end, &mut self.parts.champion, &mut self.cycle);
            partition.dirty = true;
            self.parts.metrics.cycle_seconds.observe(began.elapsed().as_secs_f64());
            for problem in &self.cycle.problems {
                self.parts.metrics.scoring_failures.inc();
                tracing::error!(partition = number, cycle = end, problem, "rows abstain");
            }
            self.emit_cycle(number)?;
            self.commit_if_full()?;
        }
    }
}
