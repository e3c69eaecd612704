//! The deciders, made of [`crate::flow`] rules: inputs in, effects out.
//!
//! Pure: no clock, no socket, no randomness; a machine fed the same inputs gives the same effects, whatever the batches.

pub mod backtest;
pub mod bar_maker;
pub mod checkpoint;
pub mod forecaster;
pub mod judge;
pub mod settler;
pub mod takeover;
