//! What leaves the forecaster: bars, predictions, dead letters, each to the partition number of its input.

use rdkafka::message::{BorrowedMessage, Header, Message};

use super::stage::Ticks;
use crate::flow::dead_letter::Reason;
use crate::flow::time::Micros;
use crate::flow::trace_context::TraceContext;
use crate::io::clock;
use crate::io::kafka::producer::Outgoing;
use crate::machine::forecaster::Cycle;
use crate::service::lane::{LaneError, Outlet, traced_headers, version_header};
use crate::telemetry::metrics::ReasonLabel;
use crate::wire;

impl Ticks {
    /// Sends the bars and predictions of the cycle that was just closed, as part of `trace`.
    pub(super) fn emit_cycle(
        &mut self,
        partition: i32,
        trace: Option<TraceContext>,
        out: &mut Outlet,
    ) -> Result<(), LaneError> {
        if self.cycle.bars.is_empty() && self.cycle.predictions.is_empty() {
            return Ok(());
        }
        let produced_at = clock::now();
        let cycle = std::mem::take(&mut self.cycle);
        let result = self.send_cycle(&cycle, partition, produced_at, trace, out);
        self.cycle = cycle;
        result
    }

    fn send_cycle(
        &mut self,
        cycle: &Cycle,
        partition: i32,
        produced_at: Micros,
        trace: Option<TraceContext>,
        out: &mut Outlet,
    ) -> Result<(), LaneError> {
        for bar in &cycle.bars {
            self.buffer.clear();
            wire::bar::encode(bar, &mut self.buffer);
            out.send(Outgoing {
                topic: &self.topics.bars,
                partition,
                key: Some(bar.symbol.as_str().as_bytes()),
                value: &self.buffer,
                headers: traced_headers(trace),
                tag: u64::try_from(bar.close_time).ok(),
            })?;
        }
        let mut scored = 0;
        for prediction in &cycle.predictions {
            self.buffer.clear();
            wire::prediction::encode(prediction, produced_at, &mut self.buffer);
            scored += u64::from(prediction.probabilities.is_some());
            out.send(Outgoing {
                topic: &self.topics.predictions,
                partition,
                key: Some(prediction.symbol.as_str().as_bytes()),
                value: &self.buffer,
                headers: traced_headers(trace),
                tag: None,
            })?;
        }
        self.counts.bars += cycle.bars.len() as u64;
        self.counts.scored += scored;
        self.counts.abstained += cycle.predictions.len() as u64 - scored;
        Ok(())
    }

    /// Sends a record that could not be used, as it came, to the dead letters.
    pub(super) fn emit_dead_letter(
        &mut self,
        message: &BorrowedMessage<'_>,
        reason: Reason,
        out: &mut Outlet,
    ) -> Result<(), LaneError> {
        self.counts.dead += 1;
        self.metrics.dead_letters.get_or_create(&ReasonLabel { reason: reason.as_str() }).inc();
        let max = self.config.forecast.max_record_bytes;
        let value = message.payload().unwrap_or_default();
        let kept = &value[..value.len().min(max)];
        let key = message.key().map(|key| &key[..key.len().min(max)]);
        let number = |name: &'static str, value: i64| (name, value.to_string());
        let mut headers = version_header()
            .insert(Header { key: "reason", value: Some(reason.as_str()) })
            .insert(Header { key: "origin_topic", value: Some(message.topic()) });
        for (key, value) in [
            number("origin_partition", message.partition().into()),
            number("origin_offset", message.offset()),
            number("origin_timestamp_ms", message.timestamp().to_millis().unwrap_or(-1)),
            number("original_size", i64::try_from(value.len()).unwrap_or(i64::MAX)),
        ] {
            headers = headers.insert(Header { key, value: Some(&value) });
        }
        let topic = &self.topics.deadletter;
        out.send(Outgoing { topic, partition: message.partition(), key, value: kept, headers, tag: None })
    }
}
