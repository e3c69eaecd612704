//! `tickcast backtest`: forecaster, settler and judge over recorded trades, without Kafka.

mod charts;
mod figures;
mod output;
mod page;
mod series;
mod svg;
mod tables;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::bail;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use self::output::Outputs;
use self::page::About;
use super::feed::utc;
use super::replay::Source;
use crate::config::Config;
use crate::flow::merge::Merge;
use crate::flow::partitioner;
use crate::flow::tick::Record;
use crate::flow::time::{EARLIEST, LATEST, Micros};
use crate::io::ticks_csv::{CsvError, TickFile, Trades};
use crate::machine::backtest::{Backtest as Machines, Settings};
use crate::service::{forecast, judge};

/// Rows between two looks at the progress bar and at what could not be written.
const LOOK: u64 = 1 << 14;

/// Forecast, settle and judge recorded trades, without Kafka.
///
/// Files are those of `tickcast replay`, in the same order, and what comes out is what a run over Kafka gives: the same code,
/// driven by files. No clock is read for it: the same files, model and settings give the same bytes. In the folder of --output:
/// outcomes.parquet, accuracy.jsonl (a report a line), retrains.jsonl (a request a line) and report.html, a page with pictures.
#[derive(Debug, Args)]
pub struct Backtest {
    /// Recorded trades, as `tickcast replay` takes them.
    #[arg(required = true, value_name = "[SYMBOL=]FILE")]
    files: Vec<Source>,
    /// Partitions, each with a watermark of its own, as the ticks topic would have.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=1_024), value_name = "N")]
    partitions: i32,
    /// The folder to write to; it is made where it is absent, and files of an earlier run are replaced.
    #[arg(long, default_value = "backtest", value_name = "FOLDER")]
    output: PathBuf,
    /// Write every prediction as well, abstentions included: predictions.parquet.
    #[arg(long)]
    predictions: bool,
    /// Print what was done as one line of JSON.
    #[arg(long)]
    json: bool,
}

/// What was done.
#[derive(Clone, Debug, Serialize)]
struct Summary {
    /// Trades in the files.
    ticks: u64,
    duplicates: u64,
    /// Trades that the stream would have dead-lettered.
    dead: u64,
    bars: u64,
    predictions: u64,
    scored: u64,
    outcomes: u64,
    /// Outcomes that came after their cohort was closed.
    late: u64,
    reports: u64,
    retrains: u64,
    /// Alarms that were held back, most of them because nobody answers the first request.
    held: u64,
    partitions: i32,
    first_event_time: Micros,
    last_event_time: Micros,
    seconds: f64,
    ticks_per_second: f64,
    output: PathBuf,
}

impl Backtest {
    pub(super) fn run(self, config: &Config) -> anyhow::Result<()> {
        let champion = forecast::champion(config)?;
        let settings = Settings {
            rules: forecast::rules(config)?,
            fee_bps: config.fees.bps,
            max_pending: config.settle.max_pending,
            max_bad_ratio: config.forecast.max_bad_ratio,
            judge: judge::settings(config, self.partitions, &[champion.spec()])?,
        };
        let mut about =
            About::new(config, champion.spec(), self.files.iter().map(ToString::to_string), self.partitions);
        let files = self.files.iter().map(Source::open).collect::<anyhow::Result<Vec<_>>>()?;
        let positions: Vec<_> = files.iter().map(TickFile::progress).collect();
        let progress =
            ProgressBar::new(positions.iter().map(|p| p.size).sum()).with_style(ProgressStyle::with_template(
                "{spinner} {bytes}/{total_bytes} {wide_bar} {msg} {elapsed_precise} (left {eta})",
            )?);
        let mut outputs = Outputs::create(&self.output, self.predictions, config.bars.interval)?;
        let begun = Instant::now();
        let mut machines = Machines::new(settings, champion);
        let max_bytes = config.forecast.max_record_bytes;
        let rows = Merge::new(files.into_iter().map(|file| Trades::new(file, max_bytes)).collect());
        let Some(span) = self.feed(rows, &mut machines, &mut outputs, |ticks| {
            progress.set_position(positions.iter().map(|p| p.read()).sum());
            progress.set_message(format!("{ticks} trades"));
        })?
        else {
            bail!("no trades: the files hold a header and nothing else")
        };
        let (first, last) = span.believed.unwrap_or((span.first, span.first));
        if span.believed.is_some() {
            machines.finish(config.bars.interval.close_of(last), &mut outputs)?;
        }
        progress.finish_and_clear();
        let counts = machines.counts();
        about.done(counts, span.ticks, (first, last));
        outputs.finish(&about, &machines.reports())?;
        let seconds = begun.elapsed().as_secs_f64();
        let summary = Summary {
            ticks: span.ticks,
            duplicates: counts.duplicates,
            dead: counts.dead.values().sum(),
            bars: counts.bars,
            predictions: counts.predictions,
            scored: counts.scored,
            outcomes: counts.outcomes,
            late: counts.late,
            reports: counts.reports,
            retrains: counts.requests,
            held: counts.held,
            partitions: self.partitions,
            first_event_time: span.first,
            last_event_time: last,
            seconds,
            ticks_per_second: (span.ticks as f64 / seconds.max(1e-6)).round(),
            output: self.output.clone(),
        };
        if counts.scored == 0 {
            eprintln!("tickcast: nothing was scored: {}", about.why_nothing());
        }
        if self.json {
            println!("{}", serde_json::to_string(&summary)?);
        } else {
            println!("{}", summary.text());
        }
        Ok(())
    }

    /// Drives the machines with the rows; none where there are no rows.
    fn feed(
        &self,
        rows: Merge<Trades>,
        machines: &mut Machines,
        outputs: &mut Outputs,
        mut look: impl FnMut(u64),
    ) -> anyhow::Result<Option<Span>> {
        let mut span: Option<Span> = None;
        for row in rows {
            let row = row.map_err(|error: CsvError| error)?;
            let partition = match self.partitions {
                1 => 0,
                several => usize::try_from(partitioner::partition(row.symbol.as_bytes(), several))?,
            };
            match row.trade() {
                Ok(trade) => machines.apply(partition, Ok(&Record::Trade(trade)), outputs)?,
                Err(reason) => machines.apply(partition, Err(reason), outputs)?,
            };
            let time = row.event_time;
            let span = span.get_or_insert(Span { ticks: 0, first: time, believed: None });
            span.ticks += 1;
            // A time that no reader believes must not become the watermark.
            if (EARLIEST..LATEST).contains(&time) {
                let (first, last) = span.believed.unwrap_or((time, time));
                span.believed = Some((first.min(time), last.max(time)));
            }
            if span.ticks.is_multiple_of(LOOK) {
                look(span.ticks);
                outputs.check()?;
            }
        }
        Ok(span)
    }
}

/// What the files hold.
struct Span {
    ticks: u64,
    /// Event time of the first row.
    first: Micros,
    /// The smallest and the largest event time that are believed.
    believed: Option<(Micros, Micros)>,
}

impl Summary {
    fn text(&self) -> String {
        format!(
            "{} trades from {} to {} ({} duplicates, {} not usable): {} bars, {} predictions ({} scored), {} outcomes, \
             {} reports, {} retrain requests in {:.1} s ({} trades a second)\n{}",
            self.ticks,
            utc(self.first_event_time),
            utc(self.last_event_time),
            self.duplicates,
            self.dead,
            self.bars,
            self.predictions,
            self.scored,
            self.outcomes,
            self.reports,
            self.retrains,
            self.seconds,
            self.ticks_per_second,
            self.output.join("report.html").display()
        )
    }
}
