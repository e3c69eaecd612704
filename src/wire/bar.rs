//! JSON of a closed bar.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::WireError;
use crate::flow::bar::Bar;
use crate::flow::symbol::Symbol;
use crate::flow::time::Micros;

/// A bar as it stands on the `bars` topic; see [`Bar`] for the meaning of its fields.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
#[allow(missing_docs, reason = "the fields are those of `Bar`")]
pub struct BarRecord<'a> {
    #[serde(borrow)]
    pub symbol: Cow<'a, str>,
    #[serde(borrow)]
    pub interval: Cow<'a, str>,
    pub open_time: Micros,
    pub close_time: Micros,
    pub open: f64,
    pub high: f64,
    pub low: f64,
    pub close: f64,
    pub volume: f64,
    pub vwap: f64,
    pub trades: u64,
    pub buy_volume: f64,
    pub sell_volume: f64,
    pub complete: bool,
    pub synthetic: bool,
    pub last_event_time: Micros,
}

/// Writes `bar` to the end of `out`.
pub fn encode(bar: &Bar, out: &mut Vec<u8>) {
    let record = BarRecord {
        symbol: Cow::Borrowed(bar.symbol.as_str()),
        interval: bar.interval.to_string().into(),
        open_time: bar.open_time,
        close_time: bar.close_time,
        open: bar.open,
        high: bar.high,
        low: bar.low,
        close: bar.close,
        volume: bar.volume,
        vwap: bar.vwap,
        trades: bar.trades,
        buy_volume: bar.buy_volume,
        sell_volume: bar.sell_volume,
        complete: bar.complete,
        synthetic: bar.synthetic,
        last_event_time: bar.last_event_time,
    };
    serde_json::to_writer(out, &record).expect("a record of plain fields is always JSON, and a Vec takes every byte");
}

/// Reads a record of the `bars` topic.
///
/// # Errors
/// When it is not a bar.
pub fn decode(bytes: &[u8]) -> Result<BarRecord<'_>, WireError> {
    serde_json::from_slice(bytes).map_err(|source| WireError::Json { what: "bar", source })
}

impl TryFrom<BarRecord<'_>> for Bar {
    type Error = WireError;

    fn try_from(record: BarRecord<'_>) -> Result<Self, WireError> {
        let wrong = |why: String| WireError::Value { what: "bar", why };
        Ok(Self {
            symbol: Symbol::new(&record.symbol).map_err(|error| wrong(error.to_string()))?,
            interval: record.interval.parse().map_err(|error| wrong(format!("{error}")))?,
            open_time: record.open_time,
            close_time: record.close_time,
            open: record.open,
            high: record.high,
            low: record.low,
            close: record.close,
            volume: record.volume,
            vwap: record.vwap,
            trades: record.trades,
            buy_volume: record.buy_volume,
            sell_volume: record.sell_volume,
            complete: record.complete,
            synthetic: record.synthetic,
            last_event_time: record.last_event_time,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A restored window must hold the same bits as the one that was lost.
        #[test]
        fn every_bit_of_a_bar_comes_back(
            price in any::<f64>().prop_filter("finite", |x| x.is_finite()),
            volume in any::<f64>().prop_filter("finite", |x| x.is_finite()),
            trades in any::<u64>(),
        ) {
            let bar = Bar {
                symbol: Symbol::new("BTC-USDT.X").unwrap(),
                interval: "10s".parse().unwrap(),
                open_time: 0,
                close_time: 10_000_000,
                open: price, high: price, low: -price, close: price / 3.0,
                volume, vwap: volume / 7.0, trades,
                buy_volume: volume, sell_volume: 0.0,
                complete: true, synthetic: false, last_event_time: 9,
            };
            let mut bytes = Vec::new();
            encode(&bar, &mut bytes);
            prop_assert_eq!(Bar::try_from(decode(&bytes).unwrap()).unwrap(), bar);
        }
    }
}
