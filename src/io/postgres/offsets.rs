//! How far each partition of each topic is stored: `sink_offsets`, moved by compare-and-set only.

use std::collections::BTreeMap;

use tokio_postgres::GenericClient;
use tokio_postgres::types::Type;

use super::columns::{Column, Kind};
use super::{PostgresError, Target};

/// A partition of a topic. `identity` (see [`crate::io::kafka::topic_id`]) tells topics apart that bore one name after another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// Full name of the topic.
    pub topic: String,
    /// Number of the partition.
    pub partition: i32,
    /// `cluster id/topic id`.
    pub identity: String,
}

/// Over which offsets a batch reaches: `[from, to)`. `from` is what `sink_offsets` must hold for the batch to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advance {
    /// Where the batch begins.
    pub from: i64,
    /// The next offset to read after it.
    pub to: i64,
}

/// Reads the next offset of every one of `sources`; one that is new is entered at its `start`.
///
/// # Errors
/// When PostgreSQL does not answer or refuses.
pub async fn load(
    client: &impl GenericClient,
    target: &Target,
    sources: &BTreeMap<Source, i64>,
) -> Result<BTreeMap<Source, i64>, PostgresError> {
    let call = || PostgresError::call(target, "reading sink_offsets");
    let (topics, partitions, identities) = columns(sources.keys());
    let mut starts = Column::new(Kind::Int8);
    sources.values().for_each(|start| starts.int8(*start));
    client
        .execute_typed(
            "INSERT INTO sink_offsets (topic, partition, identity, next_offset) \
             SELECT * FROM unnest($1::text[], $2::int4[], $3::text[], $4::int8[]) ON CONFLICT DO NOTHING",
            &[
                (&topics, Type::TEXT_ARRAY),
                (&partitions, Type::INT4_ARRAY),
                (&identities, Type::TEXT_ARRAY),
                (&starts, Type::INT8_ARRAY),
            ],
        )
        .await
        .map_err(call())?;
    let rows = client
        .query_typed(
            "SELECT o.topic, o.partition, o.identity, o.next_offset FROM sink_offsets o \
             JOIN unnest($1::text[], $2::int4[], $3::text[]) AS s (topic, partition, identity) \
             USING (topic, partition, identity)",
            &[(&topics, Type::TEXT_ARRAY), (&partitions, Type::INT4_ARRAY), (&identities, Type::TEXT_ARRAY)],
        )
        .await
        .map_err(call())?;
    Ok(rows
        .into_iter()
        .map(|row| (Source { topic: row.get(0), partition: row.get(1), identity: row.get(2) }, row.get(3)))
        .collect())
}

/// Moves the offsets from where each batch begins to where it ends, within the caller's transaction; `false` when one of them is
/// not where its batch begins: somebody else has stored these records, and the transaction must not be committed.
///
/// Rows are locked in order of their keys, so that two owners cannot wait for each other.
///
/// # Errors
/// When PostgreSQL does not answer or refuses.
pub async fn advance(
    client: &impl GenericClient,
    target: &Target,
    advances: &BTreeMap<Source, Advance>,
) -> Result<bool, PostgresError> {
    let (topics, partitions, identities) = columns(advances.keys());
    let (mut from, mut to) = (Column::new(Kind::Int8), Column::new(Kind::Int8));
    for advance in advances.values() {
        from.int8(advance.from);
        to.int8(advance.to);
    }
    let moved = client
        .execute_typed(
            "WITH held AS ( \
               SELECT o.topic, o.partition, o.identity, s.next \
               FROM sink_offsets o \
               JOIN unnest($1::text[], $2::int4[], $3::text[], $4::int8[], $5::int8[]) \
                 AS s (topic, partition, identity, expected, next) USING (topic, partition, identity) \
               WHERE o.next_offset = s.expected \
               ORDER BY o.topic, o.partition, o.identity FOR UPDATE OF o) \
             UPDATE sink_offsets o SET next_offset = held.next, updated_at = now() FROM held \
             WHERE (o.topic, o.partition, o.identity) = (held.topic, held.partition, held.identity)",
            &[
                (&topics, Type::TEXT_ARRAY),
                (&partitions, Type::INT4_ARRAY),
                (&identities, Type::TEXT_ARRAY),
                (&from, Type::INT8_ARRAY),
                (&to, Type::INT8_ARRAY),
            ],
        )
        .await
        .map_err(PostgresError::call(target, "moving sink_offsets"))?;
    Ok(moved == advances.len() as u64)
}

fn columns<'a>(sources: impl Iterator<Item = &'a Source>) -> (Column, Column, Column) {
    let mut columns = (Column::new(Kind::Text), Column::new(Kind::Int4), Column::new(Kind::Text));
    for source in sources {
        columns.0.text(&source.topic);
        columns.1.int4(source.partition);
        columns.2.text(&source.identity);
    }
    columns
}
