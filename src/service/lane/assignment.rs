//! Taking partitions up and giving them up.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;

use super::partition::{Partition, Phase};
use super::{Lane, LaneError};
use crate::flow::bad_ratio::BadRatio;
use crate::flow::bar::Bar;
use crate::io::kafka::KafkaError;
use crate::io::kafka::consumer::offsets;
use crate::io::kafka::history::History;
use crate::io::kafka::producer::{TransactionError, Transactions};
use crate::machine::checkpoint::Checkpoint;
use crate::machine::forecaster::Forecaster;
use crate::machine::takeover::{Facts, Takeover, decide};
use crate::wire;

const TIMEOUT: Duration = Duration::from_secs(10);
/// Restored bars between two signs of life.
const BEAT_EVERY: i64 = 1_024;

impl Lane {
    /// Restores the partitions and begins to read them.
    pub(super) fn assigned(&mut self, numbers: &[i32]) -> Result<(), LaneError> {
        tracing::info!(lane = self.id, partitions = ?numbers, "assigned");
        self.retry_at = None;
        self.open = None;
        self.partitions.clear();
        self.parts.health.waits_for("restoring");
        if numbers.is_empty() {
            self.consumer.unassign().map_err(KafkaError::call("taking an empty assignment"))?;
            self.update_readiness();
            return Ok(());
        }
        let began = Instant::now();
        let bars = History::open(&self.parts.config.kafka, &self.topics.bars)?;
        let (starts, resumed) = self.take_over(numbers, &bars)?;
        let mut positions: Vec<(i32, i64)> = Vec::new();
        for (&number, &start) in &starts {
            let forecaster = Forecaster::new(self.parts.rules.clone(), &self.parts.champion);
            let mut partition = Partition::new(forecaster, Phase::Live, start, BadRatio::default());
            // The start is committed before any output: from then on there is an offset to lose.
            partition.dirty = true;
            self.partitions.insert(number, partition);
            positions.push((number, start));
        }
        let mut without_ticks = Vec::new();
        let Some(restored) = self.restore(resumed, &bars)? else {
            // A stop was asked for in the middle of it. Nothing was touched, so nothing is left to commit.
            self.partitions.clear();
            return Ok(());
        };
        for (number, partition, resume) in restored {
            if resume >= partition.next {
                without_ticks.push(number);
            }
            positions.push((number, resume));
            self.partitions.insert(number, partition);
        }
        let list = offsets(&self.topics.ticks, positions)?;
        self.consumer.assign(&list).map_err(KafkaError::call(format!("assigning {}", self.topics.ticks)))?;
        self.parts.metrics.restore_seconds.observe(began.elapsed().as_secs_f64());
        tracing::info!(lane = self.id, seconds = began.elapsed().as_secs_f64(), "windows restored");
        if !starts.is_empty() && !self.commit()? {
            return Ok(());
        }
        self.update_readiness();
        // Where no open bar holds a trade, nothing is to be read again.
        without_ticks.into_iter().try_for_each(|number| self.rebuilt(number))
    }

    /// Commits or aborts, then lets go: no transaction survives a change of assignment.
    pub(super) fn revoked(&mut self) -> Result<(), LaneError> {
        tracing::info!(lane = self.id, partitions = ?self.partitions.keys().collect::<Vec<_>>(), "revoked");
        if self.consumer.assignment_lost() {
            if self.open.take().is_some() {
                tracing::warn!(lane = self.id, "assignment lost: the transaction is aborted");
                self.abort_or_replace()?;
            }
        } else if self.retry_at.is_none() {
            self.commit()?;
        }
        self.partitions.clear();
        self.retry_at = None;
        self.consumer.unassign().map_err(KafkaError::call("giving up partitions"))?;
        self.parts.health.waits_for("an assignment");
        Ok(())
    }

    pub(super) fn abort_or_replace(&mut self) -> Result<(), LaneError> {
        match self.producer.abort() {
            Ok(()) => Ok(()),
            Err(error @ TransactionError::Fenced(_)) => Err(error.into()),
            Err(_) => {
                self.producer = Transactions::connect(&self.parts.config.kafka, &self.id)?;
                Ok(())
            }
        }
    }

    /// Stops reading until [`Lane::restore_if_due`]; what librdkafka still delivers is not for any state.
    pub(super) fn park(&mut self) {
        self.parts.health.waits_for("restoring after an aborted transaction");
        for partition in self.partitions.values_mut() {
            partition.phase = Phase::Paused("restoring".to_owned());
        }
    }

    /// Restores the present assignment after an abort.
    pub(super) fn restore_if_due(&mut self) -> Result<(), LaneError> {
        if self.retry_at.is_some_and(|at| at <= Instant::now()) {
            let numbers: Vec<i32> = self.partitions.keys().copied().collect();
            self.assigned(&numbers)?;
        }
        Ok(())
    }

