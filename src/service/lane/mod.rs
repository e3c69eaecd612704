//! A lane: one thread with its own consumer, its own transactional producer and the [`Stage`] of a role.
//!
//! ```text
//!  poll ─► apply ─► step, while work is due ─► produce ─► commit        nothing is handed to another thread
//! ```
//!
//! Outputs and input offsets go into one Kafka transaction. One path serves restart, rebalance and abort: the state of the
//! partitions is dropped and restored from the log. What is applied and produced is the stage's: forecast, settle and judge.

mod assignment;
mod commit;
mod outlet;
mod partition;
mod records;
mod refused;
mod stage;
mod trace;
mod trouble;
mod watch;

pub use outlet::{Outlet, version_header};
pub use stage::{Applied, Stage};
pub use trace::{trace_of, traced_headers};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError as Rdkafka, RDKafkaErrorCode};

use self::partition::Partition;
use self::refused::Refused;
use super::health::{HealthPart, Stop};
use crate::config::Config;
use crate::io::kafka::KafkaError;
use crate::io::kafka::consumer::{self, LaneConsumer, Rebalance};
use crate::io::kafka::producer::{TransactionError, Transactions};
use crate::telemetry::metrics::Metrics;

/// How long a poll may wait for the first record when nothing is to be done.
const IDLE_POLL: Duration = Duration::from_millis(20);
/// How often health is looked at.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// How often offsets without results are committed. Results that come while that runs wait for it, and for the broker to finish
/// it: so not once a second, which is when bars of a second close.
const OFFSETS_ALONE: Duration = Duration::from_millis(2_500);

/// What ends a lane.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    /// Kafka cannot be used.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// The producer cannot go on.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// A partition is not taken up.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The state could not be rebuilt.
    #[error("{topic}/{partition} cannot be restored: {why}")]
    Restore {
        /// Topic of the history.
        topic: String,
        /// Its partition.
        partition: i32,
        /// Why.
        why: String,
    },
    /// The same place fails again and again.
    #[error(
        "{topic}/{partition} offset {offset}: the transaction failed {aborts} times, the last time with: {why}; mend that and \
         restart: nothing behind this offset was skipped"
    )]
    Stuck {
        /// Input topic.
        topic: String,
        /// Its partition.
        partition: i32,
        /// First offset that is not committed.
        offset: i64,
        /// How often what begins there failed.
        aborts: u32,
        /// The last error.
        why: String,
    },
    /// Another member has this one's static id.
    #[error(
        "fenced: another process runs with the same kafka.instance, or this one stood still for longer than \
         kafka.transaction_timeout ({0}); give each process its own instance, and restart this one if it has one"
    )]
    Fenced(String),
    /// Input and output topics do not fit.
    #[error("{0}")]
    Topics(String),
}

/// What a lane is made of, apart from its stage.
pub struct Parts {
    /// The settings.
    pub config: Arc<Config>,
    /// Its number in the process.
    pub number: u32,
    /// Consumer group.
    pub group: String,
    /// Partitions of the input, and so of every output.
    pub partitions: i32,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Health.
    pub health: HealthPart,
    /// When to end.
    pub stop: Stop,
}

/// Records between two readings of the clock under backlog.
const CLOCK_EVERY: u32 = 64;

/// A lane and its state.
pub struct Lane<S: Stage> {
    parts: Parts,
    stage: S,
    id: String,
    consumer: Arc<LaneConsumer>,
    outlet: Outlet,
    partitions: BTreeMap<i32, Partition<S::State>>,
    /// Records since clocks were read.
    unclocked: u32,
    last_commit: Instant,
    last_look: Instant,
    last_survey: Instant,
    /// When to try a restore again after the group moved on.
    retry_at: Option<Instant>,
}

impl<S: Stage> Lane<S> {
    /// Connects a lane and runs it until a stop is asked for; then it commits what is done and leaves.
    ///
    /// # Errors
    /// What ends the lane; nothing that was not committed has been seen by anybody. So what Kafka refuses once a stop was asked
    /// for is told and no error: whoever is next does it again.
    pub fn work(parts: Parts, stage: S) -> Result<(), LaneError> {
        let stop = parts.stop.clone();
        match Self::connect(parts, stage).and_then(Self::run) {
            Err(error @ (LaneError::Kafka(_) | LaneError::Transaction(_))) if stop.requested() => {
                tracing::warn!(error = format!("{:#}", anyhow::Error::new(error)), "stopped without a last commit");
                Ok(())
            }
            result => result,
        }
    }

