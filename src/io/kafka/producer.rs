//! A transactional producer whose calls do not wait in slices, and whose errors are triaged by their flags.
//!
//! `BaseProducer::flush`, and `commit_transaction` which calls it, wait 100 ms at a time: here deliveries are drained first.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError as Rdkafka, RDKafkaErrorCode};
use rdkafka::message::{Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig};

use super::client;
use crate::config::Kafka;

/// What a failed step of a transaction means for it.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError {
    /// The transaction must be aborted; the producer can go on.
    #[error("transaction aborted: {0}")]
    Abort(String),
    /// The consumer's membership is no longer valid: a rebalance is under way.
    #[error("transaction aborted, the group has moved on: {0}")]
    Stale(String),
    /// The producer cannot be used again; what became of the transaction is not known.
    #[error("producer retired: {0}")]
    Retire(String),
    /// Another process took this one's place.
    #[error(
        "fenced: another process runs with the same kafka.instance, or this one stood still for longer than \
         kafka.transaction_timeout ({0}); give each process its own instance, and restart this one if it has one"
    )]
    Fenced(String),
}

/// Where a tagged record of a transaction was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its partition.
    pub partition: i32,
    /// Its tag.
    pub tag: u64,
    /// Its offset.
    pub offset: i64,
}

/// Notes deliveries. `DeliveryOpaque` is the record's tag; 0 for records whose place does not matter.
#[derive(Default)]
struct Deliveries {
    written: Mutex<Vec<Written>>,
    failure: Mutex<Option<(Rdkafka, String)>>,
}

impl ClientContext for Deliveries {
    fn error(&self, error: Rdkafka, reason: &str) {
        tracing::warn!(%error, reason, "producer");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, tag: usize) {
        match result {
            Ok(message) if tag != 0 => {
                let written = Written { partition: message.partition(), tag: tag as u64, offset: message.offset() };
                lock(&self.written).push(written);
            }
            Ok(_) => {}
            Err((error, message)) => {
                let place = format!("{}/{}", message.topic(), message.partition());
                lock(&self.failure).get_or_insert((error.clone(), place));
            }
        }
    }
}

/// A panic while holding one of these locks leaves plain data behind.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A record to be written in the running transaction.
pub struct Outgoing<'a> {
    /// Full name of the topic.
    pub topic: &'a str,
    /// Explicit partition: that of the input.
    pub partition: i32,
    /// Key, if any.
    pub key: Option<&'a [u8]>,
    /// Value; an empty one is sent as none, which is a tombstone in a compacted topic.
    pub value: &'a [u8],
    /// Headers.
    pub headers: OwnedHeaders,
    /// A number above 0 by which [`Transactions::drain`] reports the record's offset.
    pub tag: Option<u64>,
}

/// Records are handed to librdkafka in bursts of this many bytes: it sends what lies in its queue at once, and one request
/// per closing cycle would keep its thread and the broker busier than the lane.
const BURST: usize = 256 * 1024;

/// A record that waits for its burst.
struct Queued {
    /// Place in [`Transactions::topics`].
    topic: usize,
    partition: i32,
    /// Key and value, one after the other.
    bytes: Vec<u8>,
    /// Length of the key, if there is one.
    key: Option<usize>,
    headers: OwnedHeaders,
    opaque: usize,
}

/// A transactional producer, of one lane, for one thread.
pub struct Transactions {
    producer: BaseProducer<Deliveries>,
    timeout: Duration,
    outbox: Vec<Queued>,
    outbox_bytes: usize,
    topics: Vec<String>,
}

