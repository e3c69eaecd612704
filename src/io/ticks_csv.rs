//! Files of recorded trades: CSV, optionally gzip.
//!
//! The header is required and columns are found by name: `ts_us, symbol, price, size` must be there, `side, trade_id,
//! recv_ts_us` may be, others are ignored. Decimals are kept as they are written.

mod trades;
mod writer;

pub use trades::{TradeRow, Trades};
pub use writer::TickFileWriter;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use csv::ByteRecord;
use flate2::bufread::MultiGzDecoder;
use serde_json::value::RawValue;

use crate::flow::symbol::Symbol;
use crate::flow::time::Micros;
use crate::wire::tick_row::TickRow;

/// What keeps a file from being replayed, or from being written.
#[derive(Debug, thiserror::Error)]
pub enum CsvError {
    /// It cannot be opened.
    #[error("{path}: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be read on, or is not CSV.
    #[error("{path}, line {line}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// Why.
        source: csv::Error,
    },
    /// It cannot be written.
    #[error("{path}: {why}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        why: String,
    },
    /// The header lacks a column.
    #[error(
        "{path}, line 1: column `{column}` is missing: the header must name ts_us,symbol,price,size (side,trade_id,recv_ts_us where there are any)"
    )]
    Column {
        /// The file.
        path: PathBuf,
        /// The column.
        column: &'static str,
    },
    /// A cell does not hold what its column promises.
    #[error("{path}, line {line}: {column} is `{cell}`: {expected} is needed")]
    Cell {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The column.
        column: &'static str,
        /// What is in it.
        cell: String,
        /// What should be.
        expected: &'static str,
    },
}

/// A file that is being read, row by row.
pub struct TickFile {
    path: PathBuf,
    reader: csv::Reader<Box<dyn Read + Send>>,
    columns: Columns,
    /// The symbol of every row, where the caller gives one.
    symbol: Option<Arc<str>>,
    /// The last row's symbol: most files hold one.
    last_symbol: Arc<str>,
    row: ByteRecord,
    read: Arc<AtomicU64>,
    size: u64,
}

#[derive(Clone, Copy, Debug)]
struct Columns {
    time: usize,
    symbol: Option<usize>,
    price: usize,
    size: usize,
    side: Option<usize>,
    trade_id: Option<usize>,
    receive_time: Option<usize>,
}

impl TickFile {
    /// Opens `path` and reads its header; `symbol` replaces what the file says.
    ///
    /// # Errors
    /// When it cannot be opened or lacks a column.
    pub fn open(path: &Path, symbol: Option<&Symbol>) -> Result<Self, CsvError> {
        let failed = |source| CsvError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let read = Arc::new(AtomicU64::new(0));
        let mut bytes = BufReader::with_capacity(1 << 16, Counting { inner: file, count: read.clone() });
        let gzip = io::BufRead::fill_buf(&mut bytes).map_err(failed)?.starts_with(&[0x1f, 0x8b]);
        let plain: Box<dyn Read + Send> = if gzip { Box::new(MultiGzDecoder::new(bytes)) } else { Box::new(bytes) };
        // Cells are trimmed when they are read: the reader would copy every row for it.
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(plain);
        let header =
            reader.byte_headers().map_err(|source| CsvError::Read { path: path.to_owned(), line: 1, source })?.clone();
        let columns = Columns::find(path, &header, symbol.is_some())?;
        Ok(Self {
            path: path.to_owned(),
            reader,
            columns,
            symbol: symbol.map(|s| s.as_str().into()),
            last_symbol: "".into(),
            row: ByteRecord::new(),
            read,
            size,
        })
    }

    /// How far the file has been read; goes on while it is.
    pub fn progress(&self) -> Progress {
        Progress { size: self.size, read: self.read.clone() }
    }

