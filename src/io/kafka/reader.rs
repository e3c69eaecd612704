//! Reading the committed records of a topic by assignment: no group, no commits, nothing left behind on the broker.
//!
//! Not here: consumption whose offsets count (the lanes and the store have their own).

use std::fmt;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError as Error, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};

use super::reach::reach;
use super::{KafkaError, client};
use crate::config::Kafka;

/// How long a broker may take to answer, and how long it may be away while records are read.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How often an open transaction is asked about.
const RECHECK: Duration = Duration::from_millis(20);

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record that is kept.
    Beginning,
    /// Behind the newest record.
    End,
    /// This many offsets before the end, or at the oldest record.
    Last(i64),
}

/// Where reading ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Never: it waits for more.
    Never,
    /// At what is the end of each partition now. Transactions that are open now are waited for, so that what an earlier
    /// commit has written is seen even when its markers are still on their way.
    End,
}

struct Partition {
    id: i32,
    start: i64,
    /// The end of the log when reading began, uncommitted records included.
    end: i64,
    finished: bool,
}

/// What [`Reader::next`] found.
#[derive(Debug)]
pub enum Event<'a> {
    /// A committed record.
    Record(BorrowedMessage<'a>),
    /// Nothing came within the wait.
    Idle,
    /// Everything up to [`Stop::End`] was returned.
    Finished,
}

/// Reads committed records of one topic; each partition in order, partitions interleaved.
pub struct Reader {
    consumer: BaseConsumer,
    topic: String,
    partitions: Vec<Partition>,
    stop: Stop,
    failing_since: Option<Instant>,
}

impl Reader {
    /// Opens `topic` from `start` to `stop`; `only` restricts it to one partition.
    ///
    /// # Errors
    /// When Kafka does not answer, the topic or partition does not exist, or a transaction stays open for longer than
    /// `kafka.transaction_timeout` and half a minute.
    pub fn open(config: &Kafka, topic: &str, only: Option<i32>, start: Start, stop: Stop) -> Result<Self, KafkaError> {
        reach(config)?;
        let connecting = || KafkaError::call(format!("connecting to {}", config.brokers));
        let mut settings = client::consumer(config, &format!("{}.reader", config.group));
        settings.set("allow.auto.create.topics", "false");
        let consumer: BaseConsumer = settings.create().map_err(connecting())?;
        let uncommitted: BaseConsumer =
            settings.set("isolation.level", "read_uncommitted").create().map_err(connecting())?;
        let mut partitions = Vec::new();
        for id in partition_ids(&consumer, topic, only)? {
            let (low, end) = client::bounds(&uncommitted, topic, id)?;
            let start = match start {
                Start::Beginning => low,
                Start::End => end,
                Start::Last(count) => low.max(end - count),
            };
            partitions.push(Partition { id, start, end, finished: start >= end });
        }
        if stop == Stop::End {
            let patience = config.transaction_timeout.get() + TIMEOUT;
            partitions.iter().try_for_each(|p| wait_until_decided(&consumer, topic, p, patience))?;
        }
        let mut assignment = TopicPartitionList::new();
        for partition in &partitions {
            assignment
                .add_partition_offset(topic, partition.id, Offset::Offset(partition.start))
                .map_err(KafkaError::call(format!("assigning {topic} [{}]", partition.id)))?;
        }
        consumer.assign(&assignment).map_err(KafkaError::call(format!("assigning {topic}")))?;
        Ok(Self { consumer, topic: topic.to_owned(), partitions, stop, failing_since: None })
    }

    /// How many partitions are read.
    pub fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// The next record, waiting up to `wait` for it.
    ///
    /// # Errors
    /// When Kafka refuses, or is away for half a minute.
    pub fn next(&mut self, wait: Duration) -> Result<Event<'_>, KafkaError> {
        let deadline = Instant::now() + wait;
        loop {
            if self.stop == Stop::End && self.partitions.iter().all(|p| p.finished) {
                return Ok(Event::Finished);
            }
            match self.consumer.poll(deadline.saturating_duration_since(Instant::now())) {
                Some(Ok(message)) => {
                    self.failing_since = None;
                    if self.stop == Stop::End
                        && let Some(partition) = self.partitions.iter_mut().find(|p| p.id == message.partition())
                    {
                        partition.finished |= message.offset() + 1 >= partition.end;
                        if message.offset() >= partition.end {
                            continue;
                        }
                    }
                    return Ok(Event::Record(message));
                }
                // Markers and aborted records are not returned; but nothing before `end` was undecided when the
                // partition was assigned, so the end of what is readable lies at or behind it.
                Some(Err(Error::PartitionEOF(id))) => {
                    self.failing_since = None;
                    if let Some(partition) = self.partitions.iter_mut().find(|p| p.id == id) {
                        partition.finished = true;
                    }
                }
                Some(Err(Error::MessageConsumption(code))) if is_passing(code) => {
                    let since = *self.failing_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > TIMEOUT {
                        let what = format!("reading {} (for {} s without success)", self.topic, TIMEOUT.as_secs());
                        return Err(KafkaError::call(what)(Error::MessageConsumption(code)));
                    }
                }
                Some(Err(error)) => return Err(KafkaError::call(format!("reading {}", self.topic))(error)),
                None if Instant::now() >= deadline => return Ok(Event::Idle),
                None => {}
            }
        }
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("topic", &self.topic).field("stop", &self.stop).finish_non_exhaustive()
    }
}

/// What librdkafka reports while it reconnects by itself.
fn is_passing(code: Code) -> bool {
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::OperationTimedOut
            | Code::NotLeaderForPartition
            | Code::LeaderNotAvailable
            | Code::RequestTimedOut
    )
}

fn partition_ids(consumer: &BaseConsumer, topic: &str, only: Option<i32>) -> Result<Vec<i32>, KafkaError> {
    let metadata = consumer
        .fetch_metadata(Some(topic), TIMEOUT)
        .map_err(KafkaError::call(format!("asking for the partitions of {topic}")))?;
    let found = metadata.topics().iter().find(|t| t.name() == topic && t.error().is_none());
    let mut ids: Vec<_> = found.map_or_else(Vec::new, |t| t.partitions().iter().map(|p| p.id()).collect());
    ids.sort_unstable();
    if ids.is_empty() {
        return Err(KafkaError::State(format!(
            "topic {topic} does not exist: run `tickcast topics apply --partitions N`, or check kafka.topic_prefix"
        )));
    }
    match only {
        None => Ok(ids),
        Some(id) if ids.contains(&id) => Ok(vec![id]),
        Some(id) => {
            Err(KafkaError::State(format!("topic {topic} has no partition {id}: it has 0 to {}", ids.len() - 1)))
        }
    }
}

/// Waits until the last stable offset (the end that a `read_committed` client is told) has reached the partition's end.
fn wait_until_decided(
    consumer: &BaseConsumer,
    topic: &str,
    partition: &Partition,
    patience: Duration,
) -> Result<(), KafkaError> {
    let begun = Instant::now();
    while client::bounds(consumer, topic, partition.id)?.1 < partition.end {
        if begun.elapsed() > patience {
            return Err(KafkaError::State(format!(
                "{topic} [{}] has held an open transaction for {} s: find the producer that hangs, or wait for its timeout",
                partition.id,
                patience.as_secs()
            )));
        }
        std::thread::sleep(RECHECK);
    }
    Ok(())
}
