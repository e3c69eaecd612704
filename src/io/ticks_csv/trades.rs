//! Trades of a file for a reader in this process: checked as the stream checks them, without the way through JSON.
//!
//! A row of the usual shape is read at once. Any other is written as the record that `replay` would send and decoded as the
//! forecaster would decode it, so the verdict is the stream's own.

use std::borrow::Cow;
use std::sync::Arc;

use hashbrown::HashSet;

use super::{CsvError, TickFile};
use crate::flow::dead_letter::Reason;
use crate::flow::merge::Timed;
use crate::flow::tick::{Record, Side, Trade, TradeId};
use crate::flow::time::Micros;
use crate::wire::tick;

/// Symbols whose text is shared; a file with more of them starts over.
const MAX_SYMBOLS: usize = 65_536;
/// Texts of a usual row together, in bytes: however they are escaped, no limit of a record comes into play.
const MAX_TEXT: usize = 128;
/// Digits of a usual decimal.
const MAX_DIGITS: usize = 24;

/// One row: a trade, or why the stream would not use it.
#[derive(Clone, Debug, PartialEq)]
pub struct TradeRow {
    /// The instrument as the row names it, which need not be a symbol.
    pub symbol: Arc<str>,
    /// When the venue says it happened, as the row says it.
    pub event_time: Micros,
    rest: Result<Rest, Reason>,
}

#[derive(Clone, Debug, PartialEq)]
struct Rest {
    price: f64,
    size: f64,
    side: Side,
    trade_id: Option<TradeId<'static>>,
}

impl TradeRow {
    /// The checked trade.
    ///
    /// # Errors
    /// Why it belongs to the dead letters.
    pub fn trade(&self) -> Result<Trade<'_>, Reason> {
        let rest = self.rest.as_ref().map_err(|reason| *reason)?;
        Ok(Trade {
            symbol: Cow::Borrowed(&self.symbol),
            price: rest.price,
            size: rest.size,
            side: rest.side,
            trade_id: rest.trade_id.as_ref().map(|id| match id {
                TradeId::Number(number) => TradeId::Number(*number),
                TradeId::Text(text) => TradeId::Text(Cow::Borrowed(text)),
            }),
            event_time: self.event_time,
        })
    }
}

impl Timed for TradeRow {
    fn time(&self) -> Micros {
        self.event_time
    }
}

/// The rows of a file as trades.
pub struct Trades {
    file: TickFile,
    max_record_bytes: usize,
    symbols: HashSet<Arc<str>>,
    last: Arc<str>,
    buffer: Vec<u8>,
}

impl Trades {
    /// Trades of `file`; `max_record_bytes` is the stream's limit (at least 1024), beyond which a record is not decoded.
    pub fn new(file: TickFile, max_record_bytes: usize) -> Self {
        Self { file, max_record_bytes, symbols: HashSet::new(), last: "".into(), buffer: Vec::new() }
    }

    /// A row of the usual shape; none for any other.
    fn usual(&mut self) -> Option<TradeRow> {
        let (file, columns) = (&self.file, self.file.columns);
        let text = |index: Option<usize>| std::str::from_utf8(index.map_or(&b""[..], |index| file.cell(index))).ok();
        let event_time = micros(file.cell(columns.time))?;
        if let Some(index) = columns.receive_time
            && !file.cell(index).is_empty()
        {
            micros(file.cell(index))?;
        }
        let (price, size) = (decimal(file.cell(columns.price))?, decimal(file.cell(columns.size))?);
        let (side, id) = (text(columns.side)?, text(columns.trade_id)?);
        let symbol = match &file.symbol {
            Some(symbol) => symbol,
            None => text(columns.symbol)?,
        };
        if symbol.len() + side.len() + id.len() > MAX_TEXT {
            return None;
        }
        let rest = check(symbol, event_time, price, size, side, id);
        let symbol = match &file.symbol {
            Some(symbol) => Arc::clone(symbol),
            None if *symbol == *self.last => Arc::clone(&self.last),
            None => {
                self.last = shared(&mut self.symbols, symbol);
                Arc::clone(&self.last)
            }
        };
        Some(TradeRow { symbol, event_time, rest })
    }

    /// Any row, by the way that the stream goes.
    fn unusual(&mut self) -> Result<TradeRow, CsvError> {
        let row = self.file.parse()?;
        self.buffer.clear();
        row.encode(&mut self.buffer);
        let rest = match tick::decode(Some(&self.buffer), self.max_record_bytes) {
            Ok(Record::Trade(trade)) => {
                Ok(Rest { price: trade.price, size: trade.size, side: trade.side, trade_id: trade.trade_id.map(owned) })
            }
            // A row has no kind, so it is a trade.
            Ok(Record::Gap(_) | Record::Watermark(_)) => Err(Reason::BadKind),
            Err(reason) => Err(reason),
        };
        Ok(TradeRow { symbol: row.symbol, event_time: row.event_time, rest })
    }
}

impl Iterator for Trades {
    type Item = Result<TradeRow, CsvError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.file.advance() {
            Ok(false) => None,
            Ok(true) => Some(self.usual().map_or_else(|| self.unusual(), Ok)),
            Err(error) => Some(Err(error)),
        }
    }
}

/// In the order in which a record is decoded, so that a row with two faults has the same reason.
fn check(symbol: &str, event_time: Micros, price: f64, size: f64, side: &str, id: &str) -> Result<Rest, Reason> {
    let side = Side::parse(side)?;
    let trade_id = if id.is_empty() { None } else { Some(TradeId::parse(Cow::Borrowed(id))?) };
    let trade = Trade { symbol: Cow::Borrowed(symbol), price, size, side, trade_id, event_time };
    trade.check()?;
    Ok(Rest { price, size, side, trade_id: trade.trade_id.map(owned) })
}

