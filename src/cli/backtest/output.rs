//! The files of a backtest: outcomes and predictions as Parquet, reports and requests as lines of JSON, the page.
//!
//! Each takes its name when it is whole. `produced_at` of a record is its `as_of`: no clock is read.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::figures::Run;
use super::page::{self, About};
use crate::flow::accuracy::Report;
use crate::flow::outcome::Outcome;
use crate::flow::prediction::Prediction;
use crate::flow::time::Interval;
use crate::io::outcomes_parquet::RowsFile;
use crate::io::partial::Partial;
use crate::machine::backtest::{Event, Sink};
use crate::wire;

/// Files that are being written, and what the page will show.
pub struct Outputs {
    folder: PathBuf,
    outcomes: RowsFile<Outcome>,
    predictions: Option<RowsFile<Prediction>>,
    accuracy: Lines,
    retrains: Lines,
    run: Run,
    /// The first thing that could not be written.
    failed: Option<anyhow::Error>,
}

impl Outputs {
    /// Begins all files in `folder`, which is made where it is absent.
    ///
    /// # Errors
    /// When one cannot be made.
    pub fn create(folder: &Path, predictions: bool, interval: Interval) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}: choose another with --output", folder.display()))?;
        let predictions = predictions.then(|| RowsFile::create(&folder.join("predictions.parquet"))).transpose();
        let outcomes = RowsFile::create(&folder.join("outcomes.parquet"));
        let unwritable = || format!("cannot write in the folder {}: choose another with --output", folder.display());
        Ok(Self {
            outcomes: outcomes.with_context(unwritable)?,
            predictions: predictions.with_context(unwritable)?,
            accuracy: Lines::create(&folder.join("accuracy.jsonl")).with_context(unwritable)?,
            retrains: Lines::create(&folder.join("retrains.jsonl")).with_context(unwritable)?,
            run: Run::new(interval),
            folder: folder.to_owned(),
            failed: None,
        })
    }

    /// Whether everything could be written so far.
    ///
    /// # Errors
    /// The first thing that could not.
    pub fn check(&mut self) -> anyhow::Result<()> {
        self.failed.take().map_or(Ok(()), Err)
    }

    /// Completes all files; `reports` are the last words of the judge.
    ///
    /// # Errors
    /// When something could not be written.
    pub fn finish(mut self, about: &About, reports: &[Report]) -> anyhow::Result<()> {
        self.check()?;
        self.outcomes.finish()?;
        let predictions = self.folder.join("predictions.parquet");
        match self.predictions {
            Some(file) => drop(file.finish()?),
            // One of an earlier run does not belong to these outcomes.
            None if predictions.exists() => fs::remove_file(&predictions).context(predictions.display().to_string())?,
            None => {}
        }
        self.accuracy.finish()?;
        self.retrains.finish()?;
        let mut file = Lines::create(&self.folder.join("report.html"))?;
        file.write(page::html(about, &self.run, reports).as_bytes())?;
        file.finish()
    }

    fn write(&mut self, event: Event<'_>) -> anyhow::Result<()> {
        match event {
            Event::Prediction(prediction) => {
                if let Some(file) = &mut self.predictions {
                    file.push(prediction.clone())?;
                }
            }
            Event::Outcome(outcome) => {
                self.run.outcome(outcome);
                self.outcomes.push(outcome.clone())?;
            }
            Event::Report(report) => {
                self.run.report(report);
                self.accuracy.line(|line| wire::accuracy::encode(report, report.as_of, line))?;
            }
            Event::Request(request) => {
                self.run.request(request);
                self.retrains.line(|line| wire::retrain::encode(request, request.as_of, line))?;
            }
            Event::Held(..) => {}
        }
        Ok(())
    }
}

impl Sink for Outputs {
    fn take(&mut self, event: Event<'_>) {
        if self.failed.is_none() {
            self.failed = self.write(event).err();
        }
    }
}

/// A text file that is being written.
struct Lines {
    partial: Partial,
    file: BufWriter<File>,
    buffer: Vec<u8>,
}

impl Lines {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let (partial, file) = Partial::create(path).with_context(|| path.display().to_string())?;
        Ok(Self { partial, file: BufWriter::new(file), buffer: Vec::new() })
    }

    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.file.write_all(bytes).with_context(|| self.partial.path().display().to_string())
    }

    fn line(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> anyhow::Result<()> {
        let mut line = std::mem::take(&mut self.buffer);
        line.clear();
        encode(&mut line);
        line.push(b'\n');
        let written = self.write(&line);
        self.buffer = line;
        written
    }

    fn finish(mut self) -> anyhow::Result<()> {
        let path = self.partial.path().to_owned();
        let flushed = self.file.flush().and_then(|()| self.partial.finish());
        flushed.with_context(|| path.display().to_string())
    }
}
