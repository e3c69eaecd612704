//! Whether partitions that show no model have nothing to say: their ticks are forecast, their predictions settled.
//!
//! Without it a cohort could close before a partition whose backlog is still being read, or whose event time is behind that of
//! the others, has shown its model. Ends are those of the log, not of what can be read: a commit is known to its group before
//! its markers have reached every partition.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::config::Config;
use crate::flow::time::{Interval, Micros};
use crate::io::kafka::topics::Topics;
use crate::io::kafka::{KafkaError, client};
use crate::machine::checkpoint::Checkpoint;
use crate::machine::judge::Question;
use crate::service::settle;

const TIMEOUT: Duration = Duration::from_secs(10);

/// A question on its way to an answer. Each stage is asked about what lay before it when the one before had finished: ends are
/// taken once, for a partition may be written to without end and still have nothing to say (its records are not wanted).
pub(super) struct Look {
    pub question: Question,
    ticks: Ends,
    /// Once the ticks are forecast.
    predictions: Option<Ends>,
    /// Once those predictions are settled: the answer holds for whoever has read the outcomes up to here.
    until: Option<i64>,
}

/// Where partitions begin and end.
type Ends = BTreeMap<i32, (i64, i64)>;

/// Knows the groups before the judge; never joins them.
pub(super) struct Quiet {
    forecast: BaseConsumer,
    settle: BaseConsumer,
    /// Asks for ends, those of open transactions included.
    log: BaseConsumer,
    topics: Topics,
    interval: Interval,
}

impl Quiet {
    /// # Errors
    /// When librdkafka refuses the settings.
    pub fn open(config: &Config) -> Result<Self, KafkaError> {
        let client = |group: &str, isolation: &str| {
            client::consumer(&config.kafka, group)
                .set("isolation.level", isolation)
                .create()
                .map_err(KafkaError::call(format!("making a client that looks at group {group}")))
        };
        Ok(Self {
            forecast: client(&config.kafka.group, "read_committed")?,
            settle: client(&settle::group(config, "settle"), "read_committed")?,
            log: client(&config.kafka.group, "read_uncommitted")?,
            topics: Topics::new(&config.kafka.topic_prefix),
            interval: config.bars.interval,
        })
    }

    /// Begins to look at the absent partitions of `question`.
    pub fn begin(&self, question: Question) -> Result<Look, KafkaError> {
        let ticks = self.ends(&self.topics.ticks, question.absent.iter())?;
        Ok(Look { question, ticks, predictions: None, until: None })
    }

    /// Looks again; whether the absent partitions have nothing to say, for who has read partition `partition` of the outcomes up
    /// to `next`.
    pub fn advance(&self, look: &mut Look, partition: i32, next: i64) -> Result<bool, KafkaError> {
        let interval = self.interval;
        if look.predictions.is_none() {
            let frontier = look.question.frontier;
            let closed =
                |checkpoint: Checkpoint| has_closed_all(&checkpoint, interval) && has_passed(&checkpoint, frontier);
            if reached(&self.forecast, &self.topics.ticks, &look.ticks, closed)? {
                look.predictions = Some(self.ends(&self.topics.predictions, look.ticks.keys())?);
            }
        }
        if let (Some(ends), None) = (&look.predictions, look.until)
            && reached(&self.settle, &self.topics.predictions, ends, |_| true)?
        {
            look.until = Some(self.bounds(&self.topics.outcomes, partition)?.1);
        }
        Ok(look.until.is_some_and(|until| next >= until))
    }

    fn ends<'a>(&self, topic: &str, partitions: impl Iterator<Item = &'a i32>) -> Result<Ends, KafkaError> {
        partitions.map(|&number| Ok((number, self.bounds(topic, number)?))).collect()
    }

    fn bounds(&self, topic: &str, partition: i32) -> Result<(i64, i64), KafkaError> {
        client::bounds(&self.log, topic, partition)
    }
}

/// Whether every cycle up to the watermark has run: a commit is allowed between two of them, with all ticks read.
fn has_closed_all(checkpoint: &Checkpoint, interval: Interval) -> bool {
    checkpoint.watermark.is_none_or(|watermark| checkpoint.closed >= Some(interval.open_of(watermark)))
}

/// Whether no bar up to `frontier` will come any more: the partition has come as far, or has no live symbol (the windows of a
/// live one need bars). Whoever is alive and behind may bring a model that is new elsewhere, and its rows would be late.
fn has_passed(checkpoint: &Checkpoint, frontier: Micros) -> bool {
    let (begin, end) = checkpoint.bars;
    begin == end || checkpoint.closed >= Some(frontier)
}

/// Whether a group has committed these ends, with checkpoints that are `finished`. An empty partition has nothing to commit.
fn reached(
    group: &BaseConsumer,
    topic: &str,
    ends: &Ends,
    finished: impl Fn(Checkpoint) -> bool,
) -> Result<bool, KafkaError> {
    let mut list = TopicPartitionList::new();
    for (&number, _) in ends.iter().filter(|(_, (low, high))| low < high) {
        list.add_partition(topic, number);
    }
    if list.count() == 0 {
        return Ok(true);
    }
    let committed = group
        .committed_offsets(list, TIMEOUT)
        .map_err(KafkaError::call(format!("reading the committed offsets of {topic}")))?;
    Ok(committed.elements().iter().all(|element| {
        let (_, high) = ends[&element.partition()];
        element.offset().to_raw().is_some_and(|offset| offset >= high)
            && element.metadata().parse().is_ok_and(&finished)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::time::SECOND;

    #[test]
    fn ticks_that_are_read_but_not_closed_are_not_worked_off() {
        let ten = Interval::from_seconds(10).unwrap();
        let at = |closed: Option<i64>, watermark: Option<i64>| {
            let of = |seconds: Option<i64>| seconds.map(|seconds| seconds * SECOND);
            let (closed, watermark) = (of(closed), of(watermark));
            has_closed_all(
                &Checkpoint { config_hash: 0, closed, watermark, resume: 0, bars: (0, 0), seen: 0, bad: 0 },
                ten,
            )
        };
        assert!(at(None, None) && at(Some(20), Some(20)) && at(Some(20), Some(29)));
        assert!(!at(None, Some(20)) && !at(Some(10), Some(20)) && !at(Some(10), Some(25)));
    }

    #[test]
    fn who_is_alive_and_behind_may_still_show_a_model() {
        let at = |closed: Option<i64>, bars: (i64, i64)| {
            let closed = closed.map(|seconds| seconds * SECOND);
            let checkpoint = Checkpoint { config_hash: 0, closed, watermark: closed, resume: 0, bars, seen: 0, bad: 0 };
            has_passed(&checkpoint, 30 * SECOND)
        };
        assert!(!at(Some(20), (5, 9)) && at(Some(30), (5, 9)) && at(Some(40), (5, 9)));
        assert!(at(None, (0, 0)) && at(Some(20), (9, 9)), "nobody waits for a partition without symbols");
    }
}
