//! The `store` role: a projector of every output topic into PostgreSQL.
//!
//! ```text
//!  Kafka (read_committed) ─► polling thread ─► batch (bounded) ─► writer thread ─► one PostgreSQL transaction:
//!     ▲        one batch fills here ▲   one is being written there ▲                  offsets by compare-and-set, rows
//!     └── assign at the offsets that PostgreSQL holds ◄────────────┘
//! ```
//!
//! PostgreSQL's `sink_offsets` are the truth about what is stored; the group's offsets in Kafka follow them for the sake of
//! tools that show lag. While PostgreSQL is away two batches are held, consumption is paused, and polling goes on, so that the
//! member stays in its group. Whoever writes from offsets that are no longer true (a stale owner, or a commit whose answer was
//! lost) is turned away, reads the offsets again and goes on from there: nothing is lost, nothing stored twice.

mod assignment;
pub mod batch;
mod consumer;
mod locate;
mod positions;
mod projector;
mod report;
mod retention;
pub mod rows;
mod writer;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;

use self::consumer::subscribe;
use self::projector::Projector;
use self::report::Report;
use self::retention::Retention;
use self::writer::Writer;
use super::health::{Health, Stop};
use crate::config::{Config, ConfigError, Span};
use crate::io::kafka::topics::Topics;
use crate::io::postgres::Target;
use crate::telemetry::metrics::Metrics;

/// How long the polling thread may be silent: the longest of its questions to Kafka, and some.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts the role: its handle gives what ended it. PostgreSQL or Kafka being away is no error: it is waited for, and
/// `health` says so.
///
/// # Errors
/// When the settings cannot be used.
pub fn start(
    config: &Arc<Config>,
    metrics: &Arc<Metrics>,
    health: &Health,
    stop: &Stop,
) -> anyhow::Result<Vec<JoinHandle<anyhow::Result<()>>>> {
    let target = Target::parse(config.postgres.url.expose())
        .map_err(|error| ConfigError::Values(vec![format!("{error} (the store role needs it)")]))?;
    let (config, metrics, stop) = (Arc::clone(config), Arc::clone(metrics), stop.clone());
    let part = health.part("store", PATIENCE);
    let thread = std::thread::Builder::new().name("store".to_owned()).spawn(move || {
        let topics = Topics::new(&config.kafka.topic_prefix);
        let report = Report::new(&metrics, part);
        let consumer = subscribe(&config.kafka, &topics)?;
        std::thread::scope(|scope| {
            let _retention = match config.store.retention.get().map(Span::micros) {
                Some(keep) => Some(Retention::start(scope, target.clone(), keep, &report)?),
                None => None,
            };
            let writer = Writer::start(scope, target, &report)?;
            let mut projector = Projector::new(&config.store, &topics, &writer, &report, &stop);
            projector.run(&consumer).with_context(|| format!("store of instance {}", config.kafka.instance))
        })
    })?;
    Ok(vec![thread])
}
