//! What leaves the lane: bars, predictions, dead letters, each to the partition number of its input.

use rdkafka::consumer::Consumer;
use rdkafka::message::{BorrowedMessage, Header, Message, OwnedHeaders};

use super::{Lane, LaneError, Open};
use crate::flow::dead_letter::Reason;
use crate::flow::time::Micros;
use crate::io::clock;
use crate::io::kafka::KafkaError;
use crate::io::kafka::producer::Outgoing;
use crate::wire::{self, SCHEMA_VERSION};

impl Lane {
    /// Begins a transaction unless one runs. The group's metadata is read now: a member that is replaced later cannot commit.
    fn begin(&mut self) -> Result<&mut Open, LaneError> {
        if self.open.is_none() {
            let group = self
                .consumer
                .group_metadata()
                .ok_or_else(|| KafkaError::State("the consumer has no group metadata".to_owned()))?;
            self.producer.begin()?;
            self.open =
                Some(Open { since: std::time::Instant::now(), group, bytes: 0, bars: 0, scored: 0, abstained: 0 });
        }
        self.open.as_mut().ok_or_else(|| KafkaError::State("no transaction".to_owned()).into())
    }

    pub(super) fn ensure_transaction(&mut self) -> Result<(), LaneError> {
        self.begin().map(|_| ())
    }

    /// Sends the bars and predictions of the cycle that was just closed.
    pub(super) fn emit_cycle(&mut self, partition: i32) -> Result<(), LaneError> {
        if self.cycle.bars.is_empty() && self.cycle.predictions.is_empty() {
            return Ok(());
        }
        let produced_at = clock::now();
        self.begin()?;
        let cycle = std::mem::take(&mut self.cycle);
        let result = self.send_cycle(&cycle, partition, produced_at);
        self.cycle = cycle;
        self.tolerate(result)
    }

    fn send_cycle(
        &mut self,
        cycle: &crate::machine::forecaster::Cycle,
        partition: i32,
        produced_at: Micros,
    ) -> Result<(), LaneError> {
        let mut bytes = 0;
        for bar in &cycle.bars {
            self.buffer.clear();
            wire::bar::encode(bar, &mut self.buffer);
            bytes += self.buffer.len();
            self.producer.send(Outgoing {
                topic: &self.topics.bars,
                partition,
                key: Some(bar.symbol.as_str().as_bytes()),
                value: &self.buffer,
                headers: version_header(),
                bar: Some(bar.close_time),
            })?;
        }
        let mut scored = 0;
        for prediction in &cycle.predictions {
            self.buffer.clear();
            wire::prediction::encode(prediction, produced_at, &mut self.buffer);
            bytes += self.buffer.len();
            scored += u64::from(prediction.probabilities.is_some());
            self.producer.send(Outgoing {
                topic: &self.topics.predictions,
                partition,
                key: Some(prediction.symbol.as_str().as_bytes()),
                value: &self.buffer,
                headers: version_header(),
                bar: None,
            })?;
        }
        if let Some(open) = &mut self.open {
            open.bytes += bytes;
            open.bars += cycle.bars.len() as u64;
            open.scored += scored;
            open.abstained += cycle.predictions.len() as u64 - scored;
        }
        Ok(())
    }

    /// Sends a record that could not be used, as it came, to the dead letters.
    pub(super) fn emit_dead_letter(&mut self, message: &BorrowedMessage<'_>, reason: Reason) -> Result<(), LaneError> {
        let max = self.parts.config.forecast.max_record_bytes;
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
        self.begin()?;
        let sent = self.producer.send(Outgoing {
            topic: &self.topics.deadletter,
            partition: message.partition(),
            key,
            value: kept,
            headers,
            bar: None,
        });
        if let Some(open) = &mut self.open {
            open.bytes += kept.len();
        }
        self.tolerate(sent.map_err(LaneError::from))
    }
}

fn version_header() -> OwnedHeaders {
    OwnedHeaders::new_with_capacity(1).insert(Header { key: "schema_version", value: Some(SCHEMA_VERSION) })
}
