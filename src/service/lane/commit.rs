//! Committing, and what follows when that fails: abort, restore, and in the end giving up with the offset in hand.

use std::time::{Duration, Instant};

use rdkafka::{Offset, TopicPartitionList};

use super::outlet::Open;
use super::stage::Stage;
use super::{Lane, LaneError, OFFSETS_ALONE};
use crate::io::kafka::KafkaError;
use crate::io::kafka::producer::{TransactionError, Transactions};
use crate::telemetry::metrics::ResultLabel;

/// After the group moved on, how long to wait for its new assignment before trying with the old one.
const REJOIN: Duration = Duration::from_millis(500);

impl<S: Stage> Lane<S> {
    /// Commits when it is time: at once when nothing more is queued, under backlog at the interval.
    pub(super) fn commit_if_due(&mut self, drained: bool) -> Result<(), LaneError> {
        let interval = self.parts.config.forecast.commit_interval.get();
        let due = match &self.outlet.open {
            Some(open) => drained || open.since.elapsed() >= interval,
            // Offsets alone are worth a transaction now and then.
            None => self.last_commit.elapsed() >= OFFSETS_ALONE && self.partitions.values().any(|p| p.dirty),
        };
        if due { self.commit().map(|_| ()) } else { self.commit_if_full() }
    }

    /// Commits when the transaction has grown to its limit.
    pub(super) fn commit_if_full(&mut self) -> Result<(), LaneError> {
        let full = self
            .outlet
            .open
            .as_ref()
            .is_some_and(|open| open.bytes >= self.parts.config.forecast.max_transaction_bytes);
        if full { self.commit().map(|_| ()) } else { Ok(()) }
    }

    /// Commits what was sent, with offsets and checkpoints. `false` when it was aborted instead.
    pub(super) fn commit(&mut self) -> Result<bool, LaneError> {
        if self.outlet.open.is_none() && !self.partitions.values().any(|p| p.dirty) {
            return Ok(true);
        }
        if let Err(error) = self.begin_and_seal() {
            self.tolerate(Err(error))?;
            return Ok(false);
        }
        let Some(open) = self.outlet.open.take() else { return Ok(true) };
        let began = Instant::now();
        match self.try_commit(&open) {
            Ok(()) => {
                self.committed();
                self.parts.metrics.commit_seconds.observe(began.elapsed().as_secs_f64());
                Ok(true)
            }
            Err(error) => {
                self.outlet.open = Some(open);
                self.tolerate(Err(error))?;
                Ok(false)
            }
        }
    }

    fn begin_and_seal(&mut self) -> Result<(), LaneError> {
        self.outlet.begin()?;
        for (&number, partition) in self.partitions.iter_mut().filter(|(_, p)| p.dirty) {
            self.stage.seal(number, &mut partition.state, partition.next, &mut self.outlet)?;
        }
        Ok(())
    }

    fn try_commit(&mut self, open: &Open) -> Result<(), LaneError> {
        for written in self.outlet.producer.drain()? {
            if let Some(partition) = self.partitions.get_mut(&written.partition) {
                self.stage.placed(&mut partition.state, written.tag, written.offset);
            }
        }
        let offsets = self.checkpoints()?;
        self.outlet.producer.commit(&offsets, &open.group)?;
        Ok(())
    }

    /// The next offset of every partition that moved, with its checkpoint.
    fn checkpoints(&mut self) -> Result<TopicPartitionList, LaneError> {
        let mut list = TopicPartitionList::new();
        for (&number, partition) in self.partitions.iter_mut().filter(|(_, p)| p.dirty) {
            let checkpoint = self.stage.checkpoint(&mut partition.state, partition.next);
            let input = self.stage.input();
            let mut element = list.add_partition(input, number);
            element
                .set_offset(Offset::Offset(partition.next))
                .map_err(KafkaError::call(format!("offset {} of {input}/{number}", partition.next)))?;
            element.set_metadata(checkpoint.to_string());
        }
        Ok(list)
    }

    fn committed(&mut self) {
        let now = Instant::now();
        // Many may follow each other before the lane looks at itself: what one record closes is done at once.
        self.parts.health.beat();
        for (&number, partition) in self.partitions.iter_mut().filter(|(_, p)| p.dirty) {
            partition.committed = partition.next;
            partition.dirty = false;
            partition.watch.committed(now);
            partition.trouble.committed(partition.next);
            self.stage.tell(number, &mut partition.state);
        }
        self.stage.committed();
        self.parts.metrics.transactions.get_or_create(&ResultLabel { result: "committed" }).inc();
        self.last_commit = now;
    }

    /// Takes what a transaction's error asks for: abort and restore, or a new producer and restore. What cannot be mended
    /// comes back.
    pub(super) fn tolerate(&mut self, result: Result<(), LaneError>) -> Result<(), LaneError> {
        let Err(error) = result else { return Ok(()) };
        let LaneError::Transaction(error) = error else { return Err(error) };
        if self.parts.stop.requested() {
            // There is nothing to restore, and no new producer to wait for.
            return Err(error.into());
        }
        tracing::warn!(lane = self.id, %error, "transaction failed; its partitions are restored");
        let outcome = match &error {
            TransactionError::Fenced(_) => return Err(error.into()),
            TransactionError::Retire(_) => "retired",
            TransactionError::Abort(_) | TransactionError::Stale(_) => "aborted",
        };
        self.parts.metrics.transactions.get_or_create(&ResultLabel { result: outcome }).inc();
        self.outlet.open = None;
        self.stage.aborted();
        let stale = matches!(error, TransactionError::Stale(_));
        if !stale {
            self.note_trouble(&error)?;
        }
        if matches!(error, TransactionError::Retire(_)) {
            self.outlet.producer = Transactions::connect(&self.parts.config.kafka, &self.id)?;
        } else {
            self.abort_or_replace()?;
        }
        // The state has seen what nobody else ever will.
        for partition in self.partitions.values_mut() {
            partition.dirty = false;
        }
        self.retry_at = Some(Instant::now() + if stale { REJOIN } else { Duration::ZERO });
        self.park();
        Ok(())
    }

    /// Counts the failure for the partitions that took part in it, and gives up when that was too often.
    fn note_trouble(&mut self, error: &TransactionError) -> Result<(), LaneError> {
        for partition in self.partitions.values_mut().filter(|partition| partition.dirty) {
            partition.trouble.failed(partition.next);
        }
        let Some((&partition, stuck)) = self.partitions.iter().find(|(_, partition)| partition.trouble.is_stuck())
        else {
            return Ok(());
        };
        Err(LaneError::Stuck {
            topic: self.stage.input().to_owned(),
            partition,
            offset: stuck.committed,
            aborts: stuck.trouble.failures(),
            why: error.to_string(),
        })
    }

    /// Whether records are taken one at a time.
    pub(super) fn is_in_trouble(&self) -> bool {
        self.partitions.values().any(|partition| partition.trouble.is_suspect())
    }
}
