//! Everything that runs on real parts: Kafka, PostgreSQL, pgbouncer, the program itself. Where a part is absent its tests say
//! SKIPPED and pass: `deploy/stack up` starts the parts and writes the variables that point at them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod backtest;
mod bad_topic;
mod cli;
mod demo;
mod event_time;
mod extremes;
mod flips;
mod guarded;
mod house;
mod indicators;
mod kafka;
mod kills;
mod live_and_backtest;
mod models;
mod poison;
mod referee;
mod refused_offsets;
mod replay;
mod replay_of_six;
mod retrain;
mod simulate;
mod store;
mod store_outages;
mod store_referee;
mod store_retention;
mod support;
mod tail;
mod tokens;
mod trace;
mod xrpeth;
