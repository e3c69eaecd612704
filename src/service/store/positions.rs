//! Where each assigned partition stands: what the next batch must find in PostgreSQL, and what it will leave there. Pure.

use std::collections::BTreeMap;

use super::batch::Content;
use crate::io::postgres::offsets::{Advance, Source};

/// A partition by what its topic holds.
pub type Place = (Content, i32);

/// An assigned partition.
#[derive(Clone, Debug)]
pub struct Position {
    /// Topic, partition and identity.
    pub source: Source,
    /// What PostgreSQL will hold once everything before the current batch is stored.
    from: i64,
    /// The next offset to take.
    next: i64,
}

/// Where records may be taken from.
#[derive(Debug, PartialEq, Eq)]
pub enum Start {
    /// From this offset.
    At(i64),
    /// From this offset, which is later than the one that is due: retention was faster. The first is what is due.
    Lost(i64, i64),
    /// The offset that is due is beyond the end: the topic lost records that are stored already.
    Beyond(i64),
}

/// Compares the offset that is `due` with the range `[low, high)` that the partition holds.
pub fn start(due: i64, low: i64, high: i64) -> Start {
    if due > high {
        Start::Beyond(due)
    } else if due < low {
        Start::Lost(due, low)
    } else {
        Start::At(due)
    }
}

/// The partitions of one assignment whose offsets are known.
#[derive(Debug, Default)]
pub struct Positions(BTreeMap<Place, Position>);

impl Positions {
    /// Enters a partition: PostgreSQL holds `stored`, and the next record to take is at `next` or later.
    pub fn insert(&mut self, place: Place, source: Source, stored: i64, next: i64) {
        self.0.insert(place, Position { source, from: stored, next });
    }

    /// Forgets everything: the assignment is gone, or its offsets are not what they were.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// All partitions.
    pub fn places(&self) -> impl Iterator<Item = (&Place, &Position)> {
        self.0.iter()
    }

    /// Whether the record at `offset` is to be taken: not one of a partition that is not ours, nor one that was taken before.
    pub fn wants(&self, place: Place, offset: i64) -> bool {
        self.0.get(&place).is_some_and(|position| offset >= position.next)
    }

    /// The record at `offset` was taken, be it stored or skipped.
    pub fn take(&mut self, place: Place, offset: i64) {
        if let Some(position) = self.0.get_mut(&place) {
            position.next = offset + 1;
        }
    }

    /// What a batch of everything taken since the last one must find and leave in PostgreSQL.
    pub fn cut(&mut self) -> BTreeMap<Source, Advance> {
        let mut advances = BTreeMap::new();
        for position in self.0.values_mut().filter(|position| position.next > position.from) {
            advances.insert(position.source.clone(), Advance { from: position.from, to: position.next });
            position.from = position.next;
        }
        advances
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(partition: i32) -> Source {
        Source { topic: "bars".to_owned(), partition, identity: "c/t".to_owned() }
    }

    #[test]
    fn batches_join_without_a_seam() {
        let mut positions = Positions::default();
        positions.insert((Content::Bars, 0), source(0), 10, 10);
        positions.insert((Content::Bars, 1), source(1), 5, 5);
        assert!(positions.cut().is_empty());
        assert!(positions.wants((Content::Bars, 0), 10) && !positions.wants((Content::Bars, 0), 9));
        positions.take((Content::Bars, 0), 10);
        // Markers of transactions take offsets too.
        positions.take((Content::Bars, 0), 12);
        assert_eq!(positions.cut(), BTreeMap::from([(source(0), Advance { from: 10, to: 13 })]));
        positions.take((Content::Bars, 0), 13);
        positions.take((Content::Bars, 1), 5);
        let both = [(source(0), Advance { from: 13, to: 14 }), (source(1), Advance { from: 5, to: 6 })];
        assert_eq!(positions.cut(), BTreeMap::from(both));
    }

    #[test]
    fn a_partition_that_is_not_ours_is_not_wanted() {
        let mut positions = Positions::default();
        positions.insert((Content::Bars, 0), source(0), 0, 0);
        assert!(!positions.wants((Content::Predictions, 0), 5));
        positions.clear();
        assert!(!positions.wants((Content::Bars, 0), 5));
    }

    #[test]
    fn a_start_past_retention_keeps_what_postgres_holds() {
        assert_eq!(start(5, 0, 9), Start::At(5));
        assert_eq!(start(9, 9, 9), Start::At(9));
        assert_eq!(start(3, 5, 9), Start::Lost(3, 5));
        assert_eq!(start(10, 0, 9), Start::Beyond(10));
        let mut positions = Positions::default();
        positions.insert((Content::Bars, 0), source(0), 3, 5);
        assert_eq!(positions.cut(), BTreeMap::from([(source(0), Advance { from: 3, to: 5 })]));
    }
}
