//! `tickcast demo`: a generated market through the whole service, in one process.
//!
//! ```text
//!  market ─► ticks ─► FORECAST ─► bars, predictions ─┬─► STORE ─► PostgreSQL
//!                                                    └─► subscriber (measures latency)
//! ```

mod figures;
mod latency;
mod market;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;

use self::figures::{Board, Counts, Final};
use self::latency::Subscriber;
use self::market::Source;
use super::feed::stop_on_signal;
use crate::api;
use crate::config::{Config, Span};
use crate::io::kafka::topics::{self, Topics};
use crate::service::health::{Health, Stop};
use crate::service::run::{Role, Running};
use crate::telemetry::log;
use crate::telemetry::metrics::Metrics;

/// How often the threads are looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long what is under way may take to arrive, at the end.
const DRAIN: Duration = Duration::from_secs(15);
/// Partitions of the topics that it makes.
const PARTITIONS: i32 = 2;

/// Watch a generated market become predictions and rows.
///
/// Creates the topics where they are missing, feeds a generated market into them and runs forecast and store beside it. The
/// market begins 420 bars ago, runs as fast as it can until it reaches now, then in real time; a later demo in the same
/// topics continues where the earlier one ended. Ctrl-C lets what is under way arrive, then stops.
#[derive(Debug, Args)]
pub struct Demo {
    /// Stop after this long, such as 60s.
    #[arg(long = "for", value_name = "DURATION")]
    duration: Option<Span>,
    /// Symbols of the market.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    symbols: u32,
    /// Print the summary as one line of JSON.
    #[arg(long)]
    json: bool,
}

impl Demo {
    pub(super) fn run(self, mut config: Config) -> anyhow::Result<()> {
        // The board is there to be watched: below it, only what goes wrong.
        if config.log.filter == "info" {
            config.log.filter = "warn".to_owned();
        }
        log::init(&config.log)?;
        let config = Arc::new(config);
        let (metrics, health) = (Arc::new(Metrics::default()), Health::default());
        let runtime = super::runtime()?;
        let interrupted = stop_on_signal(&runtime);
        make_topics(&config, &runtime)?;
        self.serve(&config, &runtime, &metrics, &health);
        let mut roles = vec![Role::Forecast];
        if config.postgres.url.expose().is_empty() {
            eprintln!("postgres.url is not set: nothing will be stored");
        } else {
            roles.push(Role::Store);
        }
        let subscriber = Subscriber::start(&config)?;
        let running = Running::start(&config, &roles, &metrics, &health, &Stop::default())?;
        let stores = roles.contains(&Role::Store);
        let mut stage = Stage {
            running,
            subscriber,
            metrics,
            begun: Instant::now(),
            caught_up: None,
            board: Board::new(self.json),
            stores,
        };
        let result = stage.play(&config, &self, &interrupted);
        stage.board.end();
        let summary = stage.summary();
        let ended = stage.running.finish().context("a role failed");
        let subscribed = stage.subscriber.finish().context("the subscriber failed");
        runtime.shutdown_timeout(Duration::from_secs(1));
        ended.and(subscribed).and(result)?;
        println!("{}", if self.json { serde_json::to_string(&summary)? } else { summary.text() });
        Ok(())
    }

    /// Health and metrics, where the address is free: a demo does not fail for want of them.
    fn serve(&self, config: &Config, runtime: &tokio::runtime::Runtime, metrics: &Arc<Metrics>, health: &Health) {
        if config.http.listen == "off" {
            return;
        }
        match runtime.block_on(api::serve(&config.http.listen, Arc::clone(metrics), health.clone())) {
            Ok(server) => {
                runtime.spawn(server);
            }
            Err(error) => eprintln!("no HTTP: {error:#}"),
        }
    }
}

fn make_topics(config: &Config, runtime: &tokio::runtime::Runtime) -> anyhow::Result<()> {
    let ticks = Topics::new(&config.kafka.topic_prefix).ticks;
    let there = topics::partition_count(&topics::admin(&config.kafka)?, &ticks)?;
    let partitions = if there == 0 { PARTITIONS } else { there };
    runtime.block_on(topics::apply(&config.kafka, partitions, -1, config.bars.interval))?;
    Ok(())
}

/// Everything that runs, and what has come of it.
struct Stage {
    running: Running,
    subscriber: Subscriber,
    metrics: Arc<Metrics>,
    begun: Instant,
    /// When the market had reached now and all of it was used; trades a second until then.
    caught_up: Option<f64>,
    board: Board,
    stores: bool,
}

impl Stage {
    /// Feeds the market until time is up or somebody interrupts, then waits for what is under way.
    fn play(&mut self, config: &Arc<Config>, demo: &Demo, interrupted: &Stop) -> anyhow::Result<()> {
        let source = Source::start(config, demo.symbols)?;
        let over = |begun: Instant| demo.duration.is_some_and(|span| begun.elapsed() >= span.get());
        let mut failed = false;
        while !interrupted.requested() && !over(self.begun) && !failed {
            std::thread::sleep(LOOK);
            let counts = self.look(source.ticks());
            if self.caught_up.is_none() && source.is_live() && counts.ticks + counts.dead_letters + 1 >= source.ticks()
            {
                self.caught_up = Some(counts.ticks as f64 / self.begun.elapsed().as_secs_f64());
                self.subscriber.live();
            }
            failed = self.running.over() || source.has_failed() || self.subscriber.has_failed();
        }
        let sent = source.finish()?.ticks;
        if failed {
            // What failed says so itself when it is finished.
            return Ok(());
        }
        self.drain(sent)
    }

    fn drain(&mut self, sent: u64) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let counts = self.look(sent);
            let used = counts.ticks + counts.dead_letters >= sent;
            let stored = !self.stores || counts.rows >= counts.bars + counts.predictions;
            if (used && stored) || self.running.over() {
                return Ok(());
            }
            if begun.elapsed() > DRAIN {
                bail!(
                    "after {} s, {} of {sent} trades were used and {} of {} rows stored: look at the log, and run with \
                     --set log.filter=info",
                    DRAIN.as_secs(),
                    counts.ticks,
                    counts.rows,
                    counts.bars + counts.predictions
                );
            }
            std::thread::sleep(LOOK);
        }
    }

    fn look(&mut self, sent: u64) -> Counts {
        let counts = Counts::read(&self.metrics);
        let lag = sent.saturating_sub(counts.ticks + counts.dead_letters);
        self.board.show(counts, lag, self.subscriber.percentiles());
        counts
    }

    fn summary(&self) -> Final {
        let counts = Counts::read(&self.metrics);
        let seconds = self.begun.elapsed().as_secs_f64();
        let latency = self.subscriber.percentiles();
        let tenths = |value: f64| (value * 10.0).round() / 10.0;
        Final {
            ticks: counts.ticks,
            bars: counts.bars,
            predictions: counts.predictions,
            predictions_scored: counts.scored,
            dead_letters: counts.dead_letters,
            rows_stored: counts.rows,
            ticks_per_second: self.caught_up.unwrap_or(counts.ticks as f64 / seconds).round(),
            latency_p50_ms: latency.map(|(p50, _)| tenths(p50)),
            latency_p99_ms: latency.map(|(_, p99)| tenths(p99)),
            seconds: tenths(seconds),
        }
    }
}
