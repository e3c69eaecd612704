//! What the topics hold, and the way of a record into a batch. Pure.

use super::rows::{Unusable, accuracy, bar, check_time, outcome, prediction, retrain, unusable};
use crate::flow::time::SECOND;
use crate::io::kafka::topics::Topics;
use crate::io::postgres::partitions::day_of;
use crate::io::postgres::write::{Batch, DeadLetterCount, DeadLetterKey};

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is in the batch, or it is one that makes no row.
    Yes,
    /// It does not go with what is there: write that first, then add it again.
    Full,
}

/// What a topic holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Content {
    /// Closed bars.
    Bars,
    /// Predictions.
    Predictions,
    /// Settled predictions, and control records.
    Outcomes,
    /// Accuracy reports.
    Accuracy,
    /// Retrain requests and their ends.
    Retrain,
    /// Dead letters.
    DeadLetters,
}

impl Content {
    /// Everything that is stored.
    pub const ALL: [Self; 6] =
        [Self::Bars, Self::Predictions, Self::Outcomes, Self::Accuracy, Self::Retrain, Self::DeadLetters];

    /// Full name of its topic.
    pub fn topic(self, topics: &Topics) -> &str {
        match self {
            Self::Bars => &topics.bars,
            Self::Predictions => &topics.predictions,
            Self::Outcomes => &topics.outcomes,
            Self::Accuracy => &topics.accuracy,
            Self::Retrain => &topics.retrain,
            Self::DeadLetters => &topics.deadletter,
        }
    }

    /// What the topic of that name holds, if it is one that is stored.
    pub fn of(topics: &Topics, name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|content| content.topic(topics) == name)
    }
}

/// A record as Kafka gives it.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its value; a tombstone has none.
    pub value: Option<&'a [u8]>,
    /// Its offset.
    pub offset: i64,
    /// Its Kafka timestamp, in milliseconds.
    pub timestamp_ms: i64,
    /// Its headers that say where a dead letter comes from.
    pub origin: Origin<'a>,
    /// Its headers that make it a CloudEvent.
    pub event: CloudEvent<'a>,
}

/// The headers of a dead letter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'a> {
    /// `reason`
    pub reason: Option<&'a [u8]>,
    /// `origin_topic`
    pub topic: Option<&'a [u8]>,
    /// `origin_partition`
    pub partition: Option<&'a [u8]>,
    /// `origin_offset`
    pub offset: Option<&'a [u8]>,
}

/// The headers of a retrain event.
#[derive(Clone, Copy, Debug, Default)]
pub struct CloudEvent<'a> {
    /// `ce_id`
    pub id: Option<&'a [u8]>,
    /// `ce_type`
    pub kind: Option<&'a [u8]>,
    /// `ce_time`
    pub time: Option<&'a [u8]>,
}

/// Adds a record to `batch`, which holds at most `max_rows` of a kind.
///
/// # Errors
/// When it is not what its topic promises, or holds what PostgreSQL cannot.
pub fn add(batch: &mut Batch, content: Content, record: &Record<'_>, max_rows: usize) -> Result<Added, Unusable> {
    let value = || record.value.ok_or_else(|| unusable("a tombstone"));
    match content {
        Content::Bars => bar::add(&mut batch.bars, value()?, max_rows),
        Content::Predictions => prediction::add(&mut batch.predictions, value()?, max_rows),
        Content::Outcomes => outcome::add(&mut batch.outcomes, value()?, max_rows),
        Content::Accuracy => accuracy::add(&mut batch.accuracy, value()?, max_rows),
        Content::Retrain => retrain::add(&mut batch.retrains, record.event, value()?, max_rows),
        Content::DeadLetters => {
            let (key, origin) = dead_letter(record)?;
            if batch.dead_letters.len() >= max_rows && !batch.dead_letters.contains_key(&key) {
                return Ok(Added::Full);
            }
            let one = DeadLetterCount::one(origin, record.offset);
            batch.dead_letters.entry(key).and_modify(|count| *count = count.plus(one)).or_insert(one);
            Ok(Added::Yes)
        }
    }
}

fn dead_letter(record: &Record<'_>) -> Result<(DeadLetterKey, i64), Unusable> {
    let header = |name: &str, value: Option<&[u8]>| {
        let value = value.ok_or_else(|| unusable(format!("header {name} is missing")))?;
        let text = std::str::from_utf8(value).map_err(|_| unusable(format!("header {name} is not UTF-8")))?;
        // Names of topics may have 249 characters.
        if text.len() > 249 || text.contains('\0') {
            return Err(unusable(format!("header {name} is no name")));
        }
        Ok(text.to_owned())
    };
    let number =
        |name: &str, text: String| text.parse().map_err(|_| unusable(format!("header {name} is not a number")));
    let time = record.timestamp_ms.saturating_mul(SECOND / 1_000);
    check_time("the Kafka timestamp", time)?;
    let partition = number("origin_partition", header("origin_partition", record.origin.partition)?)?;
    let key = DeadLetterKey {
        day: day_of(time),
        origin_topic: header("origin_topic", record.origin.topic)?,
        origin_partition: i32::try_from(partition).map_err(|_| unusable("header origin_partition is no partition"))?,
        reason: header("reason", record.origin.reason)?,
    };
    Ok((key, number("origin_offset", header("origin_offset", record.origin.offset)?)?))
}
