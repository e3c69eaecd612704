//! Kafka without the program's help: records as a careless producer writes them, topics read byte for byte.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;

use super::stage::PATIENCE;

const ASK: Duration = Duration::from_secs(5);

/// The topics of one prefix.
pub struct Log {
    brokers: String,
    prefix: String,
    partitions: i32,
    name: String,
    /// Knows the group, never joins it.
    group: BaseConsumer,
    producer: BaseProducer,
}

/// A record as it was read.
#[derive(Clone, Debug)]
pub struct Read {
    pub partition: i32,
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: Option<Vec<u8>>,
    pub value: Vec<u8>,
    pub headers: BTreeMap<String, String>,
}

impl Read {
    /// Its value as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.value).expect("JSON")
    }
}

impl Log {
    pub fn new(brokers: &str, prefix: &str, group_name: &str, partitions: i32) -> Self {
        let client = || {
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", brokers);
            config
        };
        let group = client().set("group.id", group_name).create().expect("a consumer");
        let producer = client()
            .set("enable.idempotence", "true")
            .set("message.max.bytes", "1048576")
            .set("queue.buffering.max.messages", "200000")
            .create()
            .expect("a producer");
        let (brokers, prefix, name) = (brokers.to_owned(), prefix.to_owned(), group_name.to_owned());
        Self { brokers, prefix, partitions, name, group, producer }
    }

