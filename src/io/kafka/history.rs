//! Reading what is committed in a topic from a given place, outside of any group: how windows come back.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as Rdkafka;
use rdkafka::message::Message;

use super::consumer::offsets;
use super::{KafkaError, client};
use crate::config::Kafka;

const TIMEOUT: Duration = Duration::from_secs(10);
const SLICE: Duration = Duration::from_millis(100);

/// A reader of committed records, assigned by hand.
pub struct History {
    consumer: Client,
    /// Asks for offsets only. A reader of committed records is told the last stable offset for the end, and that may lie
    /// before a committed record while somebody's transaction is open.
    log: Client,
    topic: String,
}

/// A committed record of the topic.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; none for a tombstone.
    pub value: Option<&'a [u8]>,
}

/// A client that is closed on a thread of its own: rdkafka waits for that in slices of 100 ms, and nobody needs to.
struct Client(Option<BaseConsumer>);

impl std::ops::Deref for Client {
    type Target = BaseConsumer;

    fn deref(&self) -> &BaseConsumer {
        self.0.as_ref().expect("taken by drop only")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let client = self.0.take();
        // Without a thread it is closed here.
        let _ = std::thread::Builder::new().name("close".to_owned()).spawn(move || drop(client));
    }
}

impl History {
    /// A reader of `topic`.
    ///
    /// # Errors
    /// When librdkafka refuses the settings.
    pub fn open(config: &Kafka, topic: &str) -> Result<Self, KafkaError> {
        // The group is only a name: nothing is joined or committed by a consumer that assigns itself.
        let mut settings = client::consumer(config, &format!("{}.history", config.group));
        // Windows come back in one go, in large fetches; what waits to be read takes memory that nobody needs afterwards.
        settings.set("fetch.message.max.bytes", "4194304").set("queued.max.messages.kbytes", "16384");
        let mut all = settings.clone();
        all.set("isolation.level", "read_uncommitted");
        let reader = |settings: ClientConfig| -> Result<Client, KafkaError> {
            let client = settings.create().map_err(KafkaError::call(format!("making a reader of {topic}")))?;
            Ok(Client(Some(client)))
        };
        Ok(Self { consumer: reader(settings)?, log: reader(all)?, topic: topic.to_owned() })
    }

    /// First and next offset of a partition's log, open transactions included.
    ///
    /// # Errors
    /// When Kafka does not answer.
    pub fn bounds(&self, partition: i32) -> Result<(i64, i64), KafkaError> {
        client::bounds(&*self.log, &self.topic, partition)
    }

    /// Reads `ranges` (partition to [begin, end)), giving each committed record to `each`.
    ///
    /// It does not finish before the record at `end - 1` was passed: commit markers reach partitions one by one, and reading
    /// only to the last stable offset would lose records in silence. `keep_going` is asked now and then.
    ///
    /// `false` when `keep_going` said no.
    ///
    /// # Errors
    /// When `each` or Kafka fails.
    pub fn read<E: From<KafkaError>>(
        &self,
        ranges: &HashMap<i32, (i64, i64)>,
        mut each: impl FnMut(i32, Stored<'_>) -> Result<(), E>,
        mut keep_going: impl FnMut() -> bool,
    ) -> Result<bool, E> {
        let mut open: HashMap<i32, i64> =
            ranges.iter().filter(|(_, (begin, end))| begin < end).map(|(&p, &(_, end))| (p, end)).collect();
        if open.is_empty() {
            return Ok(true);
        }
        let starts = ranges.iter().filter(|(p, _)| open.contains_key(p)).map(|(&p, &(begin, _))| (p, begin));
        self.assign(starts)?;
        let mut told = Instant::now();
        while !open.is_empty() {
            if !keep_going() {
                return Ok(false);
            }
            match self.consumer.poll(SLICE) {
                Some(Ok(message)) => {
                    let (partition, offset) = (message.partition(), message.offset());
                    let Some(&end) = open.get(&partition) else { continue };
                    if offset < end {
                        each(partition, Stored { offset, key: message.key(), value: message.payload() })?;
                    }
                    if offset + 1 >= end {
                        open.remove(&partition);
                    }
                }
                Some(Err(Rdkafka::PartitionEOF(_))) | None => {
                    if told.elapsed() > TIMEOUT {
                        told = Instant::now();
                        tracing::warn!(topic = self.topic, waiting = ?open, "waiting for committed records to become readable");
                    }
                }
                Some(Err(error)) => {
                    return Err(KafkaError::call(format!("reading {}", self.topic))(error).into());
                }
            }
        }
        self.consumer.unassign().map_err(KafkaError::call(format!("leaving {}", self.topic)))?;
        Ok(true)
    }

    /// Whether a partition holds a committed record.
    ///
    /// # Errors
    /// When Kafka does not answer.
    pub fn has_records(&self, partition: i32) -> Result<bool, KafkaError> {
        let (low, high) = self.bounds(partition)?;
        if low >= high {
            return Ok(false);
        }
        self.assign([(partition, low)])?;
        let deadline = Instant::now() + TIMEOUT;
        let found = loop {
            match self.consumer.poll(SLICE) {
                Some(Ok(message)) if message.partition() == partition => break true,
                Some(Err(Rdkafka::PartitionEOF(p))) if p == partition => break false,
                Some(Err(Rdkafka::PartitionEOF(_)) | Ok(_)) => {}
                Some(Err(error)) => return Err(KafkaError::call(format!("reading {}/{partition}", self.topic))(error)),
                None if Instant::now() > deadline => {
                    return Err(KafkaError::State(format!("{}/{partition} does not answer", self.topic)));
                }
                None => {}
            }
        };
        self.consumer.unassign().map_err(KafkaError::call(format!("leaving {}", self.topic)))?;
        Ok(found)
    }

    fn assign(&self, starts: impl IntoIterator<Item = (i32, i64)>) -> Result<(), KafkaError> {
        let list = offsets(&self.topic, starts)?;
        self.consumer.assign(&list).map_err(KafkaError::call(format!("reading {}", self.topic)))
    }
}
