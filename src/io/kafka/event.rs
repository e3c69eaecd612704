//! Writing one record and waiting until it is there: what people ask for, not what the stream produces.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::message::{DeliveryResult, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, ProducerContext};

use super::{KafkaError, client};
use crate::config::Kafka;

const TIMEOUT: Duration = Duration::from_secs(30);
const SLICE: Duration = Duration::from_millis(10);

/// Where the record went, or why it did not.
#[derive(Clone, Default)]
struct Delivery(Arc<Mutex<Option<Result<i64, rdkafka::error::KafkaError>>>>);

impl ClientContext for Delivery {}

impl ProducerContext for Delivery {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let told = match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.clone()),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
    }
}

/// Writes a record to an explicit partition; gives its offset.
///
/// # Errors
/// When Kafka refuses it, or does not acknowledge it within half a minute: then it may or may not be there.
pub fn write(
    config: &Kafka,
    (topic, partition): (&str, i32),
    key: &[u8],
    value: &[u8],
    headers: OwnedHeaders,
) -> Result<i64, KafkaError> {
    let call = || KafkaError::call(format!("writing to {topic}/{partition}"));
    let delivery = Delivery::default();
    let producer = BaseProducer::from_config_and_context(&client::producer(config), delivery.clone()).map_err(call())?;
    let record = BaseRecord::to(topic).partition(partition).key(key).payload(value).headers(headers);
    producer.send(record).map_err(|(error, _)| call()(error))?;
    let deadline = Instant::now() + TIMEOUT;
    loop {
        producer.poll(SLICE);
        match delivery.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(told) => return told.map_err(call()),
            None if Instant::now() > deadline => {
                return Err(KafkaError::State(format!("{topic}/{partition} does not acknowledge a record")));
            }
            None => {}
        }
    }
}