    /// The full name of a topic.
    pub fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Writes records (partition, key, value) to `ticks`, in order, and waits until they are there.
    pub fn produce<'a>(&self, records: impl IntoIterator<Item = (i32, Option<&'a [u8]>, Option<&'a [u8]>)>) {
        let topic = self.topic("ticks");
        for (partition, key, value) in records {
            let mut record = BaseRecord::<[u8], [u8]>::to(&topic).partition(partition);
            record.key = key;
            record.payload = value;
            self.producer.send(record).map_err(|(error, _)| error).expect("room in the queue");
        }
        self.producer.flush(PATIENCE).expect("delivered");
    }

    /// Writes texts to one partition of `ticks`.
    pub fn tell(&self, partition: i32, values: &[String]) {
        self.produce(values.iter().map(|value| (partition, None, Some(value.as_bytes()))));
    }

    /// Writes texts, each with its `traceparent` if it has one, to one partition of `ticks`.
    pub fn tell_traced(&self, partition: i32, values: &[(String, Option<String>)]) {
        let topic = self.topic("ticks");
        for (value, traceparent) in values {
            let mut record = BaseRecord::<[u8], [u8]>::to(&topic).partition(partition).payload(value.as_bytes());
            if let Some(text) = traceparent {
                let header = Header { key: "traceparent", value: Some(text) };
                record = record.headers(OwnedHeaders::new().insert(header));
            }
            self.producer.send(record).map_err(|(error, _)| error).expect("room in the queue");
        }
        self.producer.flush(PATIENCE).expect("delivered");
    }

    /// The group's committed offsets by partition, where there are any.
    pub fn committed(&self) -> BTreeMap<i32, i64> {
        self.committed_by(&self.group, "ticks")
    }

    fn committed_by(&self, group: &BaseConsumer, topic: &str) -> BTreeMap<i32, i64> {
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&self.topic(topic), 0, self.partitions - 1);
        let Ok(list) = group.committed_offsets(list, ASK) else { return BTreeMap::new() };
        list.elements().iter().filter_map(|e| Some((e.partition(), e.offset().to_raw().filter(|o| *o >= 0)?))).collect()
    }

    /// Commits an offset for the group as any other program would.
    pub fn commit_without_metadata(&self, partition: i32, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic("ticks"), partition, Offset::Offset(offset)).expect("an offset");
        self.group.commit(&list, rdkafka::consumer::CommitMode::Sync).expect("a commit");
    }

    /// How many members the group has.
    pub fn members(&self) -> usize {
        let list = self.group.fetch_group_list(Some(&self.name), PATIENCE).expect("the group");
        list.groups().iter().map(|group| group.members().len()).sum()
    }

    /// Records and markers in `topic`.
    pub fn written(&self, topic: &str) -> i64 {
        // A broker on a busy machine may lose its controller for a moment: what cannot be asked now holds nothing new.
        let end = |id| self.group.fetch_watermarks(&self.topic(topic), id, ASK).map_or(0, |(_, end)| end);
        (0..self.partitions).map(end).sum()
    }

    /// Whether the group has committed every record of `ticks`.
    pub fn drained(&self) -> bool {
        self.drained_by(&self.group, "ticks")
    }

    /// Whether the group of a role behind the forecasters has committed every record of `topic`.
    pub fn worked_off(&self, role: &str, topic: &str) -> bool {
        let name = format!("{}.{role}", self.name);
        let group = ClientConfig::new().set("bootstrap.servers", &self.brokers).set("group.id", name).create();
        self.drained_by(&group.expect("a consumer"), topic)
    }

    fn drained_by(&self, group: &BaseConsumer, topic: &str) -> bool {
        let committed = self.committed_by(group, topic);
        (0..self.partitions).all(|id| {
            let Ok((_, end)) = group.fetch_watermarks(&self.topic(topic), id, ASK) else { return false };
            committed.get(&id).is_some_and(|&offset| offset >= end)
        })
    }

    /// Every committed record of a topic. What is transacted may still lack its markers: these are waited for.
    pub fn read(&self, name: &str) -> Vec<Read> {
        let topic = self.topic(name);
        let reader: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", "reads-without-a-group")
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .create()
            .expect("a consumer");
        let begin = Instant::now();
        let mut list = TopicPartitionList::new();
        for id in 0..self.partitions {
            let end = |client: &BaseConsumer| client.fetch_watermarks(&topic, id, ASK).expect("offsets").1;
            let high = self.high(&topic, id);
            while end(&reader) < high {
                assert!(begin.elapsed() < PATIENCE, "{topic}/{id} holds an open transaction");
                std::thread::sleep(Duration::from_millis(10));
            }
            list.add_partition_offset(&topic, id, Offset::Beginning).expect("an offset");
        }
        reader.assign(&list).expect("an assignment");
        let (mut records, mut left) = (Vec::new(), self.partitions);
        while left > 0 {
            assert!(begin.elapsed() < PATIENCE, "{topic} is not read in time");
            match reader.poll(Duration::from_millis(200)) {
                None => {}
                Some(Err(KafkaError::PartitionEOF(_))) => left -= 1,
                Some(Err(error)) => panic!("{topic}: {error}"),
                Some(Ok(message)) => records.push(Read {
                    partition: message.partition(),
                    offset: message.offset(),
                    timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
                    key: message.key().map(<[u8]>::to_vec),
                    value: message.payload().unwrap_or_default().to_vec(),
                    headers: message.headers().map_or_else(BTreeMap::new, |headers| {
                        let text =
                            |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
                        headers.iter().map(|header| (header.key.to_owned(), text(header.value))).collect()
                    }),
                }),
            }
        }
        records
    }

    /// The end of a partition, open transactions included.
    fn high(&self, topic: &str, id: i32) -> i64 {
        let reader: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", "reads-without-a-group")
            .set("isolation.level", "read_uncommitted")
            .create()
            .expect("a consumer");
        reader.fetch_watermarks(topic, id, ASK).expect("offsets").1
    }
}

/// A trade of size 1 as a producer writes it.
pub fn trade(symbol: &str, time: i64, price: f64) -> String {
    format!(r#"{{"symbol":"{symbol}","price":{price},"size":1,"event_time":{time}}}"#)
}

/// A gap record.
pub fn gap(symbol: &str, from: i64, to: i64) -> String {
    format!(r#"{{"kind":"gap","symbol":"{symbol}","from":{from},"to":{to}}}"#)
}

/// A watermark record.
pub fn watermark(time: i64) -> String {
    format!(r#"{{"kind":"watermark","event_time":{time}}}"#)
}
