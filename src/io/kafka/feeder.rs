//! Writing ticks: keyed by symbol, watermarks to every partition, delivery counted.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError as Error, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};

use super::{KafkaError, client};
use crate::config::Kafka;
use crate::flow::time::Micros;
use crate::wire::tick::encode_watermark;

/// How long a full queue or a last delivery is waited for before it is looked at again.
const PAUSE: Duration = Duration::from_millis(1);
/// Deliveries are collected after so many records.
const POLL_EVERY: u64 = 1_000;

#[derive(Debug, Default)]
struct Failures {
    count: u64,
    first: String,
}

/// Records that were given up.
#[derive(Clone, Default)]
struct Count(Arc<Mutex<Failures>>);

impl Count {
    fn check(&self, sent: u64) -> Result<(), KafkaError> {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.count == 0 {
            return Ok(());
        }
        Err(KafkaError::State(format!(
            "{} of {sent} records could not be delivered; the first: {}",
            failures.count, failures.first
        )))
    }
}

impl ClientContext for Count {}

impl ProducerContext for Count {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if failures.count == 0 {
                failures.first = format!("{} [{}]: {error}", message.topic(), message.partition());
            }
            failures.count += 1;
        }
    }
}

/// A producer of ticks: in order, bounded, acknowledged by all replicas.
pub struct Feeder {
    producer: BaseProducer<Count>,
    count: Count,
    topic: String,
    partitions: i32,
    sent: u64,
}

impl Feeder {
    /// Connects to write to `topic`.
    ///
    /// # Errors
    /// When Kafka does not answer or the topic does not exist.
    pub fn open(config: &Kafka, topic: &str) -> Result<Self, KafkaError> {
        let partitions = super::topics::partition_count(&super::topics::admin(config)?, topic)?;
        if partitions == 0 {
            return Err(KafkaError::State(super::topics::absent(topic)));
        }
        let count = Count::default();
        let producer = client::producer(config)
            .create_with_context(count.clone())
            .map_err(KafkaError::call(format!("connecting to {}", config.brokers)))?;
        Ok(Self { producer, count, topic: topic.to_owned(), partitions, sent: 0 })
    }

    /// How many partitions the topic has.
    pub fn partitions(&self) -> i32 {
        self.partitions
    }

    /// Queues a record to the partition of its key, waiting while the queue is full.
    ///
    /// # Errors
    /// When librdkafka refuses it, or an earlier one could not be delivered.
    pub fn send(&mut self, key: &str, payload: &[u8]) -> Result<(), KafkaError> {
        let topic = self.topic.clone();
        self.enqueue(BaseRecord::to(&topic).key(key.as_bytes()).payload(payload))
    }

    /// Queues a watermark to every partition: nothing earlier than `time` will come.
    ///
    /// # Errors
    /// As [`Feeder::send`].
    pub fn send_watermarks(&mut self, time: Micros) -> Result<(), KafkaError> {
        let (topic, payload) = (self.topic.clone(), encode_watermark(time));
        (0..self.partitions).try_for_each(|id| self.enqueue(BaseRecord::to(&topic).partition(id).payload(&payload)))
    }

    fn enqueue(&mut self, mut record: BaseRecord<'_, [u8], [u8]>) -> Result<(), KafkaError> {
        if self.sent.is_multiple_of(POLL_EVERY) {
            self.poll()?;
        }
        self.sent += 1;
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((Error::MessageProduction(Code::QueueFull), refused)) => {
                    record = refused;
                    self.poll()?;
                    std::thread::sleep(PAUSE);
                }
                Err((error, _)) => return Err(KafkaError::call(format!("writing to {}", self.topic))(error)),
            }
        }
    }

    /// Collects what was delivered so far; returns at once.
    ///
    /// # Errors
    /// When a record could not be delivered.
    pub fn poll(&self) -> Result<(), KafkaError> {
        self.producer.poll(Duration::ZERO);
        self.count.check(self.sent)
    }

    /// Waits until every record is delivered or given up (librdkafka gives up after five minutes).
    ///
    /// # Errors
    /// When a record could not be delivered.
    pub fn finish(self) -> Result<u64, KafkaError> {
        // `flush` waits in slices of 100 ms even when all is delivered; asking is faster.
        while self.producer.in_flight_count() > 0 {
            self.producer.poll(Duration::ZERO);
            std::thread::sleep(PAUSE);
        }
        self.count.check(self.sent)?;
        Ok(self.sent)
    }
}
