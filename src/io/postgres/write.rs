//! The projector's transaction: offsets by compare-and-set, then rows, then commit. All of it or nothing.

use std::collections::BTreeMap;
use std::pin::pin;

use bytes::Bytes;
use futures_util::SinkExt as _;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, GenericClient, Transaction};

use super::columns::{Column, Kind};
use super::copy::pieces;
use super::offsets::{Advance, Source, advance};
use super::partitions::{Day, Known, ensure};
use super::rows::Rows;
use super::tables::{ACCURACY, BARS, OUTCOMES, PREDICTIONS, RETRAINS, Table};
use super::{PostgresError, Target};

/// What one transaction stores.
#[derive(Debug)]
pub struct Batch {
    /// Rows of `bars`.
    pub bars: Rows,
    /// Rows of `predictions`.
    pub predictions: Rows,
    /// Rows of `outcomes`.
    pub outcomes: Rows,
    /// Rows of `accuracy`.
    pub accuracy: Rows,
    /// Rows of `retrains`.
    pub retrains: Rows,
    /// What to add to `deadletter_summary`.
    pub dead_letters: BTreeMap<DeadLetterKey, DeadLetterCount>,
    /// The offsets it reaches over.
    pub advances: BTreeMap<Source, Advance>,
}

/// A row of `deadletter_summary`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeadLetterKey {
    /// Day of the dead letter's Kafka timestamp.
    pub day: Day,
    /// Topic of the input record.
    pub origin_topic: String,
    /// Partition of the input record.
    pub origin_partition: i32,
    /// Why it could not be used.
    pub reason: String,
}

/// What is added to a row of `deadletter_summary`. Both ranges are inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadLetterCount {
    /// How many.
    pub count: i64,
    /// Offsets of the input records.
    pub origin: (i64, i64),
    /// Offsets of the dead letters.
    pub own: (i64, i64),
}

impl DeadLetterCount {
    /// One dead letter at offset `own` of an input record at `origin`.
    pub const fn one(origin: i64, own: i64) -> Self {
        Self { count: 1, origin: (origin, origin), own: (own, own) }
    }

    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            origin: (self.origin.0.min(other.origin.0), self.origin.1.max(other.origin.1)),
            own: (self.own.0.min(other.own.0), self.own.1.max(other.own.1)),
        }
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            bars: Rows::new(&BARS),
            predictions: Rows::new(&PREDICTIONS),
            outcomes: Rows::new(&OUTCOMES),
            accuracy: Rows::new(&ACCURACY),
            retrains: Rows::new(&RETRAINS),
            dead_letters: BTreeMap::new(),
            advances: BTreeMap::new(),
        }
    }
}

