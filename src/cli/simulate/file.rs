//! A generated market as a file of trades.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;

use crate::cli::feed::{Extras, utc};
use crate::flow::market::Sent;
use crate::flow::time::Micros;
use crate::io::ticks_csv::TickFileWriter;
use crate::wire::sent_row::SentRow;

/// What was written.
#[derive(Clone, Debug, Serialize)]
pub struct Written {
    /// Trades of the market.
    ticks: u64,
    /// Event time of the first, in microseconds.
    first_event_time: Option<Micros>,
    /// Event time of the last.
    last_event_time: Option<Micros>,
    /// The file.
    output: PathBuf,
    /// How long it took.
    seconds: f64,
    /// What is in it besides.
    #[serde(skip)]
    pub extras: Extras,
}

/// Writes what would be sent, in that order; `report` is called now and then with how many trades were written.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, sent: impl Iterator<Item = Sent>, mut report: impl FnMut(u64)) -> anyhow::Result<Written> {
    let begun = Instant::now();
    let mut file = TickFileWriter::create(path)?;
    let (mut ticks, mut first, mut last, mut extras) = (0_u64, None, None, Extras::default());
    for sent in sent {
        let SentRow { row, kind } = sent.into();
        file.write(&row)?;
        if extras.count(kind) {
            continue;
        }
        first = first.or(Some(row.event_time));
        last = Some(row.event_time);
        ticks += 1;
        if ticks.is_multiple_of(1_000) {
            report(ticks);
        }
    }
    file.finish()?;
    Ok(Written {
        ticks,
        first_event_time: first,
        last_event_time: last,
        output: path.to_owned(),
        seconds: begun.elapsed().as_secs_f64(),
        extras,
    })
}

impl Written {
    /// For people.
    pub fn text(&self) -> String {
        let time = |time: Option<Micros>| time.map_or_else(|| "-".to_owned(), utc);
        format!(
            "{}: {} trades from {} to {} in {:.1} s",
            self.output.display(),
            self.ticks,
            time(self.first_event_time),
            time(self.last_event_time),
            self.seconds
        )
    }
}
