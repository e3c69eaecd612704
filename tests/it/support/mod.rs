//! What tests of real parts share: finding the parts, and names that no other test uses.

pub mod authority;
pub mod collector;
pub mod deploy;
pub mod direct;
pub mod kafka;
pub mod parquet;
pub mod postgres;
pub mod raw;
pub mod six;
pub mod stage;
pub mod store;
pub mod tool;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tickcast::config::{self, Config};

/// The value of an environment variable that points at a server; without it, says that the test is skipped.
pub fn server(variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        eprintln!("SKIPPED: {variable} is not set (deploy/stack up, then: set -a; . .local/stack/env)");
    }
    value
}

/// Whether Kafka is there; says SKIPPED where it is not.
pub fn kafka() -> Option<String> {
    server("TICKCAST__KAFKA__BROKERS")
}

/// A name that no other test, and no other run, has used.
pub fn unique(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_micros();
    format!("{what}_{now:x}_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Shows what the program logs, where TICKCAST_TEST_LOG holds a filter such as `tickcast=debug`.
fn log() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        if let Ok(filter) = std::env::var("TICKCAST_TEST_LOG") {
            let filter = tracing_subscriber::EnvFilter::new(filter);
            tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
        }
    });
}

/// Settings with topics and a group of their own, and `more` assignments (`key=value`).
pub fn settings(name: &str, more: &[&str]) -> Config {
    log();
    let mut assignments = vec![format!("kafka.topic_prefix={name}."), format!("kafka.group={name}")];
    assignments.extend(more.iter().map(|text| (*text).to_owned()));
    config::load(None, &assignments).expect("valid settings")
}

/// A runtime for asynchronous clients.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

/// Makes a topic by hand.
pub fn make_topic(name: &str, partitions: i32) {
    use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
    let mut client = rdkafka::ClientConfig::new();
    client.set("bootstrap.servers", kafka().expect("a broker"));
    let admin: AdminClient<rdkafka::client::DefaultClientContext> = client.create().expect("an admin client");
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    let made = runtime().block_on(admin.create_topics([&topic], &AdminOptions::new())).expect("an answer");
    assert!(made[0].is_ok(), "{made:?}");
}
