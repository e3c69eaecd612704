//! Taking partitions up and giving them up.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;

use super::partition::{Partition, Phase};
use super::refused::Refused;
use super::stage::Stage;
use super::{Lane, LaneError};
use crate::io::kafka::consumer::offsets;
use crate::io::kafka::history::History;
use crate::io::kafka::producer::{TransactionError, Transactions};
use crate::io::kafka::{KafkaError, client};
use crate::machine::checkpoint::Checkpoint;
use crate::machine::takeover::{Facts, Refusal, Takeover, decide};

const TIMEOUT: Duration = Duration::from_secs(10);
/// Restored bars between two signs of life.
const BEAT_EVERY: i64 = 1_024;

impl<S: Stage> Lane<S> {
    /// Restores the partitions and begins to read them.
    pub(super) fn assigned(&mut self, numbers: &[i32]) -> Result<(), LaneError> {
        tracing::info!(lane = self.id, partitions = ?numbers, "assigned");
        self.retry_at = None;
        self.outlet.open = None;
        // After a failure these are the same partitions: what is known of their troubles outlives the restore.
        let before: HashMap<_, _> =
            std::mem::take(&mut self.partitions).into_iter().map(|(n, p)| (n, p.past())).collect();
        self.parts.health.waits_for("restoring");
        if numbers.is_empty() {
            self.consumer.unassign().map_err(KafkaError::call("taking an empty assignment"))?;
            self.update_readiness();
            return Ok(());
        }
        let began = Instant::now();
        let history = match self.stage.history() {
            Some(topic) => Some(History::open(&self.parts.config.kafka, topic)?),
            None => None,
        };
        let (starts, resumed) = self.take_over(numbers, history.as_ref())?;
        let mut positions: Vec<(i32, i64)> = Vec::new();
        for (&number, &start) in &starts {
            let mut partition = Partition::new(self.stage.start(number), Phase::Live, start);
            // The start is committed before any output: from then on there is an offset to lose.
            partition.dirty = true;
            self.partitions.insert(number, partition);
            positions.push((number, start));
        }
        let mut nothing_to_read = Vec::new();
        let Some(restored) = self.restore(resumed, history.as_ref())? else {
            // A stop was asked for in the middle of it. Nothing was touched, so nothing is left to commit.
            self.partitions.clear();
            return Ok(());
        };
        for (number, partition, resume) in restored {
            if resume >= partition.next {
                nothing_to_read.push(number);
            }
            positions.push((number, resume));
            self.partitions.insert(number, partition);
        }
        for (number, past) in before {
            self.partitions.entry(number).and_modify(|partition| partition.remember(past));
        }
        let input = self.stage.input();
        let list = offsets(input, positions)?;
        self.consumer.assign(&list).map_err(KafkaError::call(format!("assigning {input}")))?;
        self.parts.metrics.restore_seconds.observe(began.elapsed().as_secs_f64());
        tracing::info!(lane = self.id, seconds = began.elapsed().as_secs_f64(), "history restored");
        if !starts.is_empty() && !self.commit()? {
            return Ok(());
        }
        self.update_readiness();
        // Where nothing before the committed offset matters, nothing is to be read again.
        nothing_to_read.into_iter().try_for_each(|number| self.rebuilt(number))
    }

