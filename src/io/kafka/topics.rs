//! The topics: their names, how they must be made, and whether they are.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;

use super::{KafkaError, client};
use crate::config::Kafka;
use crate::flow::time::Interval;

/// Full names of the topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    /// Input.
    pub ticks: String,
    /// Closed bars.
    pub bars: String,
    /// Champions' predictions.
    pub predictions: String,
    /// Predictions settled against what the market did.
    pub outcomes: String,
    /// Accuracy reports.
    pub accuracy: String,
    /// The judge's own state; compacted.
    pub accuracy_state: String,
    /// Retrain requests and their ends; kept for ever.
    pub retrain: String,
    /// What could not be used.
    pub deadletter: String,
}

impl Topics {
    /// Names with `prefix` (such as `tickcast.`) before each.
    pub fn new(prefix: &str) -> Self {
        let name = |topic: &str| format!("{prefix}{topic}");
        Self {
            ticks: name("ticks"),
            bars: name("bars"),
            predictions: name("predictions"),
            outcomes: name("outcomes"),
            accuracy: name("accuracy"),
            accuracy_state: name("accuracy.state"),
            retrain: name("retrain"),
            deadletter: name("deadletter"),
        }
    }

    /// All of them, input first.
    pub fn all(&self) -> [&str; 8] {
        [
            &self.ticks,
            &self.bars,
            &self.predictions,
            &self.outcomes,
            &self.accuracy,
            &self.accuracy_state,
            &self.retrain,
            &self.deadletter,
        ]
    }
}

const TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait before looking again whether new topics are known.
const SETTLE: Duration = Duration::from_millis(100);
/// A month, in milliseconds: how long bars are kept at least.
const MONTH_MS: i64 = 2_592_000_000;
/// Bars in three windows of the reference model, whose 319 bars are those of most: what a restore may need, and room.
const BARS_KEPT: i64 = 3 * 319;
/// A week, in milliseconds.
const WEEK_MS: &str = "604800000";

/// What `apply` did to one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It was made.
    Created,
    /// It was there and is as it must be.
    Unchanged,
}

/// Creates the topics that are missing, with `partitions` each, and checks those that are there.
///
/// Bars are kept for a month or three windows of `interval`, whichever is longer. Timestamps are LogAppendTime: event times would let retention delete a replay of an old year.
///
/// # Errors
/// When a topic is there with another number of partitions or another timestamp type, or Kafka refuses.
pub async fn apply(
    config: &Kafka,
    partitions: i32,
    replication: i32,
    interval: Interval,
) -> Result<Vec<(String, Applied)>, KafkaError> {
    let topics = Topics::new(&config.topic_prefix);
    let admin = admin(config)?;
    let bars_retention = MONTH_MS.max(BARS_KEPT * interval.micros() / 1_000).to_string();
    let new: Vec<_> = topics
        .all()
        .into_iter()
        .map(|name| {
            let retention = if name == topics.bars { &bars_retention } else { WEEK_MS };
            NewTopic::new(name, partitions, TopicReplication::Fixed(replication))
                .set("message.timestamp.type", "LogAppendTime")
                .set("cleanup.policy", "delete")
                .set("retention.ms", retention)
        })
        .collect();
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT)).request_timeout(Some(TIMEOUT));
    let results = admin.create_topics(&new, &options).await.map_err(KafkaError::call("creating topics"))?;
    let mut applied = Vec::new();
    for result in results {
        match result {
            Ok(name) => applied.push((name, Applied::Created)),
            Err((name, RDKafkaErrorCode::TopicAlreadyExists)) => applied.push((name, Applied::Unchanged)),
            Err((name, code)) => {
                return Err(KafkaError::State(format!("topic {name} cannot be created: {code}")));
            }
        }
    }
    // A broker answers for a topic that was just made only when the controller's word has reached it.
    let created = applied.iter().any(|(_, applied)| *applied == Applied::Created);
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let problems = check(config, Some(partitions)).await?;
        if problems.is_empty() {
            return Ok(applied);
        }
        if !created || Instant::now() > deadline {
            return Err(KafkaError::State(problems.join("; ")));
        }
        tokio::time::sleep(SETTLE).await;
    }
}

/// Everything about the topics that would keep a role from running, in words; empty when all is well.
///
/// # Errors
/// When Kafka does not answer.
pub async fn check(config: &Kafka, partitions: Option<i32>) -> Result<Vec<String>, KafkaError> {
    let topics = Topics::new(&config.topic_prefix);
    let admin = admin(config)?;
    let mut problems = Vec::new();
    let mut expected = partitions;
    for name in topics.all() {
        let count = partition_count(&admin, name)?;
        match (count, expected) {
            (0, _) => problems.push(format!("topic {name} does not exist: run `tickcast topics apply --partitions N`")),
            (n, Some(e)) if n != e => problems.push(format!(
                "topic {name} has {n} partitions where {e} are needed: outputs have as many as {}; make it anew or alter it",
                topics.ticks
            )),
            (n, None) => expected = Some(n),
            _ => {}
        }
    }
    if problems.is_empty() {
        problems.extend(timestamp_problems(&admin, &topics).await?);
    }
    Ok(problems)
}

/// How many partitions `topic` has; 0 when it does not exist.
///
/// # Errors
/// When Kafka does not answer.
pub fn partition_count(admin: &AdminClient<DefaultClientContext>, topic: &str) -> Result<i32, KafkaError> {
    let metadata = admin
        .inner()
        .fetch_metadata(Some(topic), TIMEOUT)
        .map_err(KafkaError::call(format!("asking for the partitions of {topic}")))?;
    let found = metadata.topics().iter().find(|t| t.name() == topic && t.error().is_none());
    Ok(found.map_or(0, |t| i32::try_from(t.partitions().len()).unwrap_or(i32::MAX)))
}

/// An admin client.
///
/// # Errors
/// When librdkafka refuses the settings.
pub fn admin(config: &Kafka) -> Result<AdminClient<DefaultClientContext>, KafkaError> {
    client::base(config).create().map_err(KafkaError::call(format!("connecting to {}", config.brokers)))
}

async fn timestamp_problems(
    admin: &AdminClient<DefaultClientContext>,
    topics: &Topics,
) -> Result<Vec<String>, KafkaError> {
    let resources: Vec<_> = topics.all().into_iter().map(ResourceSpecifier::Topic).collect();
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
    let configs =
        admin.describe_configs(&resources, &options).await.map_err(KafkaError::call("reading the topics' settings"))?;
    let mut problems = Vec::new();
    for (name, config) in topics.all().into_iter().zip(configs) {
        let config: ConfigResource =
            config.map_err(|code| KafkaError::State(format!("the settings of topic {name} cannot be read: {code}")))?;
        let kind = config.get("message.timestamp.type").and_then(|entry| entry.value.as_deref());
        if kind != Some("LogAppendTime") {
            problems.push(format!(
                "topic {name} has message.timestamp.type={}: set LogAppendTime, or retention deletes replays of old years and the future guard means nothing",
                kind.unwrap_or("?")
            ));
        }
        let policy = config.get("cleanup.policy").and_then(|entry| entry.value.as_deref());
        if name == topics.bars && policy.is_some_and(|policy| policy.contains("compact")) {
            problems
                .push(format!("topic {name} is compacted: windows are restored from it, set cleanup.policy=delete"));
        }
    }
    Ok(problems)
}
