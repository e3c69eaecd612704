//! The topics: their names, making and correcting them, and whether they are as they must be ([`super::topic_settings`]).

use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigResource, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;

use super::reach::reach;
use super::topic_settings::{Setting, settings};
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

/// What `apply` did to one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It was made.
    Created,
    /// It was there, and these settings were corrected: `key=value (was value)`.
    Updated(Vec<String>),
    /// It was there and is as it must be.
    Unchanged,
}

/// Creates the topics that are missing, with `partitions` each, and corrects and checks those that are there.
///
/// Settings are those of [`settings`] for bars of `interval`; what an operator set otherwise stays where it does no harm, such
/// as a longer retention.
///
/// # Errors
/// When a topic is there with another number of partitions, or Kafka refuses.
pub async fn apply(
    config: &Kafka,
    partitions: i32,
    replication: i32,
    interval: Interval,
) -> Result<Vec<(String, Applied)>, KafkaError> {
    let topics = Topics::new(&config.topic_prefix);
    let admin = admin(config)?;
    let wanted: Vec<_> = topics.all().into_iter().map(|name| (name, settings(&topics, name, interval))).collect();
    // Nothing is made beside a topic that does not fit.
    let mut uneven = Vec::new();
    for name in topics.all() {
        let count = partition_count(&admin, name)?;
        if count != 0 && count != partitions {
            uneven.push(misfit(&topics, name, count, partitions));
        }
    }
    if !uneven.is_empty() {
        return Err(KafkaError::State(uneven.join("; ")));
    }
    let new: Vec<_> = wanted
        .iter()
        .map(|(name, settings)| {
            let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replication));
            settings.iter().fold(topic, |topic, setting| topic.set(setting.key, &setting.value))
        })
        .collect();
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT)).request_timeout(Some(TIMEOUT));
    let results = admin.create_topics(&new, &options).await.map_err(KafkaError::call("creating topics"))?;
    let mut applied = Vec::new();
    for result in results {
        match result {
            Ok(name) => applied.push((name, Applied::Created)),
            Err((name, RDKafkaErrorCode::TopicAlreadyExists)) => {
                let state = correct(&admin, &topics, &name, interval).await?;
                applied.push((name, state));
            }
            Err((name, code)) => {
                return Err(KafkaError::State(format!("topic {name} cannot be created: {code}")));
            }
        }
    }
    // A broker answers for a topic that was just made or altered only when the controller's word has reached it.
    let changed = applied.iter().any(|(_, applied)| *applied != Applied::Unchanged);
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let mut problems = check_by(&admin, &topics, Some(partitions), interval).await?;
        if problems.is_empty() {
            let made = applied.iter().filter(|(_, applied)| *applied == Applied::Created);
            problems
                .extend(made.filter_map(|(name, _)| not_led(&admin, name, partitions).transpose()).next().transpose()?);
        }
        if problems.is_empty() {
            return Ok(applied);
        }
        if !changed || Instant::now() > deadline {
            return Err(KafkaError::State(problems.join("; ")));
        }
        tokio::time::sleep(SETTLE).await;
    }
}

/// The first partition of a topic that was just made for which no broker speaks yet, in words: whoever asked for it now would be
/// refused.
fn not_led(
    admin: &AdminClient<DefaultClientContext>,
    topic: &str,
    partitions: i32,
) -> Result<Option<String>, KafkaError> {
    use RDKafkaErrorCode::{LeaderNotAvailable, NotLeaderForPartition, UnknownTopicOrPartition};
    for number in 0..partitions {
        let Err(error) = admin.inner().fetch_watermarks(topic, number, TIMEOUT) else { continue };
        return match error.rdkafka_error_code() {
            Some(code @ (LeaderNotAvailable | NotLeaderForPartition | UnknownTopicOrPartition)) => {
                Ok(Some(format!("topic {topic} [{number}] has no leader: {code}")))
            }
            _ => Err(KafkaError::call(format!("asking who leads {topic} [{number}]"))(error)),
        };
    }
    Ok(None)
}

/// Everything about the topics that would keep a role from running, or lose what it needs, in words; empty when all is well.
///
/// # Errors
/// When Kafka does not answer.
pub async fn check(config: &Kafka, partitions: Option<i32>, interval: Interval) -> Result<Vec<String>, KafkaError> {
    check_by(&admin(config)?, &Topics::new(&config.topic_prefix), partitions, interval).await
}

