//! Accepting a start that a lane refuses: a new checkpoint, committed for a group at rest. The forecasters' lies after the last
//! close in `bars`, that of settle and judge at the end of their input.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::{at_rest, forecast, judge, settle};
use crate::config::Config;
use crate::flow::bar::Bar;
use crate::flow::tick::Record;
use crate::flow::time::{Interval, Micros};
use crate::io::kafka::reader::{self, Event, Start, Stop};
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

/// A role that restores from its committed offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Reader {
    /// Of ticks.
    Forecast,
    /// Of predictions.
    Settle,
    /// Of outcomes.
    Judge,
}

impl Reader {
    /// Its input topic.
    pub fn input(self, config: &Config) -> String {
        let topics = Topics::new(&config.kafka.topic_prefix);
        match self {
            Self::Forecast => topics.ticks,
            Self::Settle => topics.predictions,
            Self::Judge => topics.outcomes,
        }
    }

    /// Its consumer group.
    pub fn group(self, config: &Config) -> String {
        match self {
            Self::Forecast => config.kafka.group.clone(),
            Self::Settle => settle::group(config, "settle"),
            Self::Judge => settle::group(config, "judge"),
        }
    }
}

/// Commits, for the partitions `only` or, when it is empty, every one, a start that `role` takes up. Members of its group that
/// are dead are waited for, which `tell` is told.
///
/// # Errors
/// When Kafka does not answer, or a process is alive in the group.
pub fn accept(
    config: &Config,
    role: Reader,
    only: &[i32],
    tell: &mut dyn FnMut(&str),
) -> anyhow::Result<Vec<Accepted>> {
    at_rest::wait(config, &role.group(config), tell)?;
    match role {
        Reader::Forecast => accept_ticks(config, only),
        Reader::Settle | Reader::Judge => accept_end(config, role, only),
    }
}

/// The end of the input, with whatever state lies in the history.
fn accept_end(config: &Config, role: Reader, only: &[i32]) -> anyhow::Result<Vec<Accepted>> {
    let (input, group) = (role.input(config), role.group(config));
    let config_hash = if role == Reader::Settle { settle::config_hash(config)? } else { judge::config_hash(config)? };
    let consumer: BaseConsumer = client::consumer(&config.kafka, &group).create()?;
    let mut list = TopicPartitionList::new();
    let mut accepted = Vec::new();
    for number in numbers(config, &input, only)? {
        let (_, offset) = consumer.fetch_watermarks(&input, number, TIMEOUT)?;
        let bars = match role {
            Reader::Judge => written(config, &Topics::new(&config.kafka.topic_prefix).accuracy_state, number)?,
            _ => (0, 0),
        };
        let checkpoint =
            Checkpoint { config_hash, closed: None, watermark: None, resume: offset, bars, seen: 0, bad: 0 };
        let mut element = list.add_partition(&input, number);
        element.set_offset(Offset::Offset(offset))?;
        element.set_metadata(checkpoint.to_string());
        accepted.push(Accepted { partition: number, offset, closed: None });
    }
    commit(&consumer, &list, &group)?;
    Ok(accepted)
}

/// First and last + 1 offset of the records of a partition.
fn written(config: &Config, topic: &str, number: i32) -> anyhow::Result<(i64, i64)> {
    let mut range = None;
    let mut reader = reader::Reader::open(&config.kafka, topic, Some(number), Start::Beginning, Stop::End)?;
    loop {
        match reader.next(SLICE)? {
            Event::Record(message) => {
                let (first, _) = range.unwrap_or((message.offset(), 0));
                range = Some((first, message.offset() + 1));
            }
            Event::Idle => {}
            Event::Finished => return Ok(range.unwrap_or((0, 0))),
        }
    }
}

/// The partitions of a topic, or those that are wanted.
fn numbers(config: &Config, topic: &str, only: &[i32]) -> anyhow::Result<Vec<i32>> {
    let count = topics::partition_count(&topics::admin(&config.kafka)?, topic)?;
    anyhow::ensure!(count > 0, topics::absent(topic));
    if let Some(number) = only.iter().find(|number| !(0..count).contains(*number)) {
        anyhow::bail!("{topic} has no partition {number}");
    }
    Ok((0..count).filter(|number| only.is_empty() || only.contains(number)).collect())
}

fn commit(consumer: &BaseConsumer, list: &TopicPartitionList, group: &str) -> anyhow::Result<()> {
    consumer
        .commit(list, CommitMode::Sync)
        .with_context(|| format!("committing for group {group}: has a process of it been started meanwhile?"))
}

/// Commits a start after the last close in `bars`: at the first tick whose bar ends later.
/// Ticks of bars up to that close that come again are late. The group must have no members.
fn accept_ticks(config: &Config, only: &[i32]) -> anyhow::Result<Vec<Accepted>> {
    let topics = Topics::new(&config.kafka.topic_prefix);
    let admin = topics::admin(&config.kafka)?;
    let identity = topic_id::identity(admin.inner(), &topics.ticks, TIMEOUT)?;
    let config_hash = forecast::rules(config)?.fingerprint(&identity.to_string());
    let needed = forecast::champion(config)?.spec().bars_needed();
    let consumer: BaseConsumer = client::consumer(&config.kafka, &config.kafka.group).create()?;
    let interval = config.bars.interval;
    let mut list = TopicPartitionList::new();
    let mut accepted = Vec::new();
    for number in numbers(config, &topics.ticks, only)? {
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
    commit(&consumer, &list, &config.kafka.group)?;
    Ok(accepted)
}

fn read_bars(config: &Config, topic: &str, number: i32) -> anyhow::Result<Tail> {
    let mut tail = Tail::default();
    let mut reader = reader::Reader::open(&config.kafka, topic, Some(number), Start::Beginning, Stop::End)?;
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
    let mut reader = reader::Reader::open(&config.kafka, topic, Some(number), Start::Beginning, Stop::End)?;
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
