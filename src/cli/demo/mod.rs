//! `tickcast demo`: a generated market through the whole service, in one process.
//!
//! ```text
//!  market ─► ticks ─► FORECAST ─► bars, predictions ─┬─► STORE ─► PostgreSQL
//!                                                    ├─► subscriber (measures latency)
//!                                                    └─► VERIFY ─► outcomes, accuracy, retrain ─┬─► STORE
//!                                                                                               └─► subscriber (keeps the score)
//! ```

mod board;
mod figures;
mod latency;
mod market;
mod referee;
mod score;
mod standing;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;

use self::board::Board;
use self::figures::{Counts, Final, referee_lag};
use self::latency::Subscriber;
use self::market::{DemoMarket, Source};
use self::referee::Referee;
use self::score::Score;
use super::feed::stop_on_signal;
use crate::api;
use crate::config::{Config, Span};
use crate::flow::market::MarketSpec;
use crate::flow::time::Micros;
use crate::io::kafka::topics::{self, Topics};
use crate::service::health::{Health, Stop};
use crate::service::run::{Role, Running};
use crate::telemetry::causes;
use crate::telemetry::log;
use crate::telemetry::metrics::Metrics;

/// How often the threads are looked at.
const LOOK: Duration = Duration::from_millis(50);
/// At the end, how long nothing of what is under way may arrive.
const DRAIN: Duration = Duration::from_secs(15);
/// Partitions of the topics that it makes.
const PARTITIONS: i32 = 2;
/// The market waits while this many trades are to be forecast ...
const MOST_TICKS: u64 = 30_000;
/// ... or this many records to be settled, judged or stored.
const MOST_RECORDS: u64 = 20_000;
/// The lanes look at their lag once a second: one that is seen this long after the last record is of after it.
const LAG_SEEN: Duration = Duration::from_millis(2_200);

/// What a demo has in place of the embedded defaults: its referee must know what is usual, and see that it is over, within some
/// hundred bars.
pub const DEFAULTS: &str = "[judge]\nbaseline_n = 100\nwindow = 200\n";

/// Watch a generated market become predictions, and the referee at work.
///
/// Creates the topics where they are missing, feeds a generated market into them and runs forecast, verify and store beside
/// it. The market begins 2500 bars ago, runs as fast as the roles can follow until it reaches now, then in real time. Its rule
/// flips after 2000 bars: the model's hit rate falls from the optimum to below a coin's, the state goes to degraded and a
/// retrain is requested, which nobody answers yet. A later demo in the same topics goes on with the same market where the
/// earlier one ended; give it the same options. Where nothing else is set the judge's reference is of 100 cohorts, its window
/// of 200, and one false alarm in a million cohorts is allowed. Ctrl-C lets what is under way arrive, then stops.
#[derive(Debug, Args)]
pub struct Demo {
    /// Stop after this long, such as 60s.
    #[arg(long = "for", value_name = "DURATION")]
    duration: Option<Span>,
    #[command(flatten)]
    market: DemoMarket,
    /// Print the summary as one line of JSON.
    #[arg(long)]
    json: bool,
}

