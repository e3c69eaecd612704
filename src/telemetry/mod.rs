//! Logs, metrics, spans, and how errors are told.

pub mod causes;
pub mod log;
pub mod metrics;
pub mod spans;
