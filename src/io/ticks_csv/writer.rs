//! Writing files of trades.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::CsvError;
use crate::wire::tick_row::TickRow;

/// The columns, in the order in which they are written.
const HEADER: [&str; 7] = ["ts_us", "symbol", "price", "size", "side", "trade_id", "recv_ts_us"];

/// A file that is being written, row by row. It takes its name when it is whole; what is left of one that was not is removed.
pub struct TickFileWriter {
    path: PathBuf,
    partial: Partial,
    rows: csv::Writer<Output>,
}

enum Output {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
}

/// Removes the file unless it was given its name.
struct Partial(Option<PathBuf>);

impl TickFileWriter {
    /// Begins a file at `path`: gzip where the name ends in `.gz`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(path: &Path) -> Result<Self, CsvError> {
        let partial = path.with_added_extension("partial");
        let failed = |error: io::Error| CsvError::Write { path: partial.clone(), why: error.to_string() };
        let file = BufWriter::with_capacity(1 << 16, File::create(&partial).map_err(failed)?);
        let gzip = path.extension().is_some_and(|extension| extension == "gz");
        // A gzip header without a time: the same rows give the same bytes.
        let output =
            if gzip { Output::Gzip(GzEncoder::new(file, Compression::default())) } else { Output::Plain(file) };
        let mut this =
            Self { path: path.to_owned(), partial: Partial(Some(partial)), rows: csv::Writer::from_writer(output) };
        this.record(HEADER)?;
        Ok(this)
    }

    /// Adds a trade, its decimals as they are.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, row: &TickRow) -> Result<(), CsvError> {
        let event_time = row.event_time.to_string();
        let receive_time = row.receive_time.map(|time| time.to_string()).unwrap_or_default();
        let (price, size) = (row.price.get(), row.size.get());
        self.record([&event_time, &row.symbol, price, size, &row.side, &row.trade_id, &receive_time])
    }

    /// Completes the file and gives it its name.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(self) -> Result<(), CsvError> {
        let Self { path, mut partial, rows } = self;
        let failed = |error: io::Error| CsvError::Write { path: path.clone(), why: error.to_string() };
        let mut file = match rows.into_inner().map_err(|error| failed(error.into_error()))? {
            Output::Plain(file) => file,
            Output::Gzip(encoder) => encoder.finish().map_err(failed)?,
        };
        file.flush().map_err(failed)?;
        if let Some(partial) = &partial.0 {
            std::fs::rename(partial, &path).map_err(failed)?;
        }
        partial.0 = None;
        Ok(())
    }

    fn record(&mut self, cells: [&str; HEADER.len()]) -> Result<(), CsvError> {
        let failed = |error: csv::Error| CsvError::Write { path: self.path.clone(), why: error.to_string() };
        self.rows.write_record(cells).map_err(failed)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Gzip(encoder) => encoder.flush(),
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // Best effort: an error of its own would hide the one that led here.
            let _ = std::fs::remove_file(path);
        }
    }
}
