//! What the library asks of Kafka itself.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tickcast::config::Kafka;
use tickcast::io::kafka::topics::{Applied, Topics};
use tickcast::io::kafka::{KafkaError, client, topic_id, topics};

use crate::support;

const TIMEOUT: Duration = Duration::from_secs(20);

#[test]
fn a_topic_made_anew_is_another_topic() {
    let Some(_) = support::kafka() else { return };
    let config = support::settings(&support::unique("identity"), &[]).kafka;
    let topic = topics::Topics::new(&config.topic_prefix).bars;
    let admin = topics::admin(&config).unwrap();
    let runtime = support::runtime();

    let unknown = topic_id::identity(admin.inner(), &topic, TIMEOUT).unwrap_err().to_string();
    assert!(unknown.contains(&topic), "{unknown}");

    runtime.block_on(topics::apply(&config, 1, 1, "10s".parse().unwrap())).unwrap();
    let first = topic_id::identity(admin.inner(), &topic, TIMEOUT).unwrap();
    assert_eq!(topic_id::identity(admin.inner(), &topic, TIMEOUT).unwrap(), first);
    assert!(!first.cluster_id.is_empty() && first.topic_id.len() == 22, "{first:?}");

    runtime.block_on(admin.delete_topics(&[&topic], &AdminOptions::new())).unwrap();
    // Deletion is not at once everywhere: the same name may be refused, or be answered for, a moment longer.
    let second = (0..100).find_map(|_| {
        std::thread::sleep(Duration::from_millis(50));
        runtime.block_on(topics::apply(&config, 1, 1, "10s".parse().unwrap())).ok()?;
        topic_id::identity(admin.inner(), &topic, TIMEOUT).ok().filter(|second| *second != first)
    });
    let second = second.expect("the topic is made anew within five seconds");
    assert_eq!(second.cluster_id, first.cluster_id);
}

#[test]
fn a_broker_that_is_absent_is_an_error_in_time() {
    let config = support::settings("absent", &["kafka.brokers=127.0.0.1:1"]).kafka;
    let client: BaseConsumer = client::base(&config).create().unwrap();
    let begin = std::time::Instant::now();
    assert!(topic_id::topic_id(client.client(), "absent", Duration::from_millis(300)).is_err());
    assert!(begin.elapsed() < Duration::from_secs(5));
}

/// The settings that were made for a topic, as Kafka tells them.
fn setting(config: &Kafka, topic: &str, key: &str) -> Option<String> {
    let admin = topics::admin(config).unwrap();
    let resource = [ResourceSpecifier::Topic(topic)];
    let told = support::runtime().block_on(admin.describe_configs(&resource, &AdminOptions::new())).unwrap();
    told[0].as_ref().unwrap().get(key).and_then(|entry| entry.value.clone())
}

fn apply(config: &Kafka, interval: &str) -> Result<Vec<(String, Applied)>, KafkaError> {
    support::runtime().block_on(topics::apply(config, 1, 1, interval.parse().unwrap()))
}

fn check(config: &Kafka, interval: &str) -> Vec<String> {
    support::runtime().block_on(topics::check(config, None, interval.parse().unwrap())).unwrap()
}

#[test]
fn topics_are_made_as_their_readers_need_them() {
    let Some(_) = support::kafka() else { return };
    let config = support::settings(&support::unique("made"), &[]).kafka;
    let names = Topics::new(&config.topic_prefix);
    let made = apply(&config, "10s").unwrap();
    assert!(made.len() == 8 && made.iter().all(|(_, applied)| *applied == Applied::Created), "{made:?}");
    let wanted = [
        (&names.bars, "retention.ms", "2592000000"),
        (&names.outcomes, "retention.ms", "2592000000"),
        (&names.accuracy, "retention.ms", "2592000000"),
        (&names.retrain, "retention.ms", "-1"),
        (&names.outcomes, "cleanup.policy", "delete"),
        (&names.accuracy_state, "cleanup.policy", "compact"),
        (&names.accuracy_state, "segment.bytes", "16777216"),
        (&names.accuracy_state, "min.cleanable.dirty.ratio", "0.1"),
        (&names.accuracy_state, "message.timestamp.type", "LogAppendTime"),
    ];
    for (topic, key, value) in wanted {
        assert_eq!(setting(&config, topic, key).as_deref(), Some(value), "{topic} {key}");
    }
    assert_eq!(check(&config, "10s"), [""; 0]);
    let again = apply(&config, "10s").unwrap();
    assert!(again.iter().all(|(_, applied)| *applied == Applied::Unchanged), "{again:?}");
    // Longer bars need a longer memory.
    assert!(check(&config, "1h")[0].contains("retention.ms=2592000000"), "{:?}", check(&config, "1h"));
    let longer = apply(&config, "1h").unwrap();
    let updated = Applied::Updated(vec!["retention.ms=3445200000 (was 2592000000)".to_owned()]);
    assert!(longer.contains(&(names.bars.clone(), updated)), "{longer:?}");
    assert_eq!(longer.iter().filter(|(_, applied)| *applied == Applied::Unchanged).count(), 7);
    // And what is kept for longer than needed stays.
    assert!(apply(&config, "10s").unwrap().iter().all(|(_, applied)| *applied == Applied::Unchanged));
}

