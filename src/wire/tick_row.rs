//! A trade on its way to the `ticks` topic, its decimals as the text they were read in.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::tick::TradeRecord;
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

impl Timed for TickRow {
    fn time(&self) -> Micros {
        self.event_time
    }
}
