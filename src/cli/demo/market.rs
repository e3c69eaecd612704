//! The demo's market: where it begins, and the thread that feeds it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::thread::JoinHandle;

use anyhow::bail;

use crate::cli::feed::{Feed, Summary};
use crate::cli::pace::Speed;
use crate::config::Config;
use crate::flow::market::{Market, MarketSpec, Schedule, VENUE};
use crate::flow::time::Micros;
use crate::io::clock::now;
use crate::io::kafka::held;
use crate::io::kafka::topics::Topics;
use crate::service::health::Stop;
use crate::wire::tick_row::TickRow;

/// How far in the past it begins, in bars: a window and a sequence of the reference model (319), and a hundred to score.
const PAST: i64 = 420;
/// Trades a bar.
const TICKS_PER_BAR: f64 = 25.0;

/// The market that is being fed.
pub struct Source {
    thread: JoinHandle<anyhow::Result<Summary>>,
    stop: Stop,
    taken: Arc<Taken>,
}

/// What was taken out of the market so far: sent, but for the last one, which may still wait for its time.
#[derive(Default)]
struct Taken {
    ticks: AtomicU64,
    newest: AtomicI64,
}

impl Source {
    /// Starts to feed `symbols` symbols into the ticks topic: from the past, fast, until it reaches now.
    ///
    /// # Errors
    /// When the topic holds something else than a generated market, or Kafka fails.
    pub fn start(config: &Arc<Config>, symbols: u32) -> anyhow::Result<Self> {
        let start = begin(config)?;
        let spec = MarketSpec {
            symbols,
            interval: config.bars.interval,
            start,
            bars: None,
            seed: start.unsigned_abs(),
            ticks_per_bar: TICKS_PER_BAR,
            schedule: Schedule::default(),
            correlation: 0.0,
        };
        let (stop, taken) = (Stop::default(), Arc::new(Taken::default()));
        let (config, wish, count) = (Arc::clone(config), stop.clone(), Arc::clone(&taken));
        let thread = std::thread::Builder::new().name("market".to_owned()).spawn(move || {
            let rows = Market::new(&spec).map(|tick| {
                count.ticks.fetch_add(1, Ordering::Relaxed);
                count.newest.store(tick.event_time, Ordering::Relaxed);
                Ok::<_, Infallible>(TickRow::from(tick))
            });
            Feed { config: &config, speed: Speed::Max, not_before_event: true, stop: wish }.run(rows, |_| {})
        })?;
        Ok(Self { thread, stop, taken })
    }

    /// Trades taken out of the market.
    pub fn ticks(&self) -> u64 {
        self.taken.ticks.load(Ordering::Relaxed)
    }

    /// Whether it has reached now.
    pub fn is_live(&self) -> bool {
        self.taken.newest.load(Ordering::Relaxed) > now()
    }

    /// Whether it has ended by itself, which only a failure does.
    pub fn has_failed(&self) -> bool {
        self.thread.is_finished()
    }

    /// Stops it and gives what was sent and delivered.
    ///
    /// # Errors
    /// When something could not be delivered.
    pub fn finish(self) -> anyhow::Result<Summary> {
        self.stop.request();
        self.thread.join().unwrap_or_else(|_| bail!("the market's thread panicked; its output says where"))
    }
}

/// In the past, or where an earlier demo in the same topics left off.
fn begin(config: &Config) -> anyhow::Result<Micros> {
    let interval = config.bars.interval;
    let past = interval.open_of(now()) - PAST * interval.micros();
    let topic = Topics::new(&config.kafka.topic_prefix).ticks;
    let held = held::look(config, &topic)?;
    if let Some(symbol) = held.symbols.iter().find(|symbol| !symbol.ends_with(VENUE)) {
        bail!(
            "{topic} holds {symbol}, which no demo has sent: a generated market does not belong among real ones. Give the demo \
             topics and a group of its own: --set kafka.topic_prefix=demo. --set kafka.group=tickcast-demo"
        );
    }
    Ok(held.newest.map_or(past, |(newest, _)| past.max(interval.close_of(newest))))
}