    /// Connects a lane: the producer fences its predecessor, the consumer joins the group.
    fn connect(parts: Parts, stage: S) -> Result<Self, LaneError> {
        let kafka = &parts.config.kafka;
        let id = format!("{}{}.{}.{}.{}", kafka.topic_prefix, kafka.group, stage.role(), kafka.instance, parts.number);
        let producer = Transactions::connect(kafka, &id)?;
        let static_id = kafka.static_membership.then_some(id.as_str());
        let consumer = Arc::new(consumer::subscribe(kafka, &parts.group, stage.input(), static_id)?);
        let now = Instant::now();
        Ok(Self {
            stage,
            id,
            outlet: Outlet::new(Arc::clone(&consumer), producer),
            consumer,
            partitions: BTreeMap::new(),
            unclocked: 0,
            last_commit: now,
            last_look: now,
            last_survey: now,
            retry_at: None,
            parts,
        })
    }

    fn run(mut self) -> Result<(), LaneError> {
        let consumer = Arc::clone(&self.consumer);
        let result = self.turns(&consumer);
        let drained = match &result {
            Ok(()) => self.commit().map(|_| ()),
            Err(_) => Ok(()),
        };
        if self.outlet.open.is_some() {
            // Nobody will wait for a transaction that nobody will finish.
            let _ = self.outlet.producer.abort();
        }
        consumer.context().close();
        result.and(drained)
    }

    fn turns(&mut self, consumer: &LaneConsumer) -> Result<(), LaneError> {
        while !self.parts.stop.requested() {
            // A poll that may wait reads the clock once more than one that may not, and under backlog nothing is waited for.
            let polled = match consumer.poll(Duration::ZERO) {
                None if self.outlet.open.is_none() => consumer.poll(IDLE_POLL),
                polled => polled,
            };
            let drained = match polled {
                Some(Ok(message)) => {
                    self.record(&message)?;
                    false
                }
                Some(Err(Rdkafka::PartitionEOF(partition))) => {
                    self.end_of_partition(partition)?;
                    false
                }
                Some(Err(error)) => {
                    self.survive(&error)?;
                    false
                }
                None => true,
            };
            if let Some(rebalance) = consumer.context().rebalance_pending() {
                self.rebalance(rebalance)?;
            }
            self.unclocked += 1;
            if !drained && self.unclocked < CLOCK_EVERY {
                continue;
            }
            self.unclocked = 0;
            self.restore_if_due()?;
            self.commit_if_due(drained)?;
            if drained {
                self.idle()?;
            }
            if self.last_look.elapsed() >= HOUSEKEEPING {
                self.last_look = Instant::now();
                self.survey()?;
                self.look();
            }
        }
        Ok(())
    }

    fn rebalance(&mut self, rebalance: Rebalance) -> Result<(), LaneError> {
        match rebalance {
            Rebalance::Assigned(partitions) => self.assigned(&partitions),
            Rebalance::Revoked => self.revoked(),
        }
    }

    /// Errors of a consumer are warnings of a client that goes on by itself, unless they are final.
    fn survive(&self, error: &Rdkafka) -> Result<(), LaneError> {
        use RDKafkaErrorCode as Code;
        match error.rdkafka_error_code() {
            Some(Code::FencedInstanceId | Code::Fenced) => Err(LaneError::Fenced(error.to_string())),
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => Err(KafkaError::State(format!(
                "the position is no longer in {} ({error}): retention was faster than this role; `tickcast offsets accept --role {}` \
                 starts anew behind what was written",
                self.stage.input(),
                self.stage.role()
            ))
            .into()),
            Some(
                Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::UnknownTopicOrPartition
                | Code::UnknownTopic,
            ) => Err(KafkaError::call(format!("consuming {}", self.stage.input()))(error.clone()).into()),
            _ if matches!(error, Rdkafka::MessageConsumptionFatal(_)) => {
                Err(KafkaError::call(format!("consuming {}", self.stage.input()))(error.clone()).into())
            }
            _ => {
                tracing::warn!(%error, "consumer");
                Ok(())
            }
        }
    }
}
