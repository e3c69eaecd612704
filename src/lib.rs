//! tickcast: exactly-once short-horizon forecasts from a live stream of market ticks.
//!
//! ```text
//!  replay ───┐
//!  simulate ─┼─► ticks ─► FORECAST ─┬─► bars
//!  feeds ────┘  (Kafka)             ├─► predictions ─► SETTLE ─► outcomes ─► JUDGE ─┬─► accuracy
//!                                   └─► deadletter                                 └─► retrain
//!  STORE: every output topic ─► PostgreSQL
//! ```
//!
//! Modules in reading order, each knowing only those before it:
//! [`flow`] (the nouns and their rules) and [`machine`] (deciders made of them) are pure: time comes in as an argument, so a
//! recorded hour replays byte for byte. [`wire`] turns bytes into flow values and back. [`io`] holds one outside world per
//! file. [`service`] feeds the machines and carries out what they decide. [`config`], [`telemetry`], [`api`] and [`cli`]
//! are how people and other programs reach it.

pub mod flow;
pub mod machine;
pub mod wire;

pub mod io;
pub mod service;

pub mod api;
pub mod cli;
pub mod config;
pub mod telemetry;
