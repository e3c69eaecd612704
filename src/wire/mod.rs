//! Bytes to flow values and back: the only place that knows JSON and schema versions.
//!
//! The contract is written down in `schemas/kafka/`; a test fails when these files and this code differ.

pub mod accuracy;
pub mod bar;
pub mod judge_state;
pub mod model;
pub mod outcome;
pub mod prediction;
pub mod retrain;
#[cfg(test)]
mod schemas;
pub mod sent_row;
pub mod tick;
pub mod tick_row;

/// Version of the records' shape, carried in the `schema_version` header. Changes are additive; a breaking one gets a new topic.
pub const SCHEMA_VERSION: &str = "1";

/// A record on a topic that does not have the shape its schema promises.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Not the JSON that was expected.
    #[error("not a {what} record: {source}")]
    Json {
        /// What was expected.
        what: &'static str,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// JSON of the right shape with a value that cannot be.
    #[error("not a {what} record: {why}")]
    Value {
        /// What was expected.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
}
