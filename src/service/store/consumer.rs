//! The Kafka side: a member of the group `<kafka.group>.store`, whose offsets come from PostgreSQL.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::bindings::rd_kafka_resp_err_t;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError as KafkaFailure, KafkaResult};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::topic_partition_list::TopicPartitionList;

use super::batch::{CloudEvent, Content, Origin, Record};
use crate::config::Kafka;
use crate::io::kafka::topics::Topics;
use crate::io::kafka::{KafkaError, client};

/// How long Kafka may take to answer a question.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// What happened to the assignment; eager: each one replaces all before it.
#[derive(Debug)]
pub enum Event {
    /// These partitions are ours.
    Assigned(Vec<(String, i32)>),
    /// None are.
    Revoked,
}

/// Notes what the group decides. Fetching begins later: PostgreSQL says where, and it may be away while the group needs an
/// answer at once. So an assignment is acknowledged with an empty list, and set when its offsets are known.
#[derive(Debug, Default)]
pub struct Context {
    events: Mutex<Vec<Event>>,
}

impl Context {
    /// The events since the last call, in order.
    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, event: Event) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }
}

impl ClientContext for Context {
    fn error(&self, error: KafkaFailure, reason: &str) {
        tracing::warn!(%error, reason, "consumer of the store");
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: rd_kafka_resp_err_t, list: &mut TopicPartitionList) {
        let answered = if code == rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let partitions = list.elements().iter().map(|e| (e.topic().to_owned(), e.partition())).collect();
            self.note(Event::Assigned(partitions));
            consumer.assign(&TopicPartitionList::new())
        } else {
            self.note(Event::Revoked);
            consumer.unassign()
        };
        if let Err(error) = answered {
            tracing::error!(%error, "the group's decision could not be acknowledged");
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::debug!(%error, "the group's offsets were not moved; those in PostgreSQL are the ones that count");
        }
    }
}

/// The consumer.
pub type StoreConsumer = BaseConsumer<Context>;

/// A consumer that has asked for its partitions of every topic that is stored.
///
/// # Errors
/// When librdkafka refuses the settings.
pub fn subscribe(config: &Kafka, topics: &Topics) -> Result<StoreConsumer, KafkaError> {
    let group = format!("{}.store", config.group);
    let mut settings = client::consumer(config, &group);
    settings
        // The end of a partition means nothing here, and the library does not say of which topic it is.
        .set("enable.partition.eof", "false")
        // A topic that is made later is noticed this soon.
        .set("topic.metadata.refresh.interval.ms", "10000")
        // What is fetched ahead is bounded: over all partitions about as much as the two batches.
        .set("queued.max.messages.kbytes", "16384")
        .set("queued.min.messages", "20000");
    if config.static_membership {
        settings.set("group.instance.id", format!("{}{group}.{}", config.topic_prefix, config.instance));
    }
    let call = |what: &str| KafkaError::call(format!("{what} {}", config.brokers));
    let consumer: StoreConsumer =
        settings.create_with_context(Context::default()).map_err(call("making a consumer for"))?;
    let names = Content::ALL.map(|content| content.topic(topics));
    consumer.subscribe(&names).map_err(call("subscribing at"))?;
    Ok(consumer)
}

/// The parts of a message that are stored.
pub fn record<'a>(message: &'a BorrowedMessage<'_>, content: Content) -> Record<'a> {
    let (mut origin, mut event) = (Origin::default(), CloudEvent::default());
    if matches!(content, Content::DeadLetters | Content::Retrain)
        && let Some(headers) = message.headers()
    {
        for header in headers.iter() {
            match header.key {
                "reason" => origin.reason = header.value,
                "origin_topic" => origin.topic = header.value,
                "origin_partition" => origin.partition = header.value,
                "origin_offset" => origin.offset = header.value,
                "ce_id" => event.id = header.value,
                "ce_type" => event.kind = header.value,
                "ce_time" => event.time = header.value,
                _ => {}
            }
        }
    }
    Record {
        value: message.payload(),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or(i64::MIN),
        origin,
        event,
    }
}
