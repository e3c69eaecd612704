//! What `simulate` sends: trades, and records that nobody can use.

use serde_json::value::RawValue;

use super::tick_row::TickRow;
use crate::flow::market::{Flaw, Sent, SentAs};
use crate::flow::merge::Timed;
use crate::flow::time::Micros;

/// A trade, and what it is sent as.
#[derive(Clone, Debug)]
pub struct SentRow {
    /// The trade; of a bad record, the one that it is a spoilt copy of.
    pub row: TickRow,
    /// As what.
    pub kind: SentAs,
}

impl SentRow {
    /// Writes it as a record of the topic to the end of `out`, with its flaw where it has one.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self.kind {
            SentAs::Trade | SentAs::Duplicate | SentAs::Late => self.row.encode(out),
            SentAs::Bad(flaw) => spoilt(&self.row, flaw, out),
        }
    }
}

/// A record that looks like `row` and cannot be used.
fn spoilt(row: &TickRow, flaw: Flaw, out: &mut Vec<u8>) {
    let from = out.len();
    let price = |json: String| RawValue::from_string(json).expect("a negative number or a literal is JSON");
    match flaw {
        Flaw::Malformed => {
            row.encode(out);
            let half = from + (out.len() - from) / 2;
            out.truncate(half);
        }
        Flaw::Price => TickRow { price: price(format!("-{}", row.price)), ..row.clone() }.encode(out),
        Flaw::Type => TickRow { price: price("true".to_owned()), ..row.clone() }.encode(out),
        Flaw::Kind => {
            row.encode(out);
            out.splice(from..=from, *br#"{"kind":"quote","#);
        }
        Flaw::Time => TickRow { event_time: row.event_time.saturating_mul(1_000), ..row.clone() }.encode(out),
    }
}

impl From<TickRow> for SentRow {
    fn from(row: TickRow) -> Self {
        Self { row, kind: SentAs::Trade }
    }
}

impl From<Sent> for SentRow {
    fn from(sent: Sent) -> Self {
        Self { row: sent.tick.into(), kind: sent.kind }
    }
}

impl Timed for SentRow {
    /// When the trade happened; a bad record stands where the trade that it is a copy of stands.
    fn time(&self) -> Micros {
        self.row.event_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::dead_letter::Reason;
    use crate::flow::market::{Disturbed, Faults, Market, MarketSpec, Schedule};
    use crate::flow::tick::Record;
    use crate::wire::tick::decode;

    #[test]
    fn only_bad_records_are_bad_and_each_for_its_flaw() {
        let spec = MarketSpec {
            symbols: 2,
            interval: "10s".parse().unwrap(),
            start: 1_700_000_000_000_000,
            bars: Some(20),
            seed: 3,
            ticks_per_bar: 5.0,
            schedule: Schedule::default(),
            correlation: 0.0,
        };
        let faults = Faults { duplicates: 0.5, late: 0.5, bad: 1.0 };
        for sent in Disturbed::new(Market::new(&spec), faults, 3, spec.interval, 1_000_000) {
            let row = SentRow::from(sent.clone());
            let mut bytes = b"before".to_vec();
            row.encode(&mut bytes);
            let got = decode(bytes.strip_prefix(b"before"), 1_000);
            let reason = match sent.kind {
                SentAs::Trade | SentAs::Duplicate | SentAs::Late => {
                    assert_eq!(got, Ok(Record::Trade(sent.tick.trade())));
                    continue;
                }
                SentAs::Bad(Flaw::Malformed) => Reason::Malformed,
                SentAs::Bad(Flaw::Price) => Reason::BadPrice,
                SentAs::Bad(Flaw::Type) => Reason::WrongType,
                SentAs::Bad(Flaw::Kind) => Reason::BadKind,
                SentAs::Bad(Flaw::Time) => Reason::BadTime,
            };
            assert_eq!((got, row.time()), (Err(reason), sent.tick.event_time));
        }
    }
}
