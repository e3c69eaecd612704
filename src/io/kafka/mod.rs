//! Apache Kafka through librdkafka: clients, topics, transactions, offsets with metadata.

pub mod client;
pub mod consumer;
pub mod event;
pub mod feeder;
pub mod held;
pub mod history;
pub mod producer;
pub mod reach;
pub mod reader;
pub mod topic_id;
pub mod topic_settings;
pub mod topics;

/// A failure of Kafka that is worth telling with what was being done.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// A call failed.
    #[error("Kafka: {what}: {source}")]
    Call {
        /// What was being done, to what.
        what: String,
        /// librdkafka's own error.
        source: rdkafka::error::KafkaError,
    },
    /// No broker lets us in.
    #[error("Kafka: connecting to {brokers} ({protocol}): {cause}: {remedy}")]
    Unreached {
        /// `kafka.brokers`.
        brokers: String,
        /// `kafka.security_protocol`.
        protocol: String,
        /// Why not.
        cause: String,
        /// What to look at.
        remedy: String,
    },
    /// What was found is not what is needed.
    #[error("Kafka: {0}")]
    State(String),
}

impl KafkaError {
    /// Says what was being done when `source` happened.
    pub fn call(what: impl Into<String>) -> impl FnOnce(rdkafka::error::KafkaError) -> Self {
        let what = what.into();
        move |source| Self::Call { what, source }
    }
}
