//! Where a stage's records leave: the running transaction, begun by the first of them.

use std::sync::Arc;
use std::time::Instant;

use rdkafka::consumer::{Consumer, ConsumerGroupMetadata};
use rdkafka::message::{Header, OwnedHeaders};

use super::LaneError;
use crate::io::kafka::KafkaError;
use crate::io::kafka::consumer::LaneConsumer;
use crate::io::kafka::producer::{Outgoing, Transactions};
use crate::wire::SCHEMA_VERSION;

/// The running transaction.
pub(super) struct Open {
    pub since: Instant,
    pub group: ConsumerGroupMetadata,
    pub bytes: usize,
}

/// The lane's producer and its transaction.
pub struct Outlet {
    consumer: Arc<LaneConsumer>,
    pub(super) producer: Transactions,
    pub(super) open: Option<Open>,
}

impl Outlet {
    pub(super) fn new(consumer: Arc<LaneConsumer>, producer: Transactions) -> Self {
        Self { consumer, producer, open: None }
    }

    /// Begins a transaction unless one runs. The group's metadata is read now: a member that is replaced later cannot commit.
    pub(super) fn begin(&mut self) -> Result<&mut Open, LaneError> {
        if self.open.is_none() {
            let group = self
                .consumer
                .group_metadata()
                .ok_or_else(|| KafkaError::State("the consumer has no group metadata".to_owned()))?;
            self.producer.begin()?;
            self.open = Some(Open { since: Instant::now(), group, bytes: 0 });
        }
        self.open.as_mut().ok_or_else(|| KafkaError::State("no transaction".to_owned()).into())
    }

    /// Sends a record within the transaction.
    ///
    /// # Errors
    /// When the transaction cannot go on; the lane then aborts and restores.
    pub fn send(&mut self, record: Outgoing<'_>) -> Result<(), LaneError> {
        let open = self.begin()?;
        open.bytes += record.value.len();
        Ok(self.producer.send(record)?)
    }
}

/// The header of every record.
pub fn version_header() -> OwnedHeaders {
    OwnedHeaders::new_with_capacity(1).insert(Header { key: "schema_version", value: Some(SCHEMA_VERSION) })
}
