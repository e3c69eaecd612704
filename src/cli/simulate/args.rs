//! The options that say what is generated: `simulate` and `dataset` share them.

use anyhow::bail;
use clap::Args;

use crate::flow::market::{Faults, MarketSpec, Schedule};
use crate::flow::time::{Interval, Micros};

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
    /// Flip the rule of the returns after so many bars, from trends (R = +1, k = 0.2) to reversals (R = -1, k = 0.8) and
    /// back at the next.
    #[arg(long, value_parser = flips, value_name = "BAR[,BAR...]")]
    pub flip_at: Option<Schedule>,
    /// Correlation of the returns of any two symbols, up to 0.99.
    #[arg(long, default_value_t = 0.0, value_parser = correlation, value_name = "RHO")]
    pub correlation: f64,
}

impl MarketArgs {
    /// The market with bars of `interval`; without a start its last bar ends before `now`.
    ///
    /// # Errors
    /// When the rule flips where there are no bars.
    pub fn spec(&self, interval: Interval, now: Micros) -> anyhow::Result<MarketSpec> {
        let bars = Micros::try_from(self.bars).unwrap_or(Micros::MAX);
        let start = self.start.unwrap_or_else(|| interval.open_of(now) - bars.saturating_mul(interval.micros()));
        let schedule = self.flip_at.clone().unwrap_or_default();
        if let Some(flip) = schedule.flips().find(|flip| *flip >= self.bars) {
            bail!(
                "--flip-at {flip}: the market ends after {} bars, so no bar would follow the new rule; give more --bars",
                self.bars
            );
        }
        Ok(MarketSpec {
            symbols: self.symbols,
            interval,
            start,
            bars: Some(self.bars),
            seed: self.seed,
            ticks_per_bar: self.ticks_per_bar,
            schedule,
            correlation: self.correlation,
        })
    }
}

/// What is sent besides the trades, which stay the same with and without.
#[derive(Clone, Copy, Debug, Args)]
pub struct FaultArgs {
    /// Trades that come after their bar has closed (bars.interval, bars.allowed_lateness), as a share of the trades: 0.01 is one
    /// for a hundred.
    #[arg(long, default_value_t = 0.0, value_parser = share, value_name = "SHARE")]
    late: f64,
    /// Trades that come a second time right after, as a share of the trades.
    #[arg(long, default_value_t = 0.0, value_parser = share, value_name = "SHARE")]
    duplicates: f64,
    /// Records that cannot be used (broken JSON, a negative price, a wrong type, an unknown kind, an absurd time), as a share of
    /// the trades. Not with --output: CSV cannot hold them.
    #[arg(long, default_value_t = 0.0, value_parser = share, value_name = "SHARE")]
    bad: f64,
}

impl From<FaultArgs> for Faults {
    fn from(args: FaultArgs) -> Self {
        Self { duplicates: args.duplicates, late: args.late, bad: args.bad }
    }
}

fn time(text: &str) -> Result<Micros, String> {
    let parsed: Result<jiff::Timestamp, _> = text.parse();
    parsed.map(jiff::Timestamp::as_microsecond).map_err(|_| "write a UTC time such as 2025-01-31T08:00:00Z".to_owned())
}

fn ticks_per_bar(text: &str) -> Result<f64, String> {
    within(text, 1.0, 100_000.0)
}

fn correlation(text: &str) -> Result<f64, String> {
    within(text, 0.0, 0.99)
}

fn share(text: &str) -> Result<f64, String> {
    within(text, 0.0, 1.0)
}

fn within(text: &str, least: f64, most: f64) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("a number between {least} and {most} is needed")),
    }
}

fn flips(text: &str) -> Result<Schedule, String> {
    let bars: Result<Vec<u64>, _> = text.split(',').map(|bar| bar.trim().parse()).collect();
    let bars = bars.map_err(|_| "write bar numbers such as 500 or 500,1000".to_owned())?;
    Schedule::flipping(&bars).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flips_are_ascending_bars_within_the_market() {
        assert_eq!(flips("500, 1000").unwrap().flips().collect::<Vec<_>>(), [500, 1_000]);
        for bad in ["", "x", "0", "-1", "5,5", "5,4", "5,"] {
            assert!(flips(bad).is_err(), "{bad}");
        }
        let args = |flip_at: &str| MarketArgs {
            symbols: 1,
            bars: 10,
            seed: 1,
            start: None,
            ticks_per_bar: 1.0,
            flip_at: Some(flips(flip_at).unwrap()),
            correlation: 0.0,
        };
        let interval = Interval::from_seconds(10).unwrap();
        let spec = args("9").spec(interval, 1_000_000_000).unwrap();
        assert_eq!(spec.flip_times().collect::<Vec<_>>(), [990_000_000]);
        let refused = args("4,10").spec(interval, 1_000_000_000).unwrap_err().to_string();
        assert!(refused.contains("10") && refused.contains("--bars"), "{refused}");
    }

    #[test]
    fn shares_and_correlations_have_their_range() {
        assert_eq!((share("1"), share("0.25"), correlation("0.99")), (Ok(1.0), Ok(0.25), Ok(0.99)));
        for bad in ["-0.1", "1.1", "NaN", "x"] {
            assert!(share(bad).is_err() && correlation(bad).is_err(), "{bad}");
        }
        assert!(correlation("1").is_err());
    }
}