impl Demo {
    pub(super) fn run(self, mut config: Config) -> anyhow::Result<()> {
        // The board is there to be watched: below it, only what goes wrong. It tells of retrain requests itself.
        if config.log.filter == "info" {
            config.log.filter = "warn,tickcast::service::judge::emit=error".to_owned();
        }
        log::init(&config.log)?;
        let config = Arc::new(config);
        let (metrics, health) = (Arc::new(Metrics::default()), Health::default());
        let runtime = super::runtime()?;
        let interrupted = stop_on_signal(&runtime);
        let partitions = make_topics(&config, &runtime)?;
        self.serve(&config, &runtime, &metrics, &health);
        let (market, after) = self.market.spec(&config)?;
        let mut roles = vec![Role::Forecast, Role::Verify];
        if config.postgres.url.expose().is_empty() {
            eprintln!("postgres.url is not set: nothing will be stored");
        } else {
            roles.push(Role::Store);
        }
        let subscriber = Subscriber::start(&config)?;
        let referee = Referee::start(&config, market.clone())?;
        let running = Running::start(&config, &roles, &metrics, &health, &Stop::default())?;
        let stores = roles.contains(&Role::Store);
        let mut stage = Stage {
            running,
            subscriber,
            referee,
            metrics,
            partitions,
            begun: Instant::now(),
            caught_up: None,
            board: Board::new(self.json),
            stores,
        };
        stage.board.tell(&introduction(&config, &Score::new(market.clone()).present(after)));
        let result = stage.play(&config, &self, (market, after), &interrupted);
        let (ended, summary) = stage.finish();
        runtime.shutdown_timeout(Duration::from_secs(1));
        let summary = ended.and(result).and(summary)?;
        println!("{}", if self.json { serde_json::to_string(&summary)? } else { summary.text() });
        Ok(())
    }

    /// Health and metrics, where the address is free: a demo does not fail for want of them.
    fn serve(&self, config: &Config, runtime: &tokio::runtime::Runtime, metrics: &Arc<Metrics>, health: &Health) {
        if config.http.listen == "off" {
            return;
        }
        match runtime.block_on(api::serve(&config.http, Arc::clone(metrics), health.clone())) {
            Ok(server) => {
                runtime.spawn(server);
            }
            Err(error) => eprintln!("no HTTP: {}", causes::told(&error)),
        }
    }
}

fn introduction(config: &Config, rule: &str) -> [String; 2] {
    let judge = &config.judge;
    [
        format!("a generated market, {rule}"),
        format!(
            "the judge's reference is of {} cohorts that do not overlap, its window of {} (judge.baseline_n, judge.window: a demo \
             has defaults of its own, 100 and 200)",
            judge.baseline_n, judge.window
        ),
    ]
}

/// Makes what is missing; gives how many partitions the topics have.
fn make_topics(config: &Config, runtime: &tokio::runtime::Runtime) -> anyhow::Result<i32> {
    let ticks = Topics::new(&config.kafka.topic_prefix).ticks;
    let there = topics::partition_count(&topics::admin(&config.kafka)?, &ticks)?;
    let partitions = if there == 0 { PARTITIONS } else { there };
    runtime.block_on(topics::apply(&config.kafka, partitions, -1, config.bars.interval))?;
    Ok(partitions)
}

/// Everything that runs, and what has come of it.
struct Stage {
    running: Running,
    subscriber: Subscriber,
    referee: Referee,
    metrics: Arc<Metrics>,
    partitions: i32,
    begun: Instant,
    /// When the market had reached now and all of it was used; trades a second until then.
    caught_up: Option<f64>,
    board: Board,
    stores: bool,
}

impl Stage {
    /// Feeds the market until time is up or somebody interrupts, then waits for what is under way.
    fn play(
        &mut self,
        config: &Arc<Config>,
        demo: &Demo,
        (market, after): (MarketSpec, Micros),
        interrupted: &Stop,
    ) -> anyhow::Result<()> {
        let source = Source::start(config, market, after)?;
        let over = |begun: Instant| demo.duration.is_some_and(|span| begun.elapsed() >= span.get());
        let mut failed = false;
        while !interrupted.requested() && !over(self.begun) && !failed {
            std::thread::sleep(LOOK);
            let counts = self.look(source.ticks());
            source.hold(self.is_behind(counts, source.ticks()));
            if self.caught_up.is_none() && source.is_live() && counts.ticks + counts.dead_letters + 1 >= source.ticks()
            {
                self.caught_up = Some(counts.ticks as f64 / self.begun.elapsed().as_secs_f64());
                self.subscriber.live();
            }
            failed = self.running.over() || source.has_failed();
            failed |= self.subscriber.has_failed() || self.referee.has_failed();
        }
        let sent = source.finish()?.ticks;
        if failed {
            // What failed says so itself when it is finished.
            return Ok(());
        }
        self.drain(sent)
    }

