//! How far in event time a topic of ticks has come, as its last records say, and where it begins.

use std::collections::BTreeSet;
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

/// What the last records of a topic say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The largest event time, and the partition that holds it; none where there is no good record.
    pub newest: Option<(Micros, i32)>,
    /// Symbols of the trades.
    pub symbols: BTreeSet<String>,
}

/// Looks at the last records of every partition of `topic`.
///
/// # Errors
/// When Kafka fails.
pub fn look(config: &Config, topic: &str) -> Result<Held, KafkaError> {
    let mut reader = Reader::open(&config.kafka, topic, None, Start::Last(LAST), Stop::End)?;
    let skew = config.bars.max_future_skew.micros();
    let mut held = Held::default();
    loop {
        match reader.next(Duration::from_secs(1))? {
            Event::Finished => return Ok(held),
            Event::Idle => {}
            Event::Record(message) => {
                // What is ahead of its Kafka timestamp is dead-lettered: it moves nothing. Watermarks may lie an interval
                // ahead, as the forecaster has it.
                let now = message.timestamp().to_millis().map_or(Micros::MAX, |ms| ms.saturating_mul(1_000));
                let ahead = |slack: Micros| now.saturating_add(skew).saturating_add(slack);
                let time = match tick::decode(message.payload(), config.forecast.max_record_bytes) {
                    Ok(Record::Watermark(time)) if time <= ahead(config.bars.interval.micros()) => time,
                    Ok(Record::Trade(trade)) if trade.event_time <= ahead(0) => {
                        if !held.symbols.contains(trade.symbol.as_ref()) {
                            held.symbols.insert(trade.symbol.into_owned());
                        }
                        trade.event_time
                    }
                    _ => continue,
                };
                held.newest = held.newest.max(Some((time, message.partition())));
            }
        }
    }
}

/// Event time of the first trade that `topic` holds, over all partitions; none where there is no good record.
///
/// # Errors
/// When Kafka fails.
pub fn oldest(config: &Config, topic: &str) -> Result<Option<Micros>, KafkaError> {
    let partitions = Reader::open(&config.kafka, topic, None, Start::End, Stop::Never)?.partitions();
    let mut oldest = None;
    for partition in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
        let mut reader = Reader::open(&config.kafka, topic, Some(partition), Start::Beginning, Stop::End)?;
        let first = loop {
            match reader.next(Duration::from_secs(1))? {
                Event::Finished => break None,
                Event::Idle => {}
                Event::Record(message) => {
                    if let Ok(Record::Trade(trade)) = tick::decode(message.payload(), config.forecast.max_record_bytes)
                    {
                        break Some(trade.event_time);
                    }
                }
            }
        };
        oldest = [oldest, first].into_iter().flatten().min();
    }
    Ok(oldest)
}
