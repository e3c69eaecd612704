//! The tables that grow with the stream: their columns, the statement that fills them, and rows on their way.

use std::collections::{BTreeSet, HashSet};

use xxhash_rust::xxh3::Xxh3;

use super::columns::{Column, Kind};
use super::partitions::{Day, day_of};
use crate::flow::time::Micros;

/// A table that is partitioned by day.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The time that it is partitioned by.
    pub time: &'static str,
    /// The primary key; the time comes first.
    pub key: &'static [&'static str],
    /// Every column, in the order of the record's fields.
    pub columns: &'static [(&'static str, Kind)],
}

use Kind::{Bool, Float4, Float8, Int4, Int8, Text, Texts};

/// Closed bars: the fields of [`crate::wire::bar::BarRecord`].
pub const BARS: Table = Table {
    name: "bars",
    time: "close_time",
    key: &["close_time", "symbol", "interval"],
    columns: &[
        ("symbol", Text),
        ("interval", Text),
        ("open_time", Int8),
        ("close_time", Int8),
        ("open", Float8),
        ("high", Float8),
        ("low", Float8),
        ("close", Float8),
        ("volume", Float8),
        ("vwap", Float8),
        ("trades", Int8),
        ("buy_volume", Float8),
        ("sell_volume", Float8),
        ("complete", Bool),
        ("synthetic", Bool),
        ("last_event_time", Int8),
    ],
};

/// Predictions: the fields of [`crate::wire::prediction::PredictionRecord`].
pub const PREDICTIONS: Table = Table {
    name: "predictions",
    time: "as_of",
    key: &["as_of", "symbol", "interval", "horizon", "model", "model_version"],
    columns: &[
        ("prediction_id", Text),
        ("symbol", Text),
        ("interval", Text),
        ("horizon", Int4),
        ("as_of", Int8),
        ("target_time", Int8),
        ("valid_until", Int8),
        ("sequence", Int8),
        ("reference_price", Float8),
        ("reference_vwap", Float8),
        ("reference_complete", Bool),
        ("reference_synthetic", Bool),
        ("p_down", Float4),
        ("p_flat", Float4),
        ("p_up", Float4),
        ("decision", Text),
        ("abstain_reasons", Texts),
        ("model", Text),
        ("model_version", Text),
        ("role", Text),
        ("feature_digest", Text),
        ("max_event_time", Int8),
        ("produced_at", Int8),
    ],
};

impl Table {
    /// The statement that takes the stream of [`super::copy`]; it fails when a key is there already.
    pub fn copy(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        format!("COPY {} ({}) FROM STDIN (FORMAT binary)", self.name, names.join(", "))
    }

    /// The statement that takes one array a column and writes its rows; it fails when a key is there already.
    fn insert(&self) -> String {
        let list = |each: &dyn Fn(usize, &str, Kind) -> Option<String>| {
            let parts: Vec<_> =
                self.columns.iter().enumerate().filter_map(|(index, (name, kind))| each(index, name, *kind)).collect();
            parts.join(", ")
        };
        let names = list(&|_, name, _| Some(format!("\"{name}\"")));
        let values = list(&|_, name, kind| {
            Some(match kind {
                // The separator cannot be written in plain SQL text, so it is named by its code.
                Texts => format!("string_to_array(r.\"{name}\", chr(31))"),
                _ => format!("r.\"{name}\""),
            })
        });
        let arrays = list(&|index, _, kind| Some(format!("${}::{}", index + 1, kind.array())));
        format!("INSERT INTO {} ({names}) SELECT {values} FROM unnest({arrays}) AS r ({names})", self.name)
    }

    /// The statement that takes one array a column and writes its rows; a row that is there already is replaced: of two records
    /// with one key, the later in the log holds.
    pub fn upsert(&self) -> String {
        let replaced: Vec<_> = self
            .columns
            .iter()
            .filter(|(name, _)| !self.key.contains(name))
            .map(|(name, _)| format!("\"{name}\" = excluded.\"{name}\""))
            .collect();
        let key = self.key.join("\", \"");
        format!("{} ON CONFLICT (\"{key}\") DO UPDATE SET {}", self.insert(), replaced.join(", "))
    }
}

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

    /// The days that they fall on.
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
        (self.days.len() < max_days || self.days.contains(&day_of(time))) && !self.keys.contains(&key)
    }

    /// Adds a row whose values `fill` puts into every column; [`Rows::admits`] has said yes.
    pub fn push(&mut self, time: Micros, key: u128, fill: impl FnOnce(&mut [Column])) {
        self.days.insert(day_of(time));
        self.keys.insert(key);
        self.count += 1;
        fill(&mut self.columns);
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