fn owned(id: TradeId<'_>) -> TradeId<'static> {
    match id {
        TradeId::Number(number) => TradeId::Number(number),
        TradeId::Text(text) => TradeId::Text(Cow::Owned(text.into_owned())),
    }
}

fn shared(symbols: &mut HashSet<Arc<str>>, symbol: &str) -> Arc<str> {
    if let Some(known) = symbols.get(symbol) {
        return Arc::clone(known);
    }
    if symbols.len() >= MAX_SYMBOLS {
        symbols.clear();
    }
    let new: Arc<str> = symbol.into();
    symbols.insert(Arc::clone(&new));
    new
}

/// A whole number without a sign, of at most 18 digits.
fn micros(cell: &[u8]) -> Option<Micros> {
    let digits = (1..=18).contains(&cell.len()) && cell.iter().all(u8::is_ascii_digit);
    digits.then(|| cell.iter().fold(0, |number, digit| 10 * number + i64::from(digit - b'0')))
}

/// A decimal without sign and exponent, as JSON takes it.
fn decimal(cell: &[u8]) -> Option<f64> {
    if cell.is_empty() || cell.len() > MAX_DIGITS {
        return None;
    }
    let point = cell.iter().position(|byte| *byte == b'.').unwrap_or(cell.len());
    let (whole, fraction) = (&cell[..point], cell.get(point + 1..));
    let plain = matches!(whole, [b'0'] | [b'1'..=b'9', ..])
        && whole.iter().all(u8::is_ascii_digit)
        && fraction.is_none_or(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit));
    plain.then(|| std::str::from_utf8(cell).ok()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    const HEADER: &str = "ts_us,symbol,price,size,side,trade_id,recv_ts_us";

    /// A row as the stream behind `replay` reads it.
    type There = (Micros, Result<Record<'static>, Reason>);

    /// Both readings of one row, this one first.
    fn both(row: &str) -> (Option<TradeRow>, Option<There>) {
        let file = file(&format!("{HEADER}\n{row}\n"));
        let open = || TickFile::open(file.path(), None).unwrap();
        let here = Trades::new(open(), 1_024).next().and_then(Result::ok);
        let there = open().next().and_then(Result::ok).map(|row| {
            let mut bytes = Vec::new();
            row.encode(&mut bytes);
            let decoded = tick::decode(Some(&bytes), 1_024).map(|record| match record {
                Record::Trade(trade) => Record::Trade(Trade {
                    symbol: Cow::Owned(trade.symbol.into_owned()),
                    trade_id: trade.trade_id.map(owned),
                    ..trade
                }),
                _ => panic!("a row is a trade"),
            });
            (row.event_time, decoded)
        });
        (here, there)
    }

    fn agree(row: &str) {
        let (here, there) = both(row);
        let here = here.as_ref().map(|row| (row.event_time, row.trade().map(Record::Trade)));
        assert_eq!(here, there, "{row}");
    }

    proptest! {
        #[test]
        fn rows_are_read_as_the_stream_reads_them(
            time in prop_oneof!["[0-9]{1,19}", "1[67][0-9]{14}", "-?[+]?[0-9]{1,17}", "", "[0-9a-z ]{3}"],
            symbol in prop_oneof!["[A-Z]{1,6}", "[A-Z./ é\"]{0,8}", "[A-Z\\\\]{60,140}"],
            price in prop_oneof!["[1-9][0-9]{0,5}\\.[0-9]{1,8}", "[-+]?[0-9]{0,25}\\.?[0-9]{0,25}([eE]-?[0-9]{1,3})?", "0", "x"],
            size in prop_oneof!["[0-9]{1,3}\\.[0-9]{1,8}", "[0-9]{1,30}", "-1", ""],
            side in prop_oneof!["(buy|sell|unknown)?", "BUY", " buy"],
            id in prop_oneof!["[0-9]{0,21}", "[a-f0-9-]{1,40}", "[0-9x]{60,70}", "\u{e9}\t"],
            receive in prop_oneof!["", "[0-9]{16}", "-5", "x"],
        ) {
            agree(&format!("{time},{symbol},{price},{size},{side},{id},{receive}"));
        }
    }

    #[test]
    fn usual_rows_take_the_short_way() {
        let text = format!(
            "{HEADER}\n1723161255342000,BTCUSDT,61837.63000000,0.02,sell,17,1723161254087896\n 1723161255342001 , BTCUSDT ,1,500,,x-1,\n1723161255342002,A,0,5,,,\n"
        );
        let file = file(&text);
        let mut trades = Trades::new(TickFile::open(file.path(), None).unwrap(), 1_024);
        for (price, reason) in [(61837.63, None), (1.0, None), (0.0, Some(Reason::BadPrice))] {
            assert!(trades.file.advance().unwrap());
            let row = trades.usual().expect("a usual row");
            assert_eq!(row.trade().err(), reason);
            assert!(reason.is_some() || row.trade().unwrap().price == price);
        }
        assert!(trades.next().is_none());
    }

    #[test]
    fn errors_are_those_of_the_file() {
        let file = file(&format!("{HEADER}\n9,A,cheap,1,,,\n"));
        let error = Trades::new(TickFile::open(file.path(), None).unwrap(), 1_024).next().unwrap().unwrap_err();
        assert!(error.to_string().contains("line 2: price is `cheap`"), "{error}");
    }
}
