//! What the `retrain` topic says of the models of one partition: which request is open, and how others ended.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};

use crate::config::Kafka;
use crate::flow::retrain::Flight;
use crate::flow::trigger::Closed;
use crate::io::kafka::KafkaError;
use crate::io::kafka::reader::{Event, Reader, Start, Stop};
use crate::wire::retrain::{self, CLOSED, REQUESTED};

const SLICE: Duration = Duration::from_millis(200);

/// Requests by model.
#[derive(Default)]
pub(crate) struct Requests {
    flights: BTreeMap<String, Flight>,
    /// Whether a request of ours lies in the open transaction: then the topic cannot be read to its end, nor needs to be.
    sent: bool,
}

impl Requests {
    /// The requests of `model` as they are now.
    pub fn of(&mut self, kafka: &Kafka, topic: &str, partition: i32, model: &str) -> Result<Flight, KafkaError> {
        if !self.sent {
            self.flights = read(kafka, topic, Some(partition))?;
        }
        Ok(self.flights.get(model).cloned().unwrap_or_default())
    }

    /// A request of ours is sent.
    pub fn sent(&mut self, model: &str, id: &str) {
        self.flights.entry(model.to_owned()).or_default().requested(id);
        self.sent = true;
    }

    /// The transaction is over.
    pub fn committed(&mut self) {
        self.sent = false;
    }
}

/// Reads the topic, in the order of its offsets.
///
/// # Errors
/// When Kafka does not answer.
pub(crate) fn read(kafka: &Kafka, topic: &str, partition: Option<i32>) -> Result<BTreeMap<String, Flight>, KafkaError> {
    let mut flights: BTreeMap<String, Flight> = BTreeMap::new();
    let mut reader = Reader::open(kafka, topic, partition, Start::Beginning, Stop::End)?;
    loop {
        match reader.next(SLICE)? {
            Event::Record(message) => take(&message, &mut flights),
            Event::Idle => {}
            Event::Finished => return Ok(flights),
        }
    }
}

/// Other events, and what cannot be read, say nothing about requests; they are told once each time they are met.
fn take(message: &BorrowedMessage<'_>, flights: &mut BTreeMap<String, Flight>) {
    let kind = message.headers().and_then(|headers| {
        let header = headers.iter().find(|header| header.key == "ce_type")?;
        header.value.and_then(|value| std::str::from_utf8(value).ok())
    });
    let value = message.payload().unwrap_or_default();
    let problem = match kind {
        Some(REQUESTED) => match retrain::decode_request(value) {
            Ok(request) => {
                flights.entry(request.model.into_owned()).or_default().requested(&request.request_id);
                return;
            }
            Err(error) => error.to_string(),
        },
        Some(CLOSED) => match retrain::decode_closed(value) {
            Ok(end) => {
                let Some(closed) = closed(&end.result) else { return };
                flights.entry(end.model.into_owned()).or_default().closed(&end.request_id, closed, end.as_of);
                return;
            }
            Err(error) => error.to_string(),
        },
        other => format!("ce_type {other:?}"),
    };
    let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
    tracing::warn!(topic, partition, offset, problem, "retrain event skipped");
}

/// How a request ended, by the name in its record.
pub(crate) fn closed(result: &str) -> Option<Closed> {
    match result {
        "promoted" => Some(Closed::Promoted),
        "rejected" => Some(Closed::Rejected),
        "cancelled" => Some(Closed::Cancelled),
        _ => None,
    }
}
