//! Rows on their way into a table: columns of values, the days they need, the keys that are taken.

use std::collections::{BTreeSet, HashSet};

use xxhash_rust::xxh3::Xxh3;

use super::columns::Column;
use super::partitions::{Day, day_of};
use super::tables::Table;
use crate::flow::time::Micros;

/// Rows on their way into a table: at most one for each key, since one statement cannot replace what it has just written.
#[derive(Debug)]
pub struct Rows {
    table: &'static Table,
    columns: Vec<Column>,
    days: BTreeSet<Day>,
    keys: HashSet<u128>,
    count: usize,
}

impl Rows {
    /// None yet.
    pub fn new(table: &'static Table) -> Self {
        Self {
            table,
            columns: table.columns.iter().map(|(_, kind)| Column::new(*kind)).collect(),
            days: BTreeSet::new(),
            keys: HashSet::new(),
            count: 0,
        }
    }

    /// The table.
    pub const fn table(&self) -> &'static Table {
        self.table
    }

    /// How many.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The days that they fall on; none where the table has no partitions.
    pub const fn days(&self) -> &BTreeSet<Day> {
        &self.days
    }

    /// The columns, in the table's order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Forgets the rows and keeps the memory.
    pub fn clear(&mut self) {
        self.columns.iter_mut().for_each(Column::clear);
        self.days.clear();
        self.keys.clear();
        self.count = 0;
    }

    /// Whether a row at `time` with the rest of its key may come in: not when its key is there already, nor when it would make
    /// more than `max_days` days. Then the rows that are there must be written first.
    pub fn admits(&self, time: Micros, key: u128, max_days: usize) -> bool {
        let day = self.day(time);
        let another = day.is_some_and(|day| !self.days.contains(&day));
        !(another && self.days.len() >= max_days || self.keys.contains(&key))
    }

    /// Adds a row whose values `fill` puts into every column; [`Rows::admits`] has said yes.
    pub fn push(&mut self, time: Micros, key: u128, fill: impl FnOnce(&mut [Column])) {
        self.days.extend(self.day(time));
        self.keys.insert(key);
        self.count += 1;
        fill(&mut self.columns);
    }

    fn day(&self, time: Micros) -> Option<Day> {
        self.table.time.map(|_| day_of(time))
    }
}

/// A digest of a primary key, to tell keys apart within one batch.
pub fn key_digest(time: Micros, number: u32, texts: &[&str]) -> u128 {
    let mut hash = Xxh3::new();
    hash.update(&time.to_le_bytes());
    hash.update(&number.to_le_bytes());
    for text in texts {
        hash.update(&(text.len() as u32).to_le_bytes());
        hash.update(text.as_bytes());
    }
    hash.digest128()
}