    /// Commits or aborts, then lets go: no transaction survives a change of assignment.
    pub(super) fn revoked(&mut self) -> Result<(), LaneError> {
        tracing::info!(lane = self.id, partitions = ?self.partitions.keys().collect::<Vec<_>>(), "revoked");
        if self.consumer.assignment_lost() {
            if self.outlet.open.take().is_some() {
                tracing::warn!(lane = self.id, "assignment lost: the transaction is aborted");
                self.stage.aborted();
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
        match self.outlet.producer.abort() {
            Ok(()) => Ok(()),
            Err(error @ TransactionError::Fenced(_)) => Err(error.into()),
            Err(_) => {
                self.outlet.producer = Transactions::connect(&self.parts.config.kafka, &self.id)?;
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
        history: Option<&History>,
    ) -> Result<(HashMap<i32, i64>, Vec<(i32, i64, Checkpoint)>), LaneError> {
        let input = self.stage.input();
        if let Some(number) = numbers.iter().find(|&&number| number >= self.parts.partitions) {
            return Err(LaneError::Topics(format!(
                "{input}/{number} is new: the topic had {} partitions when this process started; stop every process, see \
                 `tickcast topics check` for what gives the other topics as many, and start again. Symbols that are in another partition \
                 now begin anew there, and fall silent where they were",
                self.parts.partitions
            )));
        }
        let mut list = TopicPartitionList::new();
        for &number in numbers {
            list.add_partition(input, number);
        }
        // With read_committed this waits for offsets of transactions that are being finished.
        let committed = self
            .consumer
            .committed_offsets(list, TIMEOUT * 3)
            .map_err(KafkaError::call(format!("reading the committed offsets of {input}")))?;
        let (mut starts, mut resumed, mut refused) = (HashMap::new(), Vec::new(), Vec::new());
        for &number in numbers {
            let element = committed.find_partition(input, number);
            if let Some(element) = &element {
                // An offset that could not be had is not the lack of one.
                element
                    .error()
                    .map_err(KafkaError::call(format!("reading the committed offset of {input}/{number}")))?;
            }
            let offset = element.as_ref().and_then(|element| element.offset().to_raw()).filter(|offset| *offset >= 0);
            let committed = offset.map(|offset| {
                let metadata = element.as_ref().map(|element| element.metadata().to_owned()).unwrap_or_default();
                (offset, metadata)
            });
            let bounds = client::bounds(&*self.consumer, input, number)?;
            let facts = Facts {
                was_here: committed.is_none() && self.stage.was_here(number, history)?,
                committed,
                input: bounds,
                history: history.map_or(Ok((0, 0)), |history| history.bounds(number))?,
                config_hash: self.stage.config_hash(),
            };
            match decide(&facts) {
                Takeover::Start(offset) => drop(starts.insert(number, offset)),
                Takeover::Resume(offset, checkpoint) => resumed.push((number, offset, checkpoint)),
                Takeover::Refuse(refusal) => refused.push((number, refusal)),
            }
        }
        if refused.is_empty() { Ok((starts, resumed)) } else { Err(self.refused(refused).into()) }
    }

    fn refused(&self, partitions: Vec<(i32, Refusal)>) -> Refused {
        let hash = partitions.iter().find_map(|(_, refusal)| match refusal {
            Refusal::OtherConfiguration { hash } => Some(*hash),
            _ => None,
        });
        Refused {
            topic: self.stage.input().to_owned(),
            role: self.stage.role(),
            all: i32::try_from(partitions.len()) == Ok(self.parts.partitions),
            differs: hash.map(|hash| self.stage.differs(hash)),
            partitions,
        }
    }

    /// Reads the history back. Gives each partition with the offset where reading the input begins; none when a stop was asked
    /// for meanwhile.
    #[allow(clippy::type_complexity, reason = "a small list of one restore")]
    fn restore(
        &mut self,
        resumed: Vec<(i32, i64, Checkpoint)>,
        history: Option<&History>,
    ) -> Result<Option<Vec<(i32, Partition<S::State>, i64)>>, LaneError> {
        let mut states: HashMap<i32, S::State> =
            resumed.iter().map(|(number, _, checkpoint)| (*number, self.stage.resume(*number, checkpoint))).collect();
        let topic = self.stage.history().unwrap_or_default().to_owned();
        let wrong = |partition, why| LaneError::Restore { topic: topic.clone(), partition, why };
        if let Some(history) = history {
            let ranges: HashMap<i32, (i64, i64)> =
                resumed.iter().map(|(number, _, checkpoint)| (*number, checkpoint.bars)).collect();
            let whole = history.read::<LaneError>(
                &ranges,
                |partition, stored| {
                    if stored.offset % BEAT_EVERY == 0 {
                        self.parts.health.beat();
                    }
                    let Some(state) = states.get_mut(&partition) else { return Ok(()) };
                    let offset = stored.offset;
                    self.stage.restore(state, stored).map_err(|why| wrong(partition, format!("offset {offset}: {why}")))
                },
                || !self.parts.stop.requested(),
            )?;
            if !whole {
                return Ok(None);
            }
        }
        let mut restored = Vec::new();
        for (number, offset, checkpoint) in resumed {
            let Some(mut state) = states.remove(&number) else { continue };
            self.stage.restored(&mut state).map_err(|why| wrong(number, why))?;
            restored.push((number, Partition::new(state, Phase::Rebuilding(offset), offset), checkpoint.resume));
        }
        Ok(Some(restored))
    }
}