    /// Takes the next row into `row`; `false` at the end.
    fn advance(&mut self) -> Result<bool, CsvError> {
        self.reader.read_byte_record(&mut self.row).map_err(|source| {
            let line = self.reader.position().line();
            CsvError::Read { path: self.path.clone(), line, source }
        })
    }

    fn parse(&mut self) -> Result<TickRow, CsvError> {
        let columns = self.columns;
        let event_time = self.time(columns.time, "ts_us")?;
        let receive_time = match columns.receive_time {
            Some(index) if !self.cell(index).is_empty() => Some(self.time(index, "recv_ts_us")?),
            _ => None,
        };
        Ok(TickRow {
            event_time,
            receive_time,
            price: self.decimal(columns.price, "price")?,
            size: self.decimal(columns.size, "size")?,
            side: self.text(columns.side, "side")?.to_owned(),
            trade_id: self.text(columns.trade_id, "trade_id")?.to_owned(),
            symbol: self.symbol()?,
        })
    }

    fn symbol(&mut self) -> Result<Arc<str>, CsvError> {
        if let Some(symbol) = &self.symbol {
            return Ok(symbol.clone());
        }
        let text = self.text(self.columns.symbol, "symbol")?;
        if text != &*self.last_symbol {
            self.last_symbol = text.into();
        }
        Ok(self.last_symbol.clone())
    }

    fn cell(&self, index: usize) -> &[u8] {
        self.row.get(index).unwrap_or_default().trim_ascii()
    }

    fn text(&self, index: Option<usize>, column: &'static str) -> Result<&str, CsvError> {
        let cell = index.map_or(&b""[..], |index| self.cell(index));
        std::str::from_utf8(cell).map_err(|_| self.wrong(cell, column, "UTF-8 text"))
    }

    fn time(&self, index: usize, column: &'static str) -> Result<Micros, CsvError> {
        let cell = self.cell(index);
        let number = std::str::from_utf8(cell).ok().and_then(|text| text.parse().ok());
        number.ok_or_else(|| self.wrong(cell, column, "a whole number of microseconds since 1970"))
    }

    fn decimal(&self, index: usize, column: &'static str) -> Result<Box<RawValue>, CsvError> {
        let cell = self.cell(index);
        let number = matches!(cell, [b'-' | b'0'..=b'9', ..])
            .then(|| std::str::from_utf8(cell).ok())
            .flatten()
            .and_then(|text| RawValue::from_string(text.to_owned()).ok());
        number.ok_or_else(|| self.wrong(cell, column, "a decimal number such as 61837.63"))
    }

    fn wrong(&self, cell: &[u8], column: &'static str, expected: &'static str) -> CsvError {
        CsvError::Cell {
            path: self.path.clone(),
            line: self.row.position().map_or(0, csv::Position::line),
            column,
            cell: String::from_utf8_lossy(cell).chars().take(40).collect(),
            expected,
        }
    }
}

impl Iterator for TickFile {
    type Item = Result<TickRow, CsvError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.advance() {
            Ok(false) => None,
            Ok(true) => Some(self.parse()),
            Err(error) => Some(Err(error)),
        }
    }
}

impl Columns {
    fn find(path: &Path, header: &ByteRecord, symbol_given: bool) -> Result<Self, CsvError> {
        let optional = |name: &str| header.iter().position(|cell| cell.trim_ascii() == name.as_bytes());
        let required = |column| optional(column).ok_or_else(|| CsvError::Column { path: path.to_owned(), column });
        Ok(Self {
            time: required("ts_us")?,
            symbol: if symbol_given { optional("symbol") } else { Some(required("symbol")?) },
            price: required("price")?,
            size: required("size")?,
            side: optional("side"),
            trade_id: optional("trade_id"),
            receive_time: optional("recv_ts_us"),
        })
    }
}

/// How far a file has been read.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Bytes of the file on disk.
    pub size: u64,
    read: Arc<AtomicU64>,
}

impl Progress {
    /// How many of them have been read.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

/// Counts the bytes that are read through it.
struct Counting<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
