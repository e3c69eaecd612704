//! The demo's market: where it begins, when its rule flips, and the thread that feeds it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::bail;
use clap::Args;

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

/// Trades a bar.
const TICKS_PER_BAR: f64 = 25.0;
/// A market begins at a multiple of this many bars, which horizons divide: the cohorts that do not overlap are then the same
/// ones whenever the demo is started, and so are its figures.
const GRID: Micros = 60;
/// Flips that are scheduled: with the default settings, for six years.
const FLIPS: u64 = 10_000;
/// How long the market waits before it asks again whether it may go on.
const HELD: Duration = Duration::from_millis(5);

/// Which market.
#[derive(Clone, Copy, Debug, Args)]
pub struct DemoMarket {
    /// Symbols of the market.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    symbols: u32,
    /// How far in the past a new market begins, in bars.
    #[arg(long, default_value_t = 2_500, value_parser = clap::value_parser!(u32).range(1..=1_000_000), value_name = "BARS")]
    past: u32,
    /// The rule flips after so many bars, and again after as many; 0 for never.
    #[arg(long, default_value_t = 2_000, value_name = "BARS")]
    flip_every: u64,
    /// Everything random follows from this number.
    #[arg(long, default_value_t = 3)]
    seed: u64,
}

impl DemoMarket {
    /// The market, and the time up to which its trades have been sent, or never will be.
    ///
    /// A later demo goes on with the same market: with the same options and the begin that the topic's first trade tells, the
    /// prices, the rules and the flips are those that the earlier one would have sent. (Where retention has deleted that
    /// trade, prices jump once.)
    ///
    /// # Errors
    /// When the topic holds something else than a generated market, or Kafka fails.
    pub fn spec(&self, config: &Config) -> anyhow::Result<(MarketSpec, Micros)> {
        let interval = config.bars.interval;
        let grid = GRID * interval.micros();
        let past = (now() - Micros::from(self.past) * interval.micros()).div_euclid(grid) * grid;
        let topic = Topics::new(&config.kafka.topic_prefix).ticks;
        let held = held::look(config, &topic)?;
        if let Some(symbol) = held.symbols.iter().find(|symbol| !symbol.ends_with(VENUE)) {
            bail!(
                "{topic} holds {symbol}, which no demo has sent: a generated market does not belong among real ones. Give the \
                 demo topics and a group of its own: --set kafka.topic_prefix=demo. --set kafka.group=tickcast-demo"
            );
        }
        let begun = if held.newest.is_some() { held::oldest(config, &topic)? } else { None };
        let newest = held.newest.map_or(Micros::MIN, |(newest, _)| newest);
        let flips: Vec<u64> = match self.flip_every {
            0 => Vec::new(),
            every => (1..=FLIPS).map(|flip| every.saturating_mul(flip)).take_while(|bar| *bar < u64::MAX).collect(),
        };
        let spec = MarketSpec {
            symbols: self.symbols,
            interval,
            start: interval.open_of(begun.unwrap_or(past)),
            bars: None,
            seed: self.seed,
            ticks_per_bar: TICKS_PER_BAR,
            schedule: Schedule::flipping(&flips)?,
            correlation: 0.0,
        };
        Ok((spec, newest.max(past - 1)))
    }
}

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
    /// Whether whoever reads is too far behind.
    held: AtomicBool,
}

impl Source {
    /// Starts to feed the trades of `spec` that are later than `after` into the ticks topic: fast, until they reach now.
    ///
    /// # Errors
    /// When Kafka fails.
    pub fn start(config: &Arc<Config>, spec: MarketSpec, after: Micros) -> anyhow::Result<Self> {
        let (stop, taken) = (Stop::default(), Arc::new(Taken::default()));
        let (config, wish, count) = (Arc::clone(config), stop.clone(), Arc::clone(&taken));
        let thread = std::thread::Builder::new().name("market".to_owned()).spawn(move || {
            // The feed sends nothing more once the wish is there.
            let over = wish.clone();
            let new = Market::new(&spec).skip_while(|tick| tick.event_time <= after && !over.requested());
            let rows = new.map(|tick| {
                while count.held.load(Ordering::Relaxed) && !over.requested() {
                    std::thread::sleep(HELD);
                }
                count.ticks.fetch_add(1, Ordering::Relaxed);
                count.newest.store(tick.event_time, Ordering::Relaxed);
                Ok::<_, Infallible>(TickRow::from(tick))
            });
            Feed { config: &config, speed: Speed::Max, not_before_event: true, stop: wish.clone() }.run(rows, |_| {})
        })?;
        Ok(Self { thread, stop, taken })
    }

    /// Makes the market wait, or lets it go on: what is under way stays bounded, so that it ends soon after the market does.
    pub fn hold(&self, held: bool) {
        self.taken.held.store(held, Ordering::Relaxed);
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