#[test]
fn topics_that_differ_are_corrected_and_keep_what_is_not_ours() {
    let Some(_) = support::kafka() else { return };
    let config = support::settings(&support::unique("corrected"), &[]).kafka;
    let names = Topics::new(&config.topic_prefix);
    let admin = topics::admin(&config).unwrap();
    let topic = |name, settings: &[(&'static str, &'static str)]| {
        let topic = NewTopic::new(name, 1, TopicReplication::Fixed(1));
        settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
    };
    let there = [
        topic(&names.ticks, &[("message.timestamp.type", "LogAppendTime"), ("retention.ms", "86400000")]),
        topic(&names.bars, &[("retention.ms", "60000"), ("max.message.bytes", "2000000")]),
        topic(&names.outcomes, &[("retention.ms", "-1"), ("message.timestamp.type", "LogAppendTime")]),
        topic(&names.predictions, &[("cleanup.policy", "compact"), ("message.timestamp.type", "LogAppendTime")]),
        topic(&names.accuracy_state, &[("segment.bytes", "1048576")]),
    ];
    support::runtime().block_on(admin.create_topics(&there, &AdminOptions::new())).unwrap();
    let problems = check(&config, "10s");
    assert!(problems.iter().all(|problem| problem.contains("tickcast topics apply")), "{problems:?}");
    // What is absent does not hide what is there and wrong.
    for name in [&names.accuracy, &names.retrain, &names.deadletter, &names.bars, &names.predictions] {
        assert!(problems.iter().any(|problem| problem.contains(&format!("{name} "))), "{name}: {problems:?}");
    }

    let applied: BTreeMap<_, _> = apply(&config, "10s").unwrap().into_iter().collect();
    // How long ticks are kept is the operator's choice; longer than needed is too.
    assert_eq!((&applied[&names.ticks], &applied[&names.outcomes]), (&Applied::Unchanged, &Applied::Unchanged));
    assert_eq!(setting(&config, &names.ticks, "retention.ms").as_deref(), Some("86400000"));
    assert_eq!(setting(&config, &names.outcomes, "retention.ms").as_deref(), Some("-1"));
    assert_eq!(applied[&names.retrain], Applied::Created);
    let told = |name: &String| format!("{:?}", applied[name]);
    assert!(told(&names.bars).contains("retention.ms=2592000000 (was 60000)"), "{}", told(&names.bars));
    assert!(told(&names.predictions).contains("cleanup.policy=delete (was compact)"), "{}", told(&names.predictions));
    assert!(told(&names.accuracy_state).contains("cleanup.policy=compact (was delete)"), "{applied:?}");
    let wanted = [
        (&names.bars, "message.timestamp.type", "LogAppendTime"),
        (&names.bars, "max.message.bytes", "2000000"),
        (&names.predictions, "message.timestamp.type", "LogAppendTime"),
        (&names.accuracy_state, "segment.bytes", "1048576"),
        (&names.accuracy_state, "segment.ms", "3600000"),
    ];
    for (topic, key, value) in wanted {
        assert_eq!(setting(&config, topic, key).as_deref(), Some(value), "{topic} {key}");
    }
    assert_eq!(check(&config, "10s"), [""; 0]);
    assert!(apply(&config, "10s").unwrap().iter().all(|(_, applied)| *applied == Applied::Unchanged));
}
