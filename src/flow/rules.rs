//! The settings that shape bars and predictions: part of every output's meaning.

use std::collections::HashSet;

use super::symbol::Symbol;
use super::time::{Interval, Micros};

/// What shapes bars and predictions, apart from the model.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Length of a bar.
    pub interval: Interval,
    /// How far the watermark stays behind the largest event time.
    pub lateness: Micros,
    /// Synthetic bars in a row before a symbol is silent.
    pub max_fill: u32,
    /// How far ahead of its Kafka timestamp a trade may be.
    pub future_skew: Micros,
    /// Symbols of one partition.
    pub max_symbols: usize,
    /// The symbols that are wanted; none for every one.
    pub assets: Option<HashSet<Symbol>>,
    /// Abstain when the last trade is further back than this.
    pub max_staleness: Option<Micros>,
    /// Abstain when no class is as likely as this.
    pub min_confidence: f32,
    /// Abstain when the model's training ended longer ago than this.
    pub max_model_age: Option<Micros>,
}

impl Rules {
    /// A hash of what shapes bars, and of where the log lives (`identity`: cluster and topic). A checkpoint with another
    /// hash cannot be continued: its bars would change their meaning half-way.
    pub fn fingerprint(&self, identity: &str) -> u64 {
        let text = format!("{}|{}|{}|{}|{identity}", self.interval, self.lateness, self.max_fill, self.future_skew);
        xxhash_rust::xxh3::xxh3_64(text.as_bytes())
    }

    /// Whether `symbol` is wanted.
    pub fn wants(&self, symbol: &str) -> bool {
        self.assets.as_ref().is_none_or(|assets| assets.contains(symbol))
    }
}
