//! `tickcast dataset`: features and forward returns to train on, from the code that also runs live.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;

use super::replay::Source;
use super::simulate::MarketArgs;
use crate::config::Config;
use crate::flow::bar::Bar;
use crate::flow::features::FeatureSet;
use crate::flow::market::Market;
use crate::flow::merge::Merge;
use crate::flow::symbol::Symbol;
use crate::flow::tick::Record;
use crate::flow::time::{Interval, Micros, SECOND};
use crate::flow::training_set;
use crate::io::training_parquet::{About, TrainingFile};
use crate::machine::bar_maker::BarMaker;
use crate::machine::forecaster::Verdict;
use crate::service::forecast::rules;
use crate::wire::tick;

/// Where a generated market begins unless told otherwise (2024-01-01): the same command gives the same file at any time.
const START: Micros = 1_704_067_200 * SECOND;

/// Write features and forward returns as Parquet, to train a model on.
///
/// Bars and features come from the code that also runs live. One row for each bar that ends a full window of complete
/// bars, sorted by symbol and time: symbol, close_time (microseconds), close, a column for each feature, and for each
/// horizon return_bps_<h>, the return to the close that many bars later (null where there is none).
#[derive(Debug, Args)]
pub struct Dataset {
    /// Recorded trades, as `tickcast replay` takes them.
    #[arg(required_unless_present = "market", conflicts_with = "market", value_name = "[SYMBOL=]FILE")]
    files: Vec<Source>,
    /// A generated market instead of files.
    #[arg(long)]
    market: bool,
    #[command(flatten)]
    generated: MarketArgs,
    /// Length of a bar; bars.interval by default.
    #[arg(long)]
    interval: Option<Interval>,
    /// File with the feature SQL.
    #[arg(long, value_name = "FILE.sql")]
    features: PathBuf,
    /// Bars a window.
    #[arg(long, default_value_t = 256)]
    window: usize,
    /// Horizons in bars.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 5, 15], value_parser = clap::value_parser!(u32).range(1..=10_000))]
    horizons: Vec<u32>,
    /// The file to write.
    #[arg(long, value_name = "FILE.parquet")]
    output: PathBuf,
    /// Print what was written as one line of JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Default, Serialize)]
struct Summary {
    rows: usize,
    symbols: usize,
    bars: usize,
    ticks: u64,
    duplicates: u64,
    /// Trades that the stream would have dead-lettered.
    dead: u64,
}

impl Dataset {
    pub(super) fn run(self, config: &Config) -> anyhow::Result<()> {
        let sql = std::fs::read_to_string(&self.features).with_context(|| self.features.display().to_string())?;
        let features = FeatureSet::plan(&sql).with_context(|| self.features.display().to_string())?;
        features.check_window(self.window)?;
        let interval = self.interval.unwrap_or(config.bars.interval);
        let about = About {
            features: features.names().to_vec(),
            window: self.window,
            interval,
            horizons: self.horizons.clone(),
            sql,
        };
        let mut file = TrainingFile::create(&self.output, &about)?;
        let mut bars = Bars::new(config, interval)?;
        if self.market {
            let spec = MarketArgs { start: self.generated.start.or(Some(START)), ..self.generated.clone() };
            for tick in Market::new(&spec.spec(interval, START)?) {
                bars.add(&Record::Trade(tick.trade()))?;
            }
        } else {
            let files = self.files.iter().map(Source::open).collect::<anyhow::Result<Vec<_>>>()?;
            let mut bytes = Vec::new();
            for row in Merge::new(files) {
                bytes.clear();
                row?.encode(&mut bytes);
                match tick::decode(Some(&bytes), config.forecast.max_record_bytes) {
                    Ok(record) => bars.add(&record)?,
                    Err(_) => bars.summary.dead += 1,
                }
            }
        }
        let (bars, mut summary) = bars.finish()?;
        for (symbol, bars) in bars {
            let rows = training_set::rows(&bars, self.window, &self.horizons, &features)?;
            summary.rows += rows.close.len();
            summary.bars += bars.len();
            summary.symbols += 1;
            file.write(&symbol, rows)?;
        }
        if summary.rows == 0 {
            bail!(
                "no symbol has {} complete bars of {interval} in a row: give more trades, a shorter --interval or a smaller --window",
                self.window
            );
        }
        file.finish()?;
        if self.json {
            println!("{}", serde_json::to_string(&summary)?);
        } else {
            println!(
                "{}: {} rows of {} symbols from {} bars of {interval} ({} trades, {} duplicates, {} not usable)",
                self.output.display(),
                summary.rows,
                summary.symbols,
                summary.bars,
                summary.ticks,
                summary.duplicates,
                summary.dead
            );
        }
        Ok(())
    }
}

/// Bars of all symbols, from records in the order of the log.
struct Bars {
    maker: BarMaker,
    interval: Interval,
    bars: BTreeMap<Symbol, Vec<Bar>>,
    newest: Micros,
    summary: Summary,
}

impl Bars {
    fn new(config: &Config, interval: Interval) -> anyhow::Result<Self> {
        let rules = crate::flow::rules::Rules { interval, max_symbols: usize::MAX, ..rules(config)? };
        let maker = BarMaker::new(rules)?;
        Ok(Self { maker, interval, bars: BTreeMap::new(), newest: Micros::MIN, summary: Summary::default() })
    }

    fn add(&mut self, record: &Record<'_>) -> anyhow::Result<()> {
        let time = match record {
            Record::Trade(trade) => trade.event_time,
            Record::Gap(gap) => gap.to,
            Record::Watermark(time) => *time,
        };
        self.newest = self.newest.max(time);
        let bars = &mut self.bars;
        match self.maker.apply(record, time, |bar| bars.entry(bar.symbol.clone()).or_default().push(bar)) {
            Verdict::Used => self.summary.ticks += 1,
            Verdict::Duplicate => self.summary.duplicates += 1,
            Verdict::Dead(_) => self.summary.dead += 1,
            Verdict::Full => bail!("more symbols than one process can hold"),
        }
        Ok(())
    }

    /// Closes the last bars.
    fn finish(mut self) -> anyhow::Result<(BTreeMap<Symbol, Vec<Bar>>, Summary)> {
        if self.newest > Micros::MIN {
            self.add(&Record::Watermark(self.interval.close_of(self.newest)))?;
            self.summary.ticks -= 1;
        }
        Ok((self.bars, self.summary))
    }
}