impl Transactions {
    /// Makes a producer and fences every earlier one with the same `id`, finishing what it left.
    ///
    /// # Errors
    /// When Kafka does not answer in time or refuses.
    pub fn connect(config: &Kafka, id: &str) -> Result<Self, TransactionError> {
        let timeout = config.transaction_timeout.get();
        let mut settings = client::base(config);
        settings
            .set("transactional.id", id)
            .set("transaction.timeout.ms", timeout.as_millis().to_string())
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            // A dead letter may carry a key and a value of forecast.max_record_bytes each; brokers take 1,048,588.
            .set("message.max.bytes", "1048576")
            .set("compression.type", "lz4")
            .set("queue.buffering.max.messages", "500000");
        let retire = |error: Rdkafka| TransactionError::Retire(format!("{id}: {error}"));
        let producer = BaseProducer::from_config_and_context(&settings, Deliveries::default()).map_err(retire)?;
        let transactions = Self { producer, timeout, outbox: Vec::new(), outbox_bytes: 0, topics: Vec::new() };
        let deadline = Instant::now() + timeout * 3;
        loop {
            match transactions.producer.init_transactions(timeout) {
                Ok(()) => return Ok(transactions),
                Err(error) if Instant::now() < deadline && is_retriable(&error) => {
                    tracing::info!(id, %error, "the producer waits for its predecessor's transaction");
                }
                Err(error) => return Err(triage(&error)),
            }
        }
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// When the producer is in no state to.
    pub fn begin(&mut self) -> Result<(), TransactionError> {
        self.forget();
        lock(&self.producer.context().written).clear();
        *lock(&self.producer.context().failure) = None;
        self.producer.begin_transaction().map_err(|error| triage(&error))
    }

    /// Takes a record into the transaction; it is on its way after [`Transactions::drain`] at the latest.
    ///
    /// # Errors
    /// When one of its burst is refused, or librdkafka's queue stays full.
    pub fn send(&mut self, record: Outgoing<'_>) -> Result<(), TransactionError> {
        let topic = self.topics.iter().position(|topic| topic == record.topic).unwrap_or_else(|| {
            self.topics.push(record.topic.to_owned());
            self.topics.len() - 1
        });
        let bytes = [record.key.unwrap_or_default(), record.value].concat();
        self.outbox_bytes += bytes.len();
        self.outbox.push(Queued {
            topic,
            partition: record.partition,
            bytes,
            key: record.key.map(<[u8]>::len),
            headers: record.headers,
            opaque: record.tag.map_or(0, |tag| usize::try_from(tag).unwrap_or(0)),
        });
        if self.outbox_bytes >= BURST { self.hand_over() } else { Ok(()) }
    }

    /// Hands the waiting records to librdkafka.
    fn hand_over(&mut self) -> Result<(), TransactionError> {
        self.outbox_bytes = 0;
        let mut outbox = std::mem::take(&mut self.outbox);
        let handed = outbox.drain(..).try_for_each(|record| self.enqueue(record));
        self.outbox = outbox;
        self.producer.poll(Duration::ZERO);
        handed
    }

    /// Drops the waiting records: their transaction is over.
    fn forget(&mut self) {
        self.outbox.clear();
        self.outbox_bytes = 0;
    }

    fn enqueue(&self, record: Queued) -> Result<(), TransactionError> {
        let (key, value) = record.bytes.split_at(record.key.unwrap_or(0));
        let mut message = BaseRecord::<[u8], [u8], usize>::with_opaque_to(&self.topics[record.topic], record.opaque)
            .partition(record.partition)
            .headers(record.headers);
        message.payload = (!value.is_empty()).then_some(value);
        message.key = record.key.map(|_| key);
        let deadline = Instant::now() + self.timeout;
        loop {
            match self.producer.send(message) {
                Ok(()) => return Ok(()),
                Err((Rdkafka::MessageProduction(RDKafkaErrorCode::QueueFull), back)) if Instant::now() < deadline => {
                    message = back;
                    self.producer.poll(Duration::from_millis(1));
                }
                Err((error, _)) => return Err(triage(&error)),
            }
        }
    }

    /// Waits until every record is delivered; says where the tagged ones went, in the order of the log.
    ///
    /// # Errors
    /// When a delivery failed or takes longer than the transaction may.
    pub fn drain(&mut self) -> Result<Vec<Written>, TransactionError> {
        self.hand_over()?;
        self.settle(self.timeout)?;
        if let Some((error, place)) = lock(&self.producer.context().failure).take() {
            return Err(match triage(&error) {
                TransactionError::Abort(why) => TransactionError::Abort(format!("{place}: {why}")),
                other => other,
            });
        }
        Ok(std::mem::take(&mut *lock(&self.producer.context().written)))
    }

    fn settle(&self, timeout: Duration) -> Result<(), TransactionError> {
        let deadline = Instant::now() + timeout;
        self.producer.poll(Duration::ZERO);
        while self.producer.in_flight_count() > 0 {
            if Instant::now() > deadline {
                return Err(TransactionError::Abort("deliveries did not end in time".to_owned()));
            }
            std::thread::sleep(Duration::from_micros(50));
            self.producer.poll(Duration::ZERO);
        }
        Ok(())
    }

    /// Commits `offsets` of `group` and everything sent. To be drained before.
    ///
    /// # Errors
    /// See [`TransactionError`].
    pub fn commit(&self, offsets: &TopicPartitionList, group: &ConsumerGroupMetadata) -> Result<(), TransactionError> {
        let deadline = Instant::now() + self.timeout;
        self.retry(deadline, || self.producer.send_offsets_to_transaction(offsets, group, self.timeout))?;
        // From here on the outcome may be unknown, and then only a new producer can tell.
        self.retry(deadline, || self.producer.commit_transaction(self.timeout))
    }

    fn retry(&self, deadline: Instant, call: impl Fn() -> Result<(), Rdkafka>) -> Result<(), TransactionError> {
        loop {
            match call() {
                Ok(()) => return Ok(()),
                Err(error) if is_retriable(&error) && Instant::now() < deadline => {
                    tracing::debug!(%error, "transaction step retried");
                    std::thread::sleep(Duration::from_millis(5));
                }
                // A retriable step that ran out of time: nobody knows what the coordinator did.
                Err(error) if is_retriable(&error) => {
                    return Err(TransactionError::Retire(format!("timed out: {error}")));
                }
                Err(error) => return Err(triage(&error)),
            }
        }
    }

    /// Aborts the running transaction.
    ///
    /// # Errors
    /// When the producer must be retired instead.
    pub fn abort(&mut self) -> Result<(), TransactionError> {
        self.forget();
        // An abort waits for delivery reports that only this thread would poll.
        self.producer.purge(PurgeConfig::default().queue().inflight());
        self.settle(self.timeout).map_err(|error| TransactionError::Retire(error.to_string()))?;
        let deadline = Instant::now() + self.timeout;
        self.retry(deadline, || self.producer.abort_transaction(self.timeout)).map_err(|error| match error {
            TransactionError::Abort(why) | TransactionError::Stale(why) => TransactionError::Retire(why),
            other => other,
        })
    }
}

fn is_retriable(error: &Rdkafka) -> bool {
    match error {
        Rdkafka::Transaction(inner) => inner.is_retriable() && !inner.txn_requires_abort() && !inner.is_fatal(),
        _ => false,
    }
}

fn triage(error: &Rdkafka) -> TransactionError {
    use RDKafkaErrorCode as Code;
    let text = error.to_string();
    let code = error.rdkafka_error_code();
    if matches!(code, Some(Code::ProducerFenced | Code::Fenced | Code::FencedInstanceId)) {
        return TransactionError::Fenced(text);
    }
    if matches!(code, Some(Code::IllegalGeneration | Code::UnknownMemberId | Code::RebalanceInProgress)) {
        return TransactionError::Stale(text);
    }
    match error {
        Rdkafka::Transaction(inner) if inner.txn_requires_abort() => TransactionError::Abort(inner.string()),
        Rdkafka::Transaction(inner) => TransactionError::Retire(inner.string()),
        // A record that was refused or not delivered spoils its transaction, not the producer.
        Rdkafka::MessageProduction(code) if !matches!(code, Code::Fatal | Code::State) => TransactionError::Abort(text),
        _ => TransactionError::Retire(text),
    }
}
