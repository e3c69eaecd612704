//! The judge role: outcomes to accuracy reports and retrain requests, by model.
//!
//! ```text
//!  outcomes ─► cohorts ─► close ─┬─► accuracy
//!              ▲    ▲            ├─► retrain        one transaction, with the offset
//!   quiet? ────┘    └─ restore ──┴─► accuracy.state
//! ```

mod emit;
mod quiet;
mod stage;
mod state;
mod waiting;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use self::stage::Outcomes;
use super::forecast;
use super::health::{Health, Stop};
use super::lane::{Lane, Parts};
use super::settle::{equal_partitions, group};
use crate::config::Config;
use crate::flow::model::ModelSpec;
use crate::io::kafka::topic_id;
use crate::io::kafka::topics::{self, Topics};
use crate::machine::judge::{Acceptance, Settings};
use crate::telemetry::metrics::Metrics;
use crate::wire;

const TIMEOUT: Duration = Duration::from_secs(30);

/// What shapes the judgement, from the settings; `models` are those whose acceptance is known.
///
/// # Errors
/// When the detector is none, which validation has refused before.
pub fn settings(config: &Config, partitions: i32, models: &[&ModelSpec]) -> anyhow::Result<Settings> {
    let judge = &config.judge;
    let acceptance = |spec: &&ModelSpec| Acceptance {
        model: spec.name.clone(),
        model_version: spec.version.clone(),
        hit_rate: wire::model::accepted_hit_rates(&spec.acceptance),
        trained_until: spec.training_range.1,
    };
    Ok(Settings {
        report_every: judge.report_every,
        window: judge.window,
        trigger: judge.trigger().map_err(anyhow::Error::msg)?,
        partitions,
        max_open_rows: judge.max_open_rows,
        acceptances: models.iter().map(acceptance).collect(),
    })
}

/// Hash of where the outcomes live. Settings may change: what does not fit them begins anew.
///
/// # Errors
/// When Kafka does not answer.
pub fn config_hash(config: &Config) -> anyhow::Result<u64> {
    let topics = Topics::new(&config.kafka.topic_prefix);
    let identity = topic_id::identity(topics::admin(&config.kafka)?.inner(), &topics.outcomes, TIMEOUT)?;
    Ok(xxhash_rust::xxh3::xxh3_64(format!("judge|{identity}").as_bytes()))
}

/// Checks the topics, then starts the lane. The handle gives what ended it.
///
/// # Errors
/// When topics or model are not as they must be, or Kafka does not answer.
pub fn start(
    config: &Arc<Config>,
    metrics: &Arc<Metrics>,
    health: &Health,
    stop: &Stop,
) -> anyhow::Result<Vec<JoinHandle<anyhow::Result<()>>>> {
    let topics = Topics::new(&config.kafka.topic_prefix);
    let outputs = [&topics.predictions, &topics.outcomes, &topics.accuracy, &topics.accuracy_state, &topics.retrain];
    let partitions = equal_partitions(config, &outputs)?;
    // The champion's acceptance bounds the reference; of other models nothing is known.
    let champion = forecast::champion(config)?;
    let settings = settings(config, partitions, &[champion.spec()])?;
    drop(champion);
    let parts = Parts {
        config: Arc::clone(config),
        number: 0,
        group: group(config, "judge"),
        partitions,
        metrics: Arc::clone(metrics),
        health: health.part("judge", config.forecast.watchdog_timeout.get().max(TIMEOUT)),
        stop: stop.clone(),
    };
    let stage = Outcomes {
        config_hash: config_hash(config)?,
        quiet: quiet::Quiet::open(config)?,
        config: Arc::clone(config),
        topics,
        settings,
        metrics: Arc::clone(metrics),
        judged: Vec::new(),
        buffer: Vec::new(),
        counts: BTreeMap::new(),
    };
    let lane = std::thread::Builder::new().name("judge".to_owned()).spawn(move || Ok(Lane::work(parts, stage)?))?;
    Ok(vec![lane])
}
