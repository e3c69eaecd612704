//! The outside worlds, one per folder or file. Nothing here decides anything: rules live in [`crate::flow`] and
//! [`crate::machine`].

pub mod clock;
pub mod inference;
pub mod kafka;
pub mod otlp;
pub mod outcomes_parquet;
pub mod partial;
pub mod postgres;
pub mod ticks_csv;
pub mod tls;
pub mod training_parquet;