impl Batch {
    /// The rows of every table, in the order in which they are written.
    pub const fn tables(&self) -> [&Rows; 5] {
        [&self.bars, &self.predictions, &self.outcomes, &self.accuracy, &self.retrains]
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        for rows in [&mut self.bars, &mut self.predictions, &mut self.outcomes, &mut self.accuracy, &mut self.retrains]
        {
            rows.clear();
        }
        self.dead_letters.clear();
        self.advances.clear();
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is stored.
    Stored,
    /// Nothing is stored: the offsets are not where it begins.
    Conflict,
}

/// The statements that write rows, by table; made once.
#[derive(Debug)]
pub struct Statements(BTreeMap<&'static str, Pair>);

#[derive(Debug)]
struct Pair {
    copy: String,
    upsert: String,
}

impl Default for Statements {
    fn default() -> Self {
        let pair = |table: &Table| (table.name, Pair { copy: table.copy(), upsert: table.upsert() });
        Self(Batch::default().tables().map(|rows| pair(rows.table())).into())
    }
}

impl Statements {
    fn of(&self, rows: &Rows) -> &Pair {
        &self.0[rows.table().name]
    }
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// By COPY, which fails when a key is there already.
    Copy,
    /// Replacing what is there.
    Upsert,
}

/// Stores `batch` and moves its offsets in one transaction.
///
/// # Errors
/// When PostgreSQL does not answer or refuses. Whether the batch is stored is unknown then (the answer to the commit may be
/// what was lost): trying again settles it, by [`Outcome::Conflict`] if it was.
pub async fn write(
    client: &mut Client,
    target: &Target,
    known: &mut Known,
    statements: &Statements,
    batch: &Batch,
) -> Result<Outcome, PostgresError> {
    let (mut way, mut remade) = (Way::Copy, false);
    loop {
        for rows in batch.tables() {
            ensure(client, target, known, rows.table(), rows.days().iter().copied()).await?;
        }
        match attempt(client, target, statements, way, batch).await {
            // The offsets see to it that nothing comes twice, so keys that are there already are rare (records with one key in
            // the log, a topic made anew) and may cost a second attempt. COPY puts many rows at once into a page and into the
            // server's log, where INSERT takes one after the other.
            Err(error) if way == Way::Copy && error.code() == Some(&SqlState::UNIQUE_VIOLATION) => way = Way::Upsert,
            // No partition for a row: retention has dropped a day that was known. It is made again, and goes again later.
            Err(error) if !remade && error.code() == Some(&SqlState::CHECK_VIOLATION) => {
                known.clear();
                remade = true;
            }
            done => return done,
        }
    }
}

async fn attempt(
    client: &mut Client,
    target: &Target,
    statements: &Statements,
    way: Way,
    batch: &Batch,
) -> Result<Outcome, PostgresError> {
    let call = |what: &'static str| PostgresError::call(target, what);
    let transaction = client.transaction().await.map_err(call("beginning a batch"))?;
    // First, so that a stale owner waits here and is turned away before it writes a row.
    if !advance(&transaction, target, &batch.advances).await? {
        transaction.rollback().await.map_err(call("taking back a batch"))?;
        return Ok(Outcome::Conflict);
    }
    for rows in batch.tables().into_iter().filter(|rows| !rows.is_empty()) {
        match way {
            Way::Copy => copy(&transaction, target, &statements.of(rows).copy, rows).await?,
            Way::Upsert => upsert(&transaction, target, &statements.of(rows).upsert, rows).await?,
        }
    }
    count_dead_letters(&transaction, target, &batch.dead_letters).await?;
    transaction.commit().await.map_err(call("committing a batch"))?;
    Ok(Outcome::Stored)
}

/// The driver names the statement of a COPY, and closes it as soon as the COPY has begun: within this transaction, so that a
/// pooler cannot bring the two to different servers.
async fn copy(
    transaction: &Transaction<'_>,
    target: &Target,
    statement: &str,
    rows: &Rows,
) -> Result<(), PostgresError> {
    let call = || PostgresError::call(target, format!("writing {}", rows.table().name));
    let sink = transaction.copy_in::<_, Bytes>(statement).await.map_err(call())?;
    let mut sink = pin!(sink);
    for piece in pieces(rows) {
        sink.send(piece).await.map_err(call())?;
    }
    sink.finish().await.map_err(call())?;
    Ok(())
}

async fn upsert(
    client: &impl GenericClient,
    target: &Target,
    statement: &str,
    rows: &Rows,
) -> Result<(), PostgresError> {
    let parameters: Vec<(&(dyn ToSql + Sync), Type)> =
        rows.columns().iter().map(|column| (column as &(dyn ToSql + Sync), column.array_type())).collect();
    client
        .execute_typed(statement, &parameters)
        .await
        .map_err(PostgresError::call(target, format!("writing {}", rows.table().name)))?;
    Ok(())
}

async fn count_dead_letters(
    client: &impl GenericClient,
    target: &Target,
    letters: &BTreeMap<DeadLetterKey, DeadLetterCount>,
) -> Result<(), PostgresError> {
    if letters.is_empty() {
        return Ok(());
    }
    let kinds =
        [Kind::Int8, Kind::Text, Kind::Int4, Kind::Text, Kind::Int8, Kind::Int8, Kind::Int8, Kind::Int8, Kind::Int8];
    let mut columns = kinds.map(Column::new);
    for (key, count) in letters {
        let [day, topic, partition, reason, n, first_origin, last_origin, first, last] = &mut columns;
        day.int8(key.day);
        topic.text(&key.origin_topic);
        partition.int4(key.origin_partition);
        reason.text(&key.reason);
        n.int8(count.count);
        first_origin.int8(count.origin.0);
        last_origin.int8(count.origin.1);
        first.int8(count.own.0);
        last.int8(count.own.1);
    }
    let parameters: Vec<(&(dyn ToSql + Sync), Type)> =
        columns.iter().map(|column| (column as &(dyn ToSql + Sync), column.array_type())).collect();
    client
        .execute_typed(
            "INSERT INTO deadletter_summary AS d (day, origin_topic, origin_partition, reason, count, \
               first_origin_offset, last_origin_offset, first_offset, last_offset) \
             SELECT date '1970-01-01' + r.day::int4, r.origin_topic, r.origin_partition, r.reason, r.count, \
               r.first_origin, r.last_origin, r.first, r.last \
             FROM unnest($1::int8[], $2::text[], $3::int4[], $4::text[], $5::int8[], $6::int8[], $7::int8[], $8::int8[], \
               $9::int8[]) AS r (day, origin_topic, origin_partition, reason, count, first_origin, last_origin, first, last) \
             ORDER BY 1, 2, 3, 4 \
             ON CONFLICT (day, origin_topic, origin_partition, reason) DO UPDATE SET \
               count = d.count + excluded.count, \
               first_origin_offset = least(d.first_origin_offset, excluded.first_origin_offset), \
               last_origin_offset = greatest(d.last_origin_offset, excluded.last_origin_offset), \
               first_offset = least(d.first_offset, excluded.first_offset), \
               last_offset = greatest(d.last_offset, excluded.last_offset)",
            &parameters,
        )
        .await
        .map_err(PostgresError::call(target, "writing deadletter_summary"))?;
    Ok(())
}
