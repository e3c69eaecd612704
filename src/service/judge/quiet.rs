//! Whether partitions that show no model have nothing to say: their ticks are forecast, their predictions settled.
//!
//! Without it a cohort could close before a partition whose backlog is still being read has shown its model.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::config::Config;
use crate::io::kafka::topics::Topics;
use crate::io::kafka::{KafkaError, client};
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
    topics: Topics,
}

impl Quiet {
    /// # Errors
    /// When librdkafka refuses the settings.
    pub fn open(config: &Config) -> Result<Self, KafkaError> {
        let client = |group: &str| {
            client::consumer(&config.kafka, group)
                .create()
                .map_err(KafkaError::call(format!("making a client that looks at group {group}")))
        };
        Ok(Self {
            forecast: client(&config.kafka.group)?,
            settle: client(&settle::group(config, "settle"))?,
            topics: Topics::new(&config.kafka.topic_prefix),
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
        for (group, topic) in [(&self.forecast, &self.topics.ticks), (&self.settle, &self.topics.predictions)] {
            let mut ends = BTreeMap::new();
            for &number in &absent {
                ends.insert(number, self.bounds(topic, number)?);
            }
            let committed = committed(group, topic, &absent)?;
            for &number in &absent {
                let (low, high) = ends[&number];
                let done = low >= high || committed.get(&number).is_some_and(|offset| *offset >= high);
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
        self.forecast
            .fetch_watermarks(topic, partition, TIMEOUT)
            .map_err(KafkaError::call(format!("asking for the offsets of {topic}/{partition}")))
    }
}

fn committed(group: &BaseConsumer, topic: &str, partitions: &[i32]) -> Result<BTreeMap<i32, i64>, KafkaError> {
    let mut list = TopicPartitionList::new();
    for &number in partitions {
        list.add_partition(topic, number);
    }
    let committed = group
        .committed_offsets(list, TIMEOUT)
        .map_err(KafkaError::call(format!("reading the committed offsets of {topic}")))?;
    let offset = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
        Some((element.partition(), element.offset().to_raw().filter(|offset| *offset >= 0)?))
    };
    Ok(committed.elements().iter().filter_map(offset).collect())
}
