//! What Kafka knows about the assigned partitions: which topics they belong to, and which offsets they hold.

use std::collections::BTreeMap;

use rdkafka::consumer::Consumer as _;

use super::batch::Content;
use super::consumer::{StoreConsumer, TIMEOUT};
use super::positions::{Place, Positions};
use crate::io::kafka::topics::Topics;
use crate::io::kafka::{KafkaError, client, topic_id};
use crate::io::postgres::offsets::Source;

/// An assigned partition as Kafka sees it.
#[derive(Debug)]
pub struct Located {
    /// What it holds, and its number.
    pub place: Place,
    /// The same by name and identity.
    pub source: Source,
    /// Its first offset.
    pub low: i64,
    /// The offset after its last.
    pub high: i64,
}

/// Asks Kafka about `places`.
///
/// # Errors
/// When Kafka does not answer.
pub fn locate(consumer: &StoreConsumer, topics: &Topics, places: &[Place]) -> Result<Vec<Located>, KafkaError> {
    let mut identities = BTreeMap::new();
    let mut located = Vec::with_capacity(places.len());
    for &(content, partition) in places {
        let topic = content.topic(topics);
        if !identities.contains_key(topic) {
            identities.insert(topic, topic_id::identity(consumer.client(), topic, TIMEOUT)?.to_string());
        }
        let (low, high) = client::bounds(consumer, topic, partition)?;
        let source = Source { topic: topic.to_owned(), partition, identity: identities[topic].clone() };
        located.push(Located { place: (content, partition), source, low, high });
    }
    Ok(located)
}

/// What has no topic; nothing while Kafka does not say.
pub fn missing(consumer: &StoreConsumer, topics: &Topics) -> Vec<Content> {
    let absent = |content: &Content| {
        let name = content.topic(topics);
        let Ok(metadata) = consumer.fetch_metadata(Some(name), TIMEOUT) else { return false };
        !metadata.topics().iter().any(|topic| topic.name() == name && topic.error().is_none())
    };
    Content::ALL.into_iter().filter(absent).collect()
}

/// The first topic that is no longer the one it was; none while Kafka does not say.
pub fn moved(consumer: &StoreConsumer, positions: &Positions) -> Option<String> {
    let known: BTreeMap<_, _> =
        positions.places().map(|(_, position)| (&position.source.topic, &position.source.identity)).collect();
    known.into_iter().find_map(|(topic, identity)| {
        let now = topic_id::identity(consumer.client(), topic, TIMEOUT).ok()?;
        (now.to_string() != *identity).then(|| topic.clone())
    })
}
