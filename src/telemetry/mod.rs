//! Logs, metrics and spans.

pub mod log;
pub mod metrics;
pub mod spans;
