//! A trade on its way to the `ticks` topic, its decimals as the text they were read in.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::tick::TradeRecord;
use crate::flow::market::MarketTick;
use crate::flow::merge::Timed;
use crate::flow::time::Micros;

/// One trade that a producer of ours sends: not checked beyond what JSON needs, so that a recording is told as it is.
#[derive(Clone, Debug)]
pub struct TickRow {
    /// The instrument.
    pub symbol: Arc<str>,
    /// When the venue says it happened.
    pub event_time: Micros,
    /// When the recorder saw it.
    pub receive_time: Option<Micros>,
    /// A JSON number.
    pub price: Box<RawValue>,
    /// A JSON number.
    pub size: Box<RawValue>,
    /// The taker's side as it is written.
    pub side: String,
    /// The venue's id as it is written; empty for none.
    pub trade_id: String,
}

impl TickRow {
    /// Writes it as a record of the topic to the end of `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let record = TradeRecord {
            symbol: &self.symbol,
            price: &self.price,
            size: &self.size,
            side: &self.side,
            trade_id: &self.trade_id,
            event_time: self.event_time,
            receive_time: self.receive_time,
        };
        serde_json::to_writer(out, &record).expect("a record of plain fields is JSON, and a Vec takes every byte");
    }
}

impl From<MarketTick> for TickRow {
    fn from(tick: MarketTick) -> Self {
        // Finite doubles print as plain decimals, without an exponent.
        let number = |value: f64| RawValue::from_string(value.to_string()).expect("a finite decimal is JSON");
        Self {
            symbol: tick.symbol.as_str().into(),
            event_time: tick.event_time,
            receive_time: None,
            price: number(tick.price),
            size: number(tick.size),
            side: tick.side.as_str().to_owned(),
            trade_id: tick.trade_id.to_string(),
        }
    }
}

impl Timed for TickRow {
    fn time(&self) -> Micros {
        self.event_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::market::{Market, MarketSpec, Schedule};
    use crate::flow::tick::Record;
    use crate::wire::tick::decode;

    #[test]
    fn generated_trades_come_back_bit_for_bit() {
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
        for tick in Market::new(&spec) {
            let mut bytes = Vec::new();
            TickRow::from(tick.clone()).encode(&mut bytes);
            assert_eq!(decode(Some(&bytes), 1_000), Ok(Record::Trade(tick.trade())));
        }
    }
}
