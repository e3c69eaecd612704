//! Settings of every Kafka client: brokers and security from the configuration, the rest as each kind of client needs it.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode as Code;

use super::KafkaError;
use crate::config::Kafka;

/// How long a broker may take to answer, and how long a partition may be unknown.
const TIMEOUT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// What every client needs: brokers, security, a name.
pub fn base(config: &Kafka) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", &config.brokers)
        .set("client.id", format!("tickcast-{}", config.instance))
        .set("security.protocol", &config.security_protocol)
        .set_log_level(RDKafkaLogLevel::Warning);
    if !config.ssl_ca_location.is_empty() {
        client.set("ssl.ca.location", &config.ssl_ca_location);
    }
    if config.security_protocol.starts_with("sasl") {
        client
            .set("sasl.mechanism", &config.sasl_mechanism)
            .set("sasl.username", &config.sasl_username)
            .set("sasl.password", config.sasl_password.expose());
    }
    client
}

/// A consumer that sees committed records only, never stores offsets behind our back, and never guesses a position.
pub fn consumer(config: &Kafka, group: &str) -> ClientConfig {
    let mut client = base(config);
    client
        .set("group.id", group)
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("partition.assignment.strategy", "range")
        .set("session.timeout.ms", config.session_timeout.get().as_millis().to_string())
        .set("heartbeat.interval.ms", (config.session_timeout.get().as_millis() / 4).to_string())
        .set("fetch.wait.max.ms", "50")
        // A queue that is full (100,000 records by default) would stop fetching for a whole second.
        .set("fetch.queue.backoff.ms", "5")
        .set("fetch.error.backoff.ms", "50");
    client
}

/// A plain producer of ticks: hashes keys as Java does, waits for all replicas, never reorders.
pub fn producer(config: &Kafka) -> ClientConfig {
    let mut client = base(config);
    client
        .set("partitioner", "murmur2_random")
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "5")
        .set("compression.type", "lz4")
        .set("queue.buffering.max.messages", "200000");
    client
}

/// First and next offset of a partition, as `consumer` may see them: with `read_committed` the next is the last stable one.
///
/// A client that has just been made, or a topic that has, may not be known to each other yet: that is waited for.
///
/// # Errors
/// When Kafka does not answer, or does not know the partition.
pub fn bounds<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
) -> Result<(i64, i64), KafkaError> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        match consumer.fetch_watermarks(topic, partition, TIMEOUT) {
            Err(error)
                if matches!(
                    error.rdkafka_error_code(),
                    Some(Code::UnknownPartition | Code::UnknownTopic | Code::UnknownTopicOrPartition)
                ) && Instant::now() < deadline =>
            {
                std::thread::sleep(PAUSE);
            }
            other => {
                return other.map_err(KafkaError::call(format!("asking where {topic} [{partition}] begins and ends")));
            }
        }
    }
}
