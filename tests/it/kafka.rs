//! What the library asks of Kafka itself.

use std::time::Duration;

use rdkafka::admin::AdminOptions;
use tickcast::io::kafka::{topic_id, topics};

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
    let admin = topics::admin(&config).unwrap();
    let begin = std::time::Instant::now();
    assert!(topic_id::topic_id(admin.inner(), "absent", Duration::from_millis(300)).is_err());
    assert!(begin.elapsed() < Duration::from_secs(5));
}
