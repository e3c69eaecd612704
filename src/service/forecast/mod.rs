//! The forecast role: as many lanes as configured, each on its own thread with a model session of its own.

mod emit;
mod stage;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use opentelemetry_sdk::trace::SdkTracerProvider;

use self::stage::Ticks;
use super::health::{Health, Stop};
use super::lane::{Lane, Parts};
use crate::config::Config;
use crate::flow::model::{ModelSpec, Scorer as _};
use crate::flow::rules::Rules;
use crate::flow::symbol::Symbol;
use crate::io::inference;
use crate::io::kafka::topic_id;
use crate::io::kafka::topics::{self, Topics};
use crate::machine::forecaster::Champion;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::spans::Spans;

const TIMEOUT: Duration = Duration::from_secs(30);

/// What shapes bars and predictions, from the settings.
///
/// # Errors
/// When an asset is no symbol, which validation has refused before.
pub fn rules(config: &Config) -> anyhow::Result<Rules> {
    let assets = if config.assets.is_empty() {
        None
    } else {
        Some(config.assets.iter().map(|asset| Symbol::new(&asset.symbol)).collect::<Result<_, _>>()?)
    };
    Ok(Rules {
        interval: config.bars.interval,
        lateness: config.bars.allowed_lateness.micros(),
        max_fill: config.bars.max_fill,
        future_skew: config.bars.max_future_skew.micros(),
        max_symbols: config.forecast.max_symbols,
        assets,
        max_staleness: config.forecast.max_staleness.get().map(crate::config::Span::micros),
        min_confidence: config.forecast.min_confidence,
        max_model_age: config.forecast.max_model_age.get().map(crate::config::Span::micros),
    })
}

/// Loads the configured model and checks that it can score the configured bars.
///
/// # Errors
/// When it cannot be loaded, breaks the contract, or was made for other bars.
pub fn champion(config: &Config) -> anyhow::Result<Champion> {
    let model = inference::load(&config.model.path, config.model.intra_threads)?;
    let problems = misfits(model.spec(), config);
    anyhow::ensure!(problems.is_empty(), "model {}: {}", model.spec().name, problems.join("; "));
    Ok(Champion::new(Box::new(model))?)
}

fn misfits(spec: &ModelSpec, config: &Config) -> Vec<String> {
    let mut problems = Vec::new();
    if let Some(interval) = spec.bar_interval
        && interval != config.bars.interval
    {
        problems.push(format!("it was made for bars of {interval}, bars.interval is {}", config.bars.interval));
    }
    let max_fill = usize::try_from(config.bars.max_fill).unwrap_or(usize::MAX);
    if max_fill >= spec.window {
        problems.push(format!("bars.max_fill {max_fill} must be less than its window of {} bars", spec.window));
    }
    problems
}

/// Checks topics and model, then starts the lanes. Each handle gives what ended its lane.
///
/// # Errors
/// When topics or model are not as they must be, or Kafka does not answer.
pub fn start(
    config: &Arc<Config>,
    metrics: &Arc<Metrics>,
    health: &Health,
    stop: &Stop,
    provider: Option<&SdkTracerProvider>,
) -> anyhow::Result<Vec<JoinHandle<anyhow::Result<()>>>> {
    let topics = Topics::new(&config.kafka.topic_prefix);
    let admin = topics::admin(&config.kafka)?;
    let names = [&topics.ticks, &topics.bars, &topics.predictions, &topics.deadletter];
    let partitions = topics::equal_partitions(&admin, &names)?;
    let identity = topic_id::identity(admin.inner(), &topics.ticks, TIMEOUT)?.to_string();
    let rules = rules(config)?;
    let mut handles = Vec::new();
    for number in 0..config.forecast.lanes {
        let parts = Parts {
            config: Arc::clone(config),
            number,
            group: config.kafka.group.clone(),
            partitions,
            metrics: Arc::clone(metrics),
            health: health.part(&format!("lane {number}"), config.forecast.watchdog_timeout.get().max(TIMEOUT)),
            stop: stop.clone(),
        };
        let spans = Spans::new(provider, config.otlp.max_queue, metrics);
        let stage = Ticks::new(config, champion(config)?, rules.clone(), &identity, metrics, spans);
        let lane =
            std::thread::Builder::new().name(format!("lane-{number}")).spawn(move || Ok(Lane::work(parts, stage)?))?;
        handles.push(lane);
    }
    Ok(handles)
}
