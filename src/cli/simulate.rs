//! `tickcast simulate`: a generated market into the ticks topic.

use std::convert::Infallible;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::feed::{Feed, refuse_older, stop_on_signal};
use super::pace::Speed;
use crate::config::Config;
use crate::flow::market::{Market, MarketSpec, Regime};
use crate::flow::time::{Interval, Micros};
use crate::io::clock::now;
use crate::wire::tick_row::TickRow;

/// Send a generated market to the ticks topic.
///
/// Prices follow a rule whose best forecast is known, so a model can be measured against it. Trades are never sent before
/// the wall clock has reached them: with a start in the past the market runs at --speed until it reaches now, and then in
/// real time. At the end every partition gets a watermark at the end of the last bar.
#[derive(Debug, Args)]
pub struct Simulate {
    #[command(flatten)]
    market: MarketArgs,
    /// max, or a multiple of real time: 1x, 20x.
    #[arg(long, default_value = "max")]
    speed: Speed,
    /// Also when the topic already holds newer trades: readers will call these late.
    #[arg(long)]
    force: bool,
    /// Print what was sent as one line of JSON.
    #[arg(long)]
    json: bool,
}

/// What is generated.
#[derive(Clone, Debug, Args)]
pub struct MarketArgs {
    /// Symbols: SIM-1.TICKCAST and so on.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub symbols: u32,
    /// Bars a symbol.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub bars: u64,
    /// Everything random follows from this number.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Start of the first bar, such as 2025-01-31T08:00:00Z; by default so long ago that the last bar ends now.
    #[arg(long, value_parser = time, value_name = "TIME")]
    pub start: Option<Micros>,
    /// Trades a bar, on average; every bar has at least one.
    #[arg(long, default_value_t = 10.0, value_parser = ticks_per_bar)]
    pub ticks_per_bar: f64,
}

impl MarketArgs {
    /// The market with bars of `interval`; without a start its last bar ends before `now`.
    pub fn spec(&self, interval: Interval, now: Micros) -> MarketSpec {
        let bars = Micros::try_from(self.bars).unwrap_or(Micros::MAX);
        let start = self.start.unwrap_or_else(|| interval.open_of(now) - bars.saturating_mul(interval.micros()));
        MarketSpec {
            symbols: self.symbols,
            interval,
            start,
            bars: Some(self.bars),
            seed: self.seed,
            ticks_per_bar: self.ticks_per_bar,
            regime: Regime::default(),
        }
    }
}

fn time(text: &str) -> Result<Micros, String> {
    let parsed: Result<jiff::Timestamp, _> = text.parse();
    parsed.map(jiff::Timestamp::as_microsecond).map_err(|_| "write a UTC time such as 2025-01-31T08:00:00Z".to_owned())
}

fn ticks_per_bar(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (1.0..=100_000.0).contains(&number) => Ok(number),
        _ => Err("a number between 1 and 100000 is needed".to_owned()),
    }
}

impl Simulate {
    pub(super) fn run(self, config: &Config) -> anyhow::Result<()> {
        let spec = self.market.spec(config.bars.interval, now());
        if !self.force {
            refuse_older(config, spec.interval.open_of(spec.start))?;
        }
        let runtime = super::runtime()?;
        let expected = self.market.bars as f64 * f64::from(self.market.symbols) * self.market.ticks_per_bar;
        let progress = ProgressBar::new(expected as u64).with_style(ProgressStyle::with_template(
            "{spinner} {pos} trades {wide_bar} {elapsed_precise} (left {eta})",
        )?);
        let feed = Feed { config, speed: self.speed, not_before_event: true, stop: stop_on_signal(&runtime) };
        let rows = Market::new(&spec).map(|tick| Ok::<_, Infallible>(TickRow::from(tick)));
        let summary = feed.run(rows, |ticks| progress.set_position(ticks))?;
        progress.finish_and_clear();
        summary.print(self.json)
    }
}
