//! The `retrain` topic: which request of a model is open, how others ended, and requests by hand.
//!
//! Whoever asked first, in the order of the topic's offsets, is the one that is open: all who read it agree.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::ensure;
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};

use super::lane::version_header;
use crate::config::{Config, Kafka};
use crate::flow::partitioner;
use crate::flow::retrain::Flight;
use crate::flow::time::Micros;
use crate::flow::trigger::Closed;
use crate::io::clock;
use crate::io::kafka::reader::{Event, Reader, Start, Stop};
use crate::io::kafka::topics::{self, Topics};
use crate::io::kafka::{KafkaError, event};
use crate::wire::retrain::{
    self, CLOSED, CONTENT_TYPE, ClosedRecord, MANUAL, REQUESTED, RequestRecord, SOURCE, SPEC_VERSION,
};

const SLICE: Duration = Duration::from_millis(200);

/// Requests by model.
#[derive(Default)]
pub struct Requests {
    flights: BTreeMap<String, Flight>,
    /// Whether a request of ours lies in the open transaction: then the topic cannot be read to its end, nor needs to be.
    sent: bool,
}

impl Requests {
    /// The requests of `model` as they are now.
    ///
    /// # Errors
    /// When Kafka does not answer.
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
fn read(kafka: &Kafka, topic: &str, partition: Option<i32>) -> Result<BTreeMap<String, Flight>, KafkaError> {
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
fn closed(result: &str) -> Option<Closed> {
    match result {
        "promoted" => Some(Closed::Promoted),
        "rejected" => Some(Closed::Rejected),
        "cancelled" => Some(Closed::Cancelled),
        _ => None,
    }
}

/// The headers of a CloudEvent in Kafka's binary mode.
pub(super) fn cloud_event(id: &str, kind: &str, subject: &str, time: Micros) -> OwnedHeaders {
    let time = clock::rfc3339(time);
    let attributes = [
        ("ce_specversion", SPEC_VERSION),
        ("ce_id", id),
        ("ce_source", SOURCE),
        ("ce_type", kind),
        ("ce_subject", subject),
        ("ce_time", &time),
        ("content-type", CONTENT_TYPE),
    ];
    attributes
        .into_iter()
        .fold(version_header(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}

/// A request by hand.
pub struct Manual<'a> {
    /// Its id.
    pub id: &'a str,
    /// Name of the model.
    pub model: &'a str,
    /// Who asks.
    pub by: &'a str,
    /// Why.
    pub reason: &'a str,
    /// When.
    pub at: Micros,
}

/// Makes a request, unless one is open: then it gives that one's id.
///
/// # Errors
/// When the topic does not exist or Kafka does not answer.
pub fn request(config: &Config, manual: &Manual<'_>) -> anyhow::Result<Option<String>> {
    let (topic, partition) = place(config, manual.model)?;
    let flights = read(&config.kafka, &topic, Some(partition))?;
    if let Some(open) = flights.get(manual.model).and_then(Flight::open) {
        return Ok(Some(open.to_owned()));
    }
    let record = RequestRecord {
        request_id: manual.id.into(),
        model: manual.model.into(),
        model_version: None,
        interval: None,
        horizon: None,
        requested_by: MANUAL.into(),
        requester: Some(manual.by.into()),
        reason: manual.reason.into(),
        as_of: manual.at,
        detector: None,
        statistic: None,
        threshold: None,
        reference: None,
        deviation: None,
        data_from: None,
        data_to: None,
        evidence: None,
    };
    let mut value = Vec::new();
    retrain::write(&record, &mut value);
    let headers = cloud_event(manual.id, REQUESTED, manual.model, manual.at);
    event::write(&config.kafka, (&topic, partition), manual.model.as_bytes(), &value, headers)?;
    Ok(None)
}

/// How a request ended.
pub struct End<'a> {
    /// The request.
    pub id: &'a str,
    /// Name of the model.
    pub model: &'a str,
    /// promoted, rejected or cancelled.
    pub result: &'a str,
    /// Who says so.
    pub by: &'a str,
    /// Why.
    pub reason: &'a str,
    /// When.
    pub at: Micros,
}

/// Closes the open request of a model.
///
/// # Errors
/// When it is not the open one, or Kafka does not answer.
pub fn close(config: &Config, end: &End<'_>) -> anyhow::Result<()> {
    let (topic, partition) = place(config, end.model)?;
    let flights = read(&config.kafka, &topic, Some(partition))?;
    let open = flights.get(end.model).and_then(Flight::open);
    ensure!(
        open == Some(end.id),
        "it is not the open request of model {}: {}",
        end.model,
        open.map_or_else(|| "none is open".to_owned(), |open| format!("that is {open}"))
    );
    let record = ClosedRecord {
        request_id: end.id.into(),
        model: end.model.into(),
        result: end.result.into(),
        requester: Some(end.by.into()),
        reason: end.reason.into(),
        as_of: end.at,
    };
    let mut value = Vec::new();
    retrain::write(&record, &mut value);
    let id = crate::flow::retrain::request_id(&["closed", end.id]);
    let headers = cloud_event(&id, CLOSED, end.model, end.at);
    event::write(&config.kafka, (&topic, partition), end.model.as_bytes(), &value, headers)?;
    Ok(())
}

/// The topic, and the partition of a model.
fn place(config: &Config, model: &str) -> anyhow::Result<(String, i32)> {
    let topic = Topics::new(&config.kafka.topic_prefix).retrain;
    let partitions = topics::partition_count(&topics::admin(&config.kafka)?, &topic)?;
    ensure!(partitions > 0, topics::absent(&topic));
    Ok((topic, partitioner::partition(model.as_bytes(), partitions)))
}
