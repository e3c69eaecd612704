//! How far in event time a topic of ticks has come, as its last records say.

use std::time::Duration;

use rdkafka::message::Message as _;

use super::KafkaError;
use super::reader::{Event, Reader, Start, Stop};
use crate::config::Config;
use crate::flow::tick::Record;
use crate::flow::time::Micros;
use crate::wire::tick;

/// How many records of each partition are looked at. The newest event is the last one or, with venues interleaved and
/// records that are bad or late, a few before it.
const LAST: i64 = 200;

/// The largest event time among the last records of every partition of `topic`, and its partition; `None` when there is
/// no good record.
///
/// # Errors
/// When Kafka fails.
pub fn newest_event(config: &Config, topic: &str) -> Result<Option<(Micros, i32)>, KafkaError> {
    let mut reader = Reader::open(&config.kafka, topic, None, Start::Last(LAST), Stop::End)?;
    let skew = config.bars.max_future_skew.micros();
    let mut newest = None;
    loop {
        match reader.next(Duration::from_secs(1))? {
            Event::Finished => return Ok(newest),
            Event::Idle => {}
            Event::Record(message) => {
                // What is ahead of its Kafka timestamp is dead-lettered: it moves nothing. Watermarks may lie an interval
                // ahead, as the forecaster has it.
                let now = message.timestamp().to_millis().map_or(Micros::MAX, |ms| ms.saturating_mul(1_000));
                let ahead = |slack: Micros| now.saturating_add(skew).saturating_add(slack);
                let time = match tick::decode(message.payload(), config.forecast.max_record_bytes) {
                    Ok(Record::Watermark(time)) if time <= ahead(config.bars.interval.micros()) => time,
                    Ok(Record::Trade(trade)) if trade.event_time <= ahead(0) => trade.event_time,
                    _ => continue,
                };
                newest = newest.max(Some((time, message.partition())));
            }
        }
    }
}
