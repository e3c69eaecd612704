//! `tickcast replay`: recorded trades into the ticks topic.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::bail;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::feed::{Feed, refuse_older, stop_on_signal};
use super::pace::Speed;
use crate::config::Config;
use crate::flow::merge::Merge;
use crate::flow::symbol::Symbol;
use crate::io::ticks_csv::TickFile;

/// Send recorded trades to the ticks topic, in time order.
///
/// Files are CSV, optionally gzip, with a header that names ts_us,symbol,price,size and, where there are any,
/// side,trade_id,recv_ts_us. Several files are merged by time; at equal times the file given first goes first. At the
/// end every partition gets a watermark at the end of the bar (bars.interval) that holds the last event, so it closes.
#[derive(Debug, Args)]
pub struct Replay {
    /// Files; SYMBOL= before one replaces the symbol that it holds.
    #[arg(required = true, value_name = "[SYMBOL=]FILE")]
    files: Vec<Source>,
    /// max, or a multiple of recorded time: 1x, 20x.
    #[arg(long, default_value = "max")]
    speed: Speed,
    /// Also when the topic already holds newer trades: readers will call these late.
    #[arg(long)]
    force: bool,
    /// Print what was sent as one line of JSON.
    #[arg(long)]
    json: bool,
}

/// A file, and the symbol of its trades where the caller names it.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    symbol: Option<Symbol>,
    path: PathBuf,
}

impl FromStr for Source {
    type Err = String;

    /// What stands before the first `=` is the symbol, unless the whole text names a file.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((symbol, path)) if !Path::new(text).is_file() => {
                let symbol = Symbol::new(symbol).map_err(|error| error.to_string())?;
                Ok(Self { symbol: Some(symbol), path: path.into() })
            }
            _ => Ok(Self { symbol: None, path: text.into() }),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.symbol {
            Some(symbol) => write!(f, "{symbol}={}", self.path.display()),
            None => write!(f, "{}", self.path.display()),
        }
    }
}

impl Source {
    /// Opens the file.
    ///
    /// # Errors
    /// See [`TickFile::open`].
    pub fn open(&self) -> anyhow::Result<TickFile> {
        Ok(TickFile::open(&self.path, self.symbol.as_ref())?)
    }
}

impl Replay {
    pub(super) fn run(self, config: &Config) -> anyhow::Result<()> {
        let files = self.files.iter().map(Source::open).collect::<anyhow::Result<Vec<_>>>()?;
        let positions: Vec<_> = files.iter().map(TickFile::progress).collect();
        let total = positions.iter().map(|p| p.size).sum();
        let mut rows = Merge::new(files).peekable();
        match rows.peek() {
            None => bail!("no trades: the files hold a header and nothing else"),
            Some(Err(_)) => {}
            Some(Ok(_)) if self.force => {}
            Some(Ok(first)) => refuse_older(config, first.event_time)?,
        }
        let runtime = super::runtime()?;
        let progress = ProgressBar::new(total).with_style(ProgressStyle::with_template(
            "{spinner} {bytes}/{total_bytes} {wide_bar} {msg} {elapsed_precise} (left {eta})",
        )?);
        let feed = Feed { config, speed: self.speed, not_before_event: false, stop: stop_on_signal(&runtime) };
        let summary = feed.run(rows, |ticks| {
            progress.set_position(positions.iter().map(|p| p.read()).sum());
            progress.set_message(format!("{ticks} trades"));
        })?;
        progress.finish_and_clear();
        summary.print(self.json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_may_stand_before_the_file() {
        let source: Source = "BTC-USDT.X=a/b=c.csv".parse().unwrap();
        assert_eq!((source.symbol.unwrap().as_str(), source.path), ("BTC-USDT.X", "a/b=c.csv".into()));
        assert_eq!("a.csv".parse(), Ok(Source { symbol: None, path: "a.csv".into() }));
        assert!("a b=c.csv".parse::<Source>().is_err());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("day=1.csv");
        std::fs::write(&path, "").unwrap();
        assert_eq!(path.to_str().unwrap().parse(), Ok(Source { symbol: None, path }));
    }
}