async fn check_by(
    admin: &AdminClient<DefaultClientContext>,
    topics: &Topics,
    partitions: Option<i32>,
    interval: Interval,
) -> Result<Vec<String>, KafkaError> {
    let mut problems = Vec::new();
    let mut expected = partitions;
    for name in topics.all() {
        let count = partition_count(admin, name)?;
        match (count, expected) {
            (0, _) => problems.push(format!("topic {name} does not exist: run `tickcast topics apply --partitions N`")),
            (n, Some(e)) if n != e => problems.push(misfit(topics, name, n, e)),
            (n, None) => expected = Some(n),
            _ => {}
        }
    }
    if problems.is_empty() {
        for (name, present) in topics.all().into_iter().zip(describe(admin, &topics.all()).await?) {
            for (setting, value) in wrong(settings(topics, name, interval), &present) {
                problems.push(setting.problem(name, &value));
            }
        }
    }
    Ok(problems)
}

/// That a topic has another number of partitions than it needs, and what to do.
fn misfit(topics: &Topics, name: &str, count: i32, needed: i32) -> String {
    let remedy = if count < needed {
        format!(
            "stop every process and give it {needed} with `kafka-topics.sh --alter --topic {name} --partitions {needed}`"
        )
    } else {
        "partitions cannot be taken away: make it anew, or take another kafka.topic_prefix and kafka.group".to_owned()
    };
    format!(
        "topic {name} has {count} partitions where {needed} are needed: outputs have as many as {}; {remedy}",
        topics.ticks
    )
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

/// An admin client of brokers that let us in.
///
/// # Errors
/// When they do not, see [`reach`].
pub fn admin(config: &Kafka) -> Result<AdminClient<DefaultClientContext>, KafkaError> {
    reach(config)?;
    client::base(config).create().map_err(KafkaError::call(format!("connecting to {}", config.brokers)))
}

/// The settings of topics that exist, in the order of `names`.
async fn describe(
    admin: &AdminClient<DefaultClientContext>,
    names: &[&str],
) -> Result<Vec<ConfigResource>, KafkaError> {
    let resources: Vec<_> = names.iter().copied().map(ResourceSpecifier::Topic).collect();
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
    let configs =
        admin.describe_configs(&resources, &options).await.map_err(KafkaError::call("reading the topics' settings"))?;
    let told = |(name, config): (&&str, Result<ConfigResource, RDKafkaErrorCode>)| {
        config.map_err(|code| KafkaError::State(format!("the settings of topic {name} cannot be read: {code}")))
    };
    names.iter().zip(configs).map(told).collect()
}

/// Those of `settings` that `present` does not keep, and what it has instead.
fn wrong(settings: Vec<Setting>, present: &ConfigResource) -> Vec<(Setting, String)> {
    let value = |key| present.get(key).and_then(|entry| entry.value.clone()).unwrap_or_default();
    settings
        .into_iter()
        .map(|setting| (value(setting.key), setting))
        .filter_map(|(value, setting)| (!setting.allows(&value)).then_some((setting, value)))
        .collect()
}

/// Sets what is wrong with a topic that is there.
async fn correct(
    admin: &AdminClient<DefaultClientContext>,
    topics: &Topics,
    name: &str,
    interval: Interval,
) -> Result<Applied, KafkaError> {
    let present = describe(admin, &[name]).await?.pop();
    let present =
        present.ok_or_else(|| KafkaError::State(format!("Kafka does not tell the settings of topic {name}")))?;
    let wrong = wrong(settings(topics, name, interval), &present);
    if wrong.is_empty() {
        return Ok(Applied::Unchanged);
    }
    // The call that rdkafka offers replaces all that was ever set on the topic: what is not ours goes with it unchanged.
    let mut alter = AlterConfig::new(ResourceSpecifier::Topic(name));
    for entry in present.entries.iter().filter(|entry| entry.source == ConfigSource::DynamicTopic) {
        if let Some(value) = &entry.value
            && !wrong.iter().any(|(setting, _)| setting.key == entry.name)
        {
            alter = alter.set(&entry.name, value);
        }
    }
    let alter = wrong.iter().fold(alter, |alter, (setting, _)| alter.set(setting.key, &setting.value));
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
    let results = admin
        .alter_configs([&alter], &options)
        .await
        .map_err(KafkaError::call(format!("altering the settings of topic {name}")))?;
    if let Some((_, code)) = results.into_iter().find_map(Result::err) {
        let settings: Vec<_> = wrong.iter().map(|(s, _)| format!("{}={}", s.key, s.value)).collect();
        return Err(KafkaError::State(format!(
            "the settings of topic {name} cannot be altered: {code}; allow AlterConfigs on it, or set {} with Kafka's own tools",
            settings.join(" ")
        )));
    }
    Ok(Applied::Updated(wrong.iter().map(|(s, was)| format!("{}={} (was {was})", s.key, s.value)).collect()))
}
