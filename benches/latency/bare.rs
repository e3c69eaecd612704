//! What the lane's promises cost at the least: consume, produce, commit exactly once, with nothing computed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, Message as _, OwnedHeaders};
use rdkafka::{Offset, TopicPartitionList};
use tickcast::config::Config;
use tickcast::io::kafka::client;
use tickcast::io::kafka::producer::{Outgoing, Transactions};
use tickcast::io::kafka::topics::Topics;

use crate::feed::{Feed, Schedule};
use crate::{PREDICTIONS, SYMBOLS};

/// Bytes of a record of the lane.
const BAR_BYTES: usize = 330;
const PREDICTION_BYTES: usize = 620;

/// Consumes the ticks of `feed`; at every one that would close a bar, writes as many records as the lane would, and commits.
pub fn start(config: &Arc<Config>, feed: &Feed, ended: &Arc<AtomicBool>) -> JoinHandle<()> {
    let (config, schedule, ended) = (Arc::clone(config), feed.schedule, Arc::clone(ended));
    std::thread::spawn(move || run(&config, schedule, &ended))
}

fn run(config: &Config, schedule: Schedule, ended: &AtomicBool) {
    let topics = Topics::new(&config.kafka.topic_prefix);
    let mut producer = Transactions::connect(&config.kafka, &format!("{}bare", topics.ticks)).expect("a producer");
    let consumer: BaseConsumer = client::consumer(&config.kafka, &config.kafka.group)
        .set("queued.max.messages.kbytes", "65536")
        .set("fetch.message.max.bytes", "4194304")
        .create()
        .expect("a consumer");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topics.ticks, 0, Offset::Offset(0)).expect("an offset");
    consumer.assign(&list).expect("assigned");
    // Numbers that do not repeat: text as compressible as a record.
    let pad = |bytes: usize| -> String {
        (0_u64..).flat_map(|n| format!("{},", n * 7_919).into_bytes()).map(char::from).take(bytes).collect()
    };
    let (bar, prediction) = (pad(BAR_BYTES), pad(PREDICTION_BYTES));
    while !ended.load(Ordering::Acquire) {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(20)) else { continue };
        let Some(end) = schedule.closes(message.offset()) else { continue };
        let group = consumer.group_metadata().expect("a group");
        producer.begin().expect("begun");
        let mut send = |topic: &str, text: &str| {
            let value = format!("{end},{}", &text[17..]);
            let headers = OwnedHeaders::new().insert(Header { key: "schema_version", value: Some("1") });
            let key = message.key();
            let record = Outgoing { topic, partition: 0, key, value: value.as_bytes(), headers, tag: None };
            producer.send(record).expect("sent");
        };
        (0..SYMBOLS).for_each(|_| send(&topics.bars, &bar));
        (0..PREDICTIONS).for_each(|_| send(&topics.predictions, &prediction));
        producer.drain().expect("delivered");
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&topics.ticks, 0, Offset::Offset(message.offset() + 1)).expect("an offset");
        producer.commit(&offsets, &group).expect("committed");
    }
}
