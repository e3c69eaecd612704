//! Whether partitions that show no model have nothing to say: their ticks are forecast, their predictions settled.
//!
//! Without it a cohort could close before a partition whose backlog is still being read has shown its model. Ends are those of
//! the log, not of what can be read: a commit is known to its group before its markers have reached every partition.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::config::Config;
use crate::flow::time::Interval;
use crate::io::kafka::topics::Topics;
use crate::io::kafka::{KafkaError, client};
use crate::machine::checkpoint::Checkpoint;
use crate::machine::judge::Question;
use crate::service::settle;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Questions that were answered with yes, true for whoever has read the outcomes up to `until`.
pub(super) struct Look {
    pub answered: Vec<Question>,
    pub until: i64,
}

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

    /// Looks at the absent partitions of `questions`; none when no question can be answered yet. Each stage is asked before
    /// the next, so what one has finished is in the bounds of what follows.
    pub fn look(&self, partition: i32, questions: Vec<Question>) -> Result<Option<Look>, KafkaError> {
        let absent: Vec<i32> = questions
            .iter()
            .flat_map(|question| question.absent.iter().copied())
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect();
        let mut quiet = BTreeMap::new();
        let worked_off = |checkpoint: Checkpoint| has_closed_all(&checkpoint, self.interval);
        let always = |_| true;
        let stages: [(_, _, &dyn Fn(Checkpoint) -> bool); 2] =
            [(&self.forecast, &self.topics.ticks, &worked_off), (&self.settle, &self.topics.predictions, &always)];
        for (group, topic, finished) in stages {
            let mut ends = BTreeMap::new();
            for &number in &absent {
                ends.insert(number, self.bounds(topic, number)?);
            }
            let committed = committed(group, topic, &absent)?;
            for &number in &absent {
                let (low, high) = ends[&number];
                let reached =
                    |(offset, metadata): &(i64, String)| *offset >= high && metadata.parse().is_ok_and(finished);
                let done = low >= high || committed.get(&number).is_some_and(reached);
                quiet.entry(number).and_modify(|all| *all &= done).or_insert(done);
            }
        }
        let answered: Vec<Question> = questions
            .into_iter()
            .filter(|question| question.absent.iter().all(|p| quiet.get(p) == Some(&true)))
            .collect();
        if answered.is_empty() {
            return Ok(None);
        }
        Ok(Some(Look { answered, until: self.bounds(&self.topics.outcomes, partition)?.1 }))
    }

    fn bounds(&self, topic: &str, partition: i32) -> Result<(i64, i64), KafkaError> {
        client::bounds(&self.log, topic, partition)
    }
}

/// Whether every cycle up to the watermark has run: a commit is allowed between two of them, with all ticks read.
fn has_closed_all(checkpoint: &Checkpoint, interval: Interval) -> bool {
    checkpoint.watermark.is_none_or(|watermark| checkpoint.closed >= Some(interval.open_of(watermark)))
}

fn committed(
    group: &BaseConsumer,
    topic: &str,
    partitions: &[i32],
) -> Result<BTreeMap<i32, (i64, String)>, KafkaError> {
    let mut list = TopicPartitionList::new();
    for &number in partitions {
        list.add_partition(topic, number);
    }
    let committed = group
        .committed_offsets(list, TIMEOUT)
        .map_err(KafkaError::call(format!("reading the committed offsets of {topic}")))?;
    let offset = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
        let offset = element.offset().to_raw().filter(|offset| *offset >= 0)?;
        Some((element.partition(), (offset, element.metadata().to_owned())))
    };
    Ok(committed.elements().iter().filter_map(offset).collect())
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
}