    fn drain(&mut self, sent: u64) -> anyhow::Result<()> {
        let mut moved = (Instant::now(), Counts::default(), 0);
        let mut all_used: Option<Instant> = None;
        loop {
            let counts = self.look(sent);
            let used = counts.ticks + counts.dead_letters >= sent;
            let stored = !self.stores || counts.rows_of_all >= counts.storable();
            if used {
                all_used = all_used.or_else(|| Some(Instant::now()));
            }
            let seen = all_used.is_some_and(|since| since.elapsed() >= LAG_SEEN);
            let lag = referee_lag(&self.metrics, self.partitions);
            if (seen && lag == 0 && stored) || self.running.over() {
                return Ok(());
            }
            if (counts, lag) != (moved.1, moved.2) {
                moved = (Instant::now(), counts, lag);
            }
            if moved.0.elapsed() > DRAIN {
                bail!(
                    "nothing has moved for {} s: {} of {sent} trades were used, {lag} records were still to be settled or judged and {} of {} \
                     rows stored: look at the log, and run with --set log.filter=info",
                    DRAIN.as_secs(),
                    counts.ticks,
                    counts.rows_of_all,
                    counts.storable()
                );
            }
            std::thread::sleep(LOOK);
        }
    }

    fn look(&mut self, sent: u64) -> Counts {
        let counts = Counts::read(&self.metrics);
        let lag = sent.saturating_sub(counts.ticks + counts.dead_letters);
        let (score, news) = self.referee.look();
        self.board.tell(&news);
        self.board.show(counts, lag, self.subscriber.percentiles(), &score);
        counts
    }

    /// Whether the market must wait for the roles.
    fn is_behind(&self, counts: Counts, sent: u64) -> bool {
        let unstored = if self.stores { counts.storable().saturating_sub(counts.rows_of_all) } else { 0 };
        sent.saturating_sub(counts.ticks + counts.dead_letters) > MOST_TICKS
            || referee_lag(&self.metrics, self.partitions) > MOST_RECORDS
            || unstored > MOST_RECORDS
    }

    /// Stops everything, the readers last: they see what the roles commit at their end.
    fn finish(mut self) -> (anyhow::Result<()>, anyhow::Result<Final>) {
        let seconds = self.begun.elapsed().as_secs_f64();
        let ended = self.running.finish().context("a role failed");
        let latency = self.subscriber.percentiles();
        let subscribed = self.subscriber.finish().context("the subscriber failed");
        let judged = self.referee.finish().context("the reader of the referee's topics failed");
        if let Ok((_, news)) = &judged {
            self.board.tell(news);
        }
        self.board.end();
        let counts = Counts::read(&self.metrics);
        let summary = judged.map(|(score, _)| summary(counts, score, seconds, self.caught_up, latency));
        (ended.and(subscribed), summary)
    }
}

fn summary(counts: Counts, score: Score, seconds: f64, caught_up: Option<f64>, latency: Option<(f64, f64)>) -> Final {
    let tenths = |value: f64| (value * 10.0).round() / 10.0;
    Final {
        ticks: counts.ticks,
        bars: counts.bars,
        predictions: counts.predictions,
        predictions_scored: counts.scored,
        dead_letters: counts.dead_letters,
        outcomes: counts.outcomes,
        reports: counts.reports,
        retrains: counts.retrains,
        rows_stored: counts.rows,
        referee_rows_stored: counts.rows_of_all - counts.rows,
        flip_at: score.flip_at(),
        accuracy: score.standings,
        requests: score.asked,
        ticks_per_second: caught_up.unwrap_or(counts.ticks as f64 / seconds).round(),
        latency_p50_ms: latency.map(|(p50, _)| tenths(p50)),
        latency_p99_ms: latency.map(|(_, p99)| tenths(p99)),
        seconds: tenths(seconds),
    }
}
