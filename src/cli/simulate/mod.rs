//! `tickcast simulate`: a generated market into the ticks topic, or into a file.

mod args;
mod file;
pub mod known;

use std::convert::Infallible;
use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

pub use self::args::{FaultArgs, MarketArgs};
use self::known::Rule;
use super::feed::{Extras, Feed, Summary, refuse_older, stop_on_signal};
use super::pace::Speed;
use crate::config::Config;
use crate::flow::market::{Disturbed, Market, MarketSpec};
use crate::flow::time::Micros;
use crate::io::clock::now;
use crate::service::forecast::rules;

/// Send a generated market to the ticks topic, or write it to a file.
///
/// Prices follow a rule whose best forecast is known, so a model can be measured against it: how right that forecast is, and
/// one that was made for the rule before a flip, is printed first. Trades are never sent before the wall clock has reached
/// them: with a start in the past the market runs at --speed until it reaches now, and then in real time. At the end every
/// partition gets a watermark at the end of the last bar.
#[derive(Debug, Args)]
pub struct Simulate {
    #[command(flatten)]
    market: MarketArgs,
    #[command(flatten)]
    faults: FaultArgs,
    /// Write a file for `tickcast replay` and `dataset` instead, at once and without Kafka; gzip where the name ends in .gz.
    #[arg(long, value_name = "FILE.csv[.gz]", conflicts_with_all = ["bad", "speed", "force"])]
    output: Option<PathBuf>,
    /// max, or a multiple of real time: 1x, 20x.
    #[arg(long, default_value = "max")]
    speed: Speed,
    /// Also when the topic already holds newer trades: readers will call these late.
    #[arg(long)]
    force: bool,
    /// Print what was sent, and what is known of the market, as one line of JSON.
    #[arg(long)]
    json: bool,
}

/// What was sent, and what can be hoped for.
#[derive(Serialize)]
struct Report<'a, S> {
    #[serde(flatten)]
    sent: &'a S,
    #[serde(flatten)]
    extras: Extras,
    rules: Vec<Rule>,
    /// When the rule flips, in microseconds.
    flips: Vec<Micros>,
}

impl Simulate {
    pub(super) fn run(self, config: &Config) -> anyhow::Result<()> {
        let spec = self.market.spec(config.bars.interval, now())?;
        let known = known::rules(&spec);
        known.iter().for_each(|rule| eprintln!("{}", rule.text()));
        let flips = spec.flip_times().collect();
        let expected = self.market.bars as f64 * f64::from(self.market.symbols) * self.market.ticks_per_bar;
        let progress = ProgressBar::new(expected as u64).with_style(ProgressStyle::with_template(
            "{spinner} {pos} trades {wide_bar} {elapsed_precise} (left {eta})",
        )?);
        let lateness = rules(config)?.lateness;
        let sent = Disturbed::new(Market::new(&spec), self.faults.into(), spec.seed, spec.interval, lateness);
        if let Some(path) = &self.output {
            let written = file::write(path, sent, |ticks| progress.set_position(ticks))?;
            progress.finish_and_clear();
            let text = written.text();
            return self.print(&Report { extras: written.extras, sent: &written, rules: known, flips }, &text);
        }
        let summary = self.feed(config, &spec, sent, &progress)?;
        progress.finish_and_clear();
        self.print(&Report { extras: summary.extras, sent: &summary, rules: known, flips }, &summary.text())?;
        summary.completed()
    }

    fn feed(
        &self,
        config: &Config,
        spec: &MarketSpec,
        sent: Disturbed<Market>,
        progress: &ProgressBar,
    ) -> anyhow::Result<Summary> {
        if !self.force {
            refuse_older(config, spec.interval.open_of(spec.start))?;
        }
        let runtime = super::runtime()?;
        let feed = Feed { config, speed: self.speed, not_before_event: true, stop: stop_on_signal(&runtime) };
        feed.run(sent.map(Ok::<_, Infallible>), |ticks| progress.set_position(ticks))
    }

    fn print<S: Serialize>(&self, report: &Report<'_, S>, text: &str) -> anyhow::Result<()> {
        let line = if self.json { serde_json::to_string(report)? } else { format!("{text}{}", report.extras.text()) };
        println!("{line}");
        Ok(())
    }
}
