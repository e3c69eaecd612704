//! What the role tells about itself: metrics, and whether it is ready. Told by both of its threads.

use std::sync::{Mutex, PoisonError};

use crate::io::postgres::write::Batch;
use crate::service::health::HealthPart;
use crate::telemetry::metrics::{Metrics, ResultLabel, TopicLabel};

/// Counters and health of the role.
pub struct Report<'a> {
    metrics: &'a Metrics,
    health: HealthPart,
    /// By [`Side`]: the cause before what follows from it.
    waiting: Mutex<[Option<String>; 2]>,
}

/// Who waits.
#[derive(Clone, Copy, Debug)]
pub enum Side {
    /// The writing thread: for PostgreSQL.
    Postgres,
    /// The polling thread: for Kafka, for the writing thread, or for somebody to accept a loss.
    Kafka,
}

impl<'a> Report<'a> {
    /// Nothing told yet: the role waits for its assignment.
    pub fn new(metrics: &'a Metrics, health: HealthPart) -> Self {
        let report = Self { metrics, health, waiting: Mutex::default() };
        report.waits(Side::Kafka, Some("no partitions assigned yet".to_owned()));
        report
    }

    /// The polling thread is alive.
    pub fn beat(&self) {
        self.health.beat();
    }

    /// Says what one side waits for, or that it does not. The role is ready when neither waits.
    pub fn waits(&self, side: Side, why: Option<String>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting[side as usize] = why;
        match waiting.iter().flatten().next() {
            Some(why) => self.health.waits_for(why),
            None => self.health.ready(),
        }
    }

    /// A batch is stored.
    pub fn stored(&self, batch: &Batch) {
        let letters: u64 = batch.dead_letters.values().map(|count| count.count.unsigned_abs()).sum();
        let rows = [
            ("bars", batch.bars.len() as u64),
            ("predictions", batch.predictions.len() as u64),
            ("outcomes", batch.outcomes.len() as u64),
            ("accuracy", batch.accuracy.len() as u64),
            ("retrain", batch.retrains.len() as u64),
            ("deadletter", letters),
        ];
        for (topic, count) in rows {
            self.metrics.rows_stored.get_or_create(&TopicLabel { topic: topic.to_owned() }).inc_by(count);
        }
        self.metrics.store_batches.get_or_create(&ResultLabel { result: "stored" }).inc();
    }

    /// A batch was turned away: the offsets in PostgreSQL are not where it begins.
    pub fn conflict(&self) {
        self.metrics.store_batches.get_or_create(&ResultLabel { result: "conflict" }).inc();
    }

    /// A record cannot be stored.
    pub fn skipped(&self) {
        self.metrics.store_skipped.inc();
    }

    /// What became of a day that was too old.
    pub fn partition(&self, result: &'static str) {
        self.metrics.store_partitions.get_or_create(&ResultLabel { result }).inc();
    }

    /// PostgreSQL refused, or did not answer.
    pub fn retried(&self) {
        self.metrics.store_retries.inc();
    }
}
