//! The process: starts the roles, waits for a signal or the first failure, stops everything in order.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use opentelemetry_sdk::trace::SdkTracerProvider;

use super::health::{Health, Stop};
use super::{forecast, judge, settle, store};
use crate::api;
use crate::config::Config;
use crate::io::kafka::reach::reach_unless;
use crate::io::otlp;
use crate::telemetry::causes;
use crate::telemetry::metrics::Metrics;

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Role {
    /// Ticks to bars and predictions.
    Forecast,
    /// Predictions to outcomes.
    Settle,
    /// Outcomes to accuracy reports and retrain requests.
    Judge,
    /// The verification consumer: settle and judge.
    Verify,
    /// Bars, predictions and dead letters to PostgreSQL.
    Store,
}

impl Role {
    /// The roles that it names: itself, but for `verify`.
    const fn parts(&self) -> &[Self] {
        match self {
            Self::Forecast => &[Self::Forecast],
            Self::Settle => &[Self::Settle],
            Self::Judge => &[Self::Judge],
            Self::Verify => &[Self::Settle, Self::Judge],
            Self::Store => &[Self::Store],
        }
    }
}

/// How often the threads are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// The running roles of one process.
pub struct Running {
    threads: Vec<JoinHandle<anyhow::Result<()>>>,
    stop: Stop,
    /// What takes the roles' spans, and how long it may take for the last ones.
    provider: Option<SdkTracerProvider>,
    patience: Duration,
}

impl Running {
    /// Starts `roles`.
    ///
    /// # Errors
    /// When one of them cannot start; those that did are stopped.
    pub fn start(
        config: &Arc<Config>,
        roles: &[Role],
        metrics: &Arc<Metrics>,
        health: &Health,
        stop: &Stop,
    ) -> anyhow::Result<Self> {
        let provider = otlp::provider(config, metrics)?;
        let patience = config.otlp.timeout.get();
        let mut running = Self { threads: Vec::new(), stop: stop.clone(), provider, patience };
        let mut roles: Vec<Role> = roles.iter().flat_map(|role| role.parts()).copied().collect();
        roles.sort_unstable();
        roles.dedup();
        for role in roles {
            let provider = running.provider.as_ref();
            let started = match role {
                Role::Forecast => forecast::start(config, metrics, health, stop, provider),
                Role::Settle => settle::start(config, metrics, health, stop, provider),
                Role::Judge => judge::start(config, metrics, health, stop),
                Role::Verify => continue,
                Role::Store => store::start(config, metrics, health, stop),
            };
            match started {
                Ok(threads) => running.threads.extend(threads),
                Err(error) => {
                    let _ = running.finish();
                    return Err(error);
                }
            }
        }
        Ok(running)
    }

    /// Whether a stop was asked for or a role has failed.
    pub fn over(&self) -> bool {
        self.stop.requested() || self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Waits until a stop is asked for or a role fails.
    pub fn wait(&self) {
        while !self.over() {
            std::thread::sleep(LOOK);
        }
    }

    /// Stops all roles and waits for them to commit what they hold.
    ///
    /// # Errors
    /// The first failure of a role.
    pub fn finish(self) -> anyhow::Result<()> {
        self.stop.request();
        let mut result = Ok(());
        for thread in self.threads {
            let ended =
                thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread panicked; its output says where")));
            if let Err(error) = ended {
                tracing::error!(error = causes::told(&error), "a role failed");
                result = result.and(Err(error));
            }
        }
        if let Some(Err(error)) = self.provider.map(|provider| provider.shutdown_with_timeout(self.patience)) {
            tracing::warn!(%error, "the last spans are lost");
        }
        result
    }
}

/// Runs `roles` until SIGTERM, SIGINT or a failure.
///
/// # Errors
/// The first failure.
pub fn run(config: Config, roles: &[Role]) -> anyhow::Result<()> {
    let config = Arc::new(config);
    let (metrics, health, stop) = (Arc::new(Metrics::default()), Health::default(), Stop::default());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.spawn(stop_on_signal(&runtime, stop.clone()));
    // Ready is who has started: until then no part may speak for the process.
    let starting = health.part("process", Duration::MAX);
    if config.http.listen != "off" {
        let server = runtime.block_on(api::serve(&config.http, Arc::clone(&metrics), health.clone()))?;
        runtime.spawn(server);
    }
    // The roles ask questions of Kafka that nobody can interrupt: none is asked before somebody answers, or after a stop.
    reach_unless(&config.kafka, || stop.requested())?;
    if stop.requested() {
        tracing::info!("stopped");
        return Ok(());
    }
    let running = Running::start(&config, roles, &metrics, &health, &stop)?;
    starting.ready();
    running.wait();
    let result = running.finish();
    runtime.shutdown_timeout(Duration::from_secs(1));
    if result.is_ok() {
        tracing::info!("stopped");
    }
    result
}

/// Asks for a stop on the first SIGTERM or SIGINT; to be spawned on `runtime`.
///
/// The signals are caught when this returns: one that comes right after is not lost.
pub fn stop_on_signal(runtime: &tokio::runtime::Runtime, stop: Stop) -> impl Future<Output = ()> + Send + use<> {
    use tokio::signal::unix::{SignalKind, signal};
    let _inside = runtime.enter();
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async move {
        let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
            tracing::error!("signals cannot be caught: the process will not drain");
            return;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: committing what is done");
        stop.request();
    }
}
