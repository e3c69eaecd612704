//! The consumer of a lane: rebalances are handed to the lane's own loop instead of being served inside a callback, where
//! neither its state nor its transaction could be reached.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::client::ClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError as Rdkafka, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};

use super::{KafkaError, client};
use crate::config::Kafka;

/// A change of assignment that the lane has yet to answer with `assign` or `unassign`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rebalance {
    /// These partitions are ours.
    Assigned(Vec<i32>),
    /// All partitions are to be given up.
    Revoked,
}

/// Offsets of one partition as the broker last told them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// Next offset that will be written.
    pub high: i64,
    /// Last stable offset: committed readers see no further.
    pub stable: i64,
    /// Next offset to fetch: every record before it was fetched, which is not yet to say handed over.
    pub fetched: i64,
    /// Whether everything fetched, of any partition, had been handed over at that moment.
    pub drained: bool,
}

/// Collects what librdkafka tells between polls.
pub struct LaneContext {
    topic: String,
    pending: Mutex<VecDeque<Rebalance>>,
    waiting: AtomicBool,
    closing: AtomicBool,
    ends: Mutex<HashMap<i32, Ends>>,
}

impl LaneContext {
    /// The next change of assignment, if one waits.
    pub fn rebalance_pending(&self) -> Option<Rebalance> {
        if !self.waiting.load(Ordering::Acquire) {
            return None;
        }
        let mut pending = self.pending.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let next = pending.pop_front();
        self.waiting.store(!pending.is_empty(), Ordering::Release);
        next
    }

    /// From now on revocations are answered at once: the consumer is being closed.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    /// Where partition `partition` of the input ends, once known.
    pub fn ends(&self, partition: i32) -> Option<Ends> {
        self.ends.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(&partition).copied()
    }
}

impl ClientContext for LaneContext {
    fn stats(&self, statistics: Statistics) {
        let Some(topic) = statistics.topics.get(&self.topic) else { return };
        let mut ends = self.ends.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for partition in topic.partitions.values().filter(|p| p.hi_offset >= 0) {
            let told = Ends {
                high: partition.hi_offset,
                stable: partition.ls_offset,
                fetched: partition.next_offset,
                // Partitions share one queue, and this is its length.
                drained: partition.fetchq_cnt == 0,
            };
            ends.insert(partition.partition, told);
        }
    }

    fn error(&self, error: Rdkafka, reason: &str) {
        // The end of a partition is an event of the poll, and no news here.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        tracing::warn!(%error, reason, "consumer");
    }
}

impl ConsumerContext for LaneContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        if self.closing.load(Ordering::Acquire) {
            if let Err(error) = consumer.unassign() {
                tracing::warn!(%error, "giving up partitions while closing");
            }
            return;
        }
        let rebalance = if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            Rebalance::Assigned(
                partitions
                    .elements()
                    .iter()
                    .map(rdkafka::topic_partition_list::TopicPartitionListElem::partition)
                    .collect(),
            )
        } else {
            Rebalance::Revoked
        };
        self.pending.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push_back(rebalance);
        self.waiting.store(true, Ordering::Release);
    }
}

/// A lane's consumer.
pub type LaneConsumer = BaseConsumer<LaneContext>;

/// Joins `group` on `topic`; `static_id` is the static member id, if any.
///
/// # Errors
/// When librdkafka refuses the settings.
pub fn subscribe(
    config: &Kafka,
    group: &str,
    topic: &str,
    static_id: Option<&str>,
) -> Result<LaneConsumer, KafkaError> {
    let mut settings = client::consumer(config, group);
    settings
        .set("statistics.interval.ms", "1000")
        .set("queued.max.messages.kbytes", "65536")
        .set("fetch.message.max.bytes", "4194304")
        // Partitions that are added to the topic are noticed this soon.
        .set("topic.metadata.refresh.interval.ms", "10000")
        .set("check.crcs", "true");
    if let Some(id) = static_id {
        settings.set("group.instance.id", id);
    }
    let context = LaneContext {
        topic: topic.to_owned(),
        pending: Mutex::default(),
        waiting: AtomicBool::new(false),
        closing: AtomicBool::new(false),
        ends: Mutex::default(),
    };
    let consumer = LaneConsumer::from_config_and_context(&settings, context)
        .map_err(KafkaError::call(format!("making a consumer of group {group}")))?;
    consumer.subscribe(&[topic]).map_err(KafkaError::call(format!("subscribing to {topic}")))?;
    Ok(consumer)
}

/// Offsets of `topic` as librdkafka takes them.
///
/// # Errors
/// When an offset is not one.
pub fn offsets(topic: &str, list: impl IntoIterator<Item = (i32, i64)>) -> Result<TopicPartitionList, KafkaError> {
    let mut partitions = TopicPartitionList::new();
    for (partition, offset) in list {
        partitions
            .add_partition_offset(topic, partition, Offset::Offset(offset))
            .map_err(KafkaError::call(format!("offset {offset} of {topic}/{partition}")))?;
    }
    Ok(partitions)
}
