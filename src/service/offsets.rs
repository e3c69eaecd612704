//! Accepting a start that the lanes refuse: a checkpoint after the last close in `bars`, committed for a group at rest.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::forecast;
use crate::config::Config;
use crate::flow::bar::Bar;
use crate::flow::tick::Record;
use crate::flow::time::{Interval, Micros};
use crate::io::kafka::reader::{Event, Reader, Start, Stop};
use crate::io::kafka::topics::{self, Topics};
use crate::io::kafka::{client, topic_id};
use crate::machine::checkpoint::Checkpoint;
use crate::wire;

const TIMEOUT: Duration = Duration::from_secs(30);
const SLICE: Duration = Duration::from_millis(200);

/// What the bars of one partition leave to go on from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// Latest close.
    closed: Option<Micros>,
    /// Whether every bar has the configured interval.
    foreign: bool,
    /// First offset of each cycle.
    cycles: BTreeMap<Micros, i64>,
    /// Offset after the last bar.
    end: i64,
}

impl Tail {
    /// Takes a bar in the order of the log.
    fn push(&mut self, close_time: Micros, interval: Interval, expected: Interval, offset: i64) {
        self.closed = self.closed.max(Some(close_time));
        self.foreign |= interval != expected;
        self.cycles.entry(close_time).or_insert(offset);
        self.end = offset + 1;
    }

    /// W, rounded up to a bar's end of `interval`.
    fn restart(&self, interval: Interval) -> Option<Micros> {
        self.closed.map(|closed| interval.close_of(closed - 1))
    }

    /// The bars that windows of `needed` bars can be restored from; none of another interval.
    fn bars(&self, interval: Interval, needed: usize) -> (i64, i64) {
        let Some(closed) = self.closed.filter(|_| !self.foreign) else { return (self.end, self.end) };
        let span = i64::try_from(needed).unwrap_or(i64::MAX).saturating_mul(interval.micros());
        let first = self.cycles.range(closed.saturating_sub(span) + 1..).next();
        (first.map_or(self.end, |(_, &offset)| offset), self.end)
    }
}

/// What was accepted for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The partition.
    pub partition: i32,
    /// Offset in `ticks` where reading begins.
    pub offset: i64,
    /// Every bar up to this end counts as closed.
    pub closed: Option<Micros>,
}

/// Commits, for `only` or every partition, a start after the last close in `bars`: at the first tick whose bar ends later.
/// Ticks of bars up to that close that come again are late. The group must have no members.
///
/// # Errors
/// When Kafka does not answer, or the group is active.
pub fn accept(config: &Config, only: Option<i32>) -> anyhow::Result<Vec<Accepted>> {
    let topics = Topics::new(&config.kafka.topic_prefix);
    let admin = topics::admin(&config.kafka)?;
    let identity = topic_id::identity(admin.inner(), &topics.ticks, TIMEOUT)?;
    let config_hash = forecast::rules(config)?.fingerprint(&identity.to_string());
    let needed = forecast::champion(config)?.spec().bars_needed();
    let count = topics::partition_count(&admin, &topics.ticks)?;
    anyhow::ensure!(count > 0, "topic {} does not exist", topics.ticks);
    let numbers: Vec<i32> = (0..count).filter(|number| only.is_none_or(|only| only == *number)).collect();
    anyhow::ensure!(!numbers.is_empty(), "{} has no partition {}", topics.ticks, only.unwrap_or(-1));
    let consumer: BaseConsumer = client::consumer(&config.kafka, &config.kafka.group).create()?;
    let interval = config.bars.interval;
    let mut list = TopicPartitionList::new();
    let mut accepted = Vec::new();
    for number in numbers {
        let tail = read_bars(config, &topics.bars, number)?;
        let closed = tail.restart(interval);
        let offset = first_tick_after(config, &topics.ticks, number, closed, &consumer)?;
        let checkpoint = Checkpoint {
            config_hash,
            closed,
            watermark: closed,
            resume: offset,
            bars: if closed == tail.closed { tail.bars(interval, needed) } else { (tail.end, tail.end) },
            seen: 0,
            bad: 0,
        };
        let mut element = list.add_partition(&topics.ticks, number);
        element.set_offset(Offset::Offset(offset))?;
        element.set_metadata(checkpoint.to_string());
        accepted.push(Accepted { partition: number, offset, closed });
    }
    consumer
        .commit(&list, CommitMode::Sync)
        .with_context(|| format!("committing for group {}: stop every forecaster of it first", config.kafka.group))?;
    Ok(accepted)
}

fn read_bars(config: &Config, topic: &str, number: i32) -> anyhow::Result<Tail> {
    let mut tail = Tail::default();
    let mut reader = Reader::open(&config.kafka, topic, Some(number), Start::Beginning, Stop::End)?;
    loop {
        match reader.next(SLICE)? {
            Event::Record(message) => {
                let payload = message.payload().unwrap_or_default();
                let bar = wire::bar::decode(payload).and_then(Bar::try_from);
                let bar = bar.with_context(|| format!("{topic}/{number} offset {}", message.offset()))?;
                tail.push(bar.close_time, bar.interval, config.bars.interval, message.offset());
            }
            Event::Idle => {}
            Event::Finished => return Ok(tail),
        }
    }
}

/// Offset of the first trade whose bar ends after `closed`; the end of the partition when there is none.
fn first_tick_after(
    config: &Config,
    topic: &str,
    number: i32,
    closed: Option<Micros>,
    consumer: &BaseConsumer,
) -> anyhow::Result<i64> {
    let (low, high) = consumer.fetch_watermarks(topic, number, TIMEOUT)?;
    let Some(closed) = closed else { return Ok(low) };
    let mut reader = Reader::open(&config.kafka, topic, Some(number), Start::Beginning, Stop::End)?;
    loop {
        match reader.next(SLICE)? {
            Event::Record(message) => {
                let decoded = wire::tick::decode(message.payload(), config.forecast.max_record_bytes);
                if let Ok(Record::Trade(trade)) = decoded
                    && config.bars.interval.close_of(trade.event_time) > closed
                {
                    return Ok(message.offset());
                }
            }
            Event::Idle => {}
            Event::Finished => return Ok(high),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::time::SECOND;

    #[test]
    fn restarts_after_the_last_close_with_the_bars_a_window_needs() {
        let ten = Interval::from_seconds(10).unwrap();
        let mut tail = Tail::default();
        for (n, offset) in [(1, 4), (1, 5), (2, 6), (3, 9)] {
            tail.push(n * 10 * SECOND, ten, ten, offset);
        }
        assert_eq!(tail.restart(ten), Some(30 * SECOND));
        assert_eq!(tail.bars(ten, 2), (6, 10));
        assert_eq!(tail.bars(ten, 100), (4, 10));
    }

    #[test]
    fn bars_of_another_interval_are_left_behind() {
        let (ten, minute) = (Interval::from_seconds(10).unwrap(), Interval::from_seconds(60).unwrap());
        let mut tail = Tail::default();
        tail.push(130 * SECOND, ten, minute, 7);
        assert_eq!(tail.restart(minute), Some(180 * SECOND));
        assert_eq!(tail.bars(minute, 9), (8, 8));
        assert_eq!(Tail::default().restart(ten), None);
    }
}