    /// Gathers the facts and decides for every partition.
    #[allow(clippy::type_complexity, reason = "two small lists of one decision")]
    fn take_over(
        &self,
        numbers: &[i32],
        bars: &History,
    ) -> Result<(HashMap<i32, i64>, Vec<(i32, i64, Checkpoint)>), LaneError> {
        let ticks = &self.topics.ticks;
        if let Some(number) = numbers.iter().find(|&&number| number >= self.parts.partitions) {
            return Err(LaneError::Topics(format!(
                "{ticks}/{number} is new: the topic had {} partitions when this process started; give the output topics as \
                 many (`tickcast topics apply`) and restart",
                self.parts.partitions
            )));
        }
        let mut list = TopicPartitionList::new();
        for &number in numbers {
            list.add_partition(ticks, number);
        }
        // With read_committed this waits for offsets of transactions that are being finished.
        let committed = self
            .consumer
            .committed_offsets(list, TIMEOUT * 3)
            .map_err(KafkaError::call(format!("reading the committed offsets of {ticks}")))?;
        let (mut starts, mut resumed) = (HashMap::new(), Vec::new());
        for &number in numbers {
            let element = committed.find_partition(ticks, number);
            if let Some(element) = &element {
                // An offset that could not be had is not the lack of one.
                element
                    .error()
                    .map_err(KafkaError::call(format!("reading the committed offset of {ticks}/{number}")))?;
            }
            let offset = element.as_ref().and_then(|element| element.offset().to_raw()).filter(|offset| *offset >= 0);
            let committed = offset.map(|offset| {
                let metadata = element.as_ref().map(|element| element.metadata().to_owned()).unwrap_or_default();
                (offset, metadata)
            });
            let bounds = self
                .consumer
                .fetch_watermarks(ticks, number, TIMEOUT)
                .map_err(KafkaError::call(format!("asking for the offsets of {ticks}/{number}")))?;
            let facts = Facts {
                bars_written: committed.is_none() && bars.has_records(number)?,
                committed,
                ticks: bounds,
                bars: bars.bounds(number)?,
                config_hash: self.parts.config_hash,
            };
            match decide(&facts) {
                Takeover::Start(offset) => drop(starts.insert(number, offset)),
                Takeover::Resume(offset, checkpoint) => resumed.push((number, offset, checkpoint)),
                Takeover::Refuse(refusal) => {
                    return Err(LaneError::Refused { topic: ticks.clone(), partition: number, refusal });
                }
            }
        }
        Ok((starts, resumed))
    }

    /// Reads the windows back. Gives each partition with the offset where reading ticks begins; none when a stop was asked
    /// for meanwhile.
    #[allow(clippy::type_complexity, reason = "a small list of one restore")]
    fn restore(
        &self,
        resumed: Vec<(i32, i64, Checkpoint)>,
        bars: &History,
    ) -> Result<Option<Vec<(i32, Partition, i64)>>, LaneError> {
        let (rules, champion) = (&self.parts.rules, &self.parts.champion);
        let mut forecasters: HashMap<i32, Forecaster> = resumed
            .iter()
            .map(|(number, _, checkpoint)| (*number, Forecaster::resume(rules.clone(), champion, checkpoint)))
            .collect();
        let ranges: HashMap<i32, (i64, i64)> =
            resumed.iter().map(|(number, _, checkpoint)| (*number, checkpoint.bars)).collect();
        let whole = bars.read::<LaneError>(
            &ranges,
            |partition, offset, payload| {
                let wrong = |why: String| LaneError::Restore { topic: self.topics.bars.clone(), partition, why };
                let payload = payload.ok_or_else(|| wrong(format!("offset {offset} has no value")))?;
                let bar = wire::bar::decode(payload).and_then(Bar::try_from);
                let bar = bar.map_err(|error| wrong(format!("offset {offset}: {error}")))?;
                if offset % BEAT_EVERY == 0 {
                    self.parts.health.beat();
                }
                match forecasters.get_mut(&partition) {
                    Some(forecaster) => Ok(forecaster.restore_bar(bar, offset)?),
                    None => Ok(()),
                }
            },
            || !self.parts.stop.requested(),
        )?;
        if !whole {
            return Ok(None);
        }
        let mut restored = Vec::new();
        for (number, offset, checkpoint) in resumed {
            let Some(mut forecaster) = forecasters.remove(&number) else { continue };
            forecaster.bars_restored(champion)?;
            let bad = BadRatio { seen: checkpoint.seen, bad: checkpoint.bad };
            let partition = Partition::new(forecaster, Phase::Rebuilding(offset), offset, bad);
            restored.push((number, partition, checkpoint.resume));
        }
        Ok(Some(restored))
    }
}
