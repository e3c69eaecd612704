//! What the judge writes down of itself, item by item: the latest of each key is its state.
//!
//! A `Model` is written with every commit and is small. A `Track` and its newest block are written when it is sealed: at the
//! end of a block, or after many rows. What came after the seal is folded again from `outcomes`.

use std::fmt;
use std::sync::Arc;

use super::accuracy::Subject;
use super::accuracy::window::BLOCKS;
use super::symbol::Symbol;
use super::time::Micros;

/// Symbols in one item of a block: records stay well below a megabyte.
pub const SYMBOLS_PER_CHUNK: usize = 200;

/// The key of an item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// Of a model.
    Model(Arc<str>),
    /// Of a track.
    Track(Subject),
    /// Of a block's chunk. The slot is the block's index modulo the number of blocks, so that a key is used again.
    Block {
        /// Whose.
        subject: Subject,
        /// Place in the ring of blocks.
        slot: u64,
        /// Which part of its symbols.
        chunk: u32,
    },
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = |f: &mut fmt::Formatter<'_>, s: &Subject| {
            write!(f, "{}|{}|{}|{}", s.model, s.model_version, s.interval, s.horizon)
        };
        match self {
            Self::Model(model) => write!(f, "model|{model}"),
            Self::Track(of) => {
                f.write_str("track|")?;
                subject(f, of)
            }
            Self::Block { subject: of, slot, chunk } => {
                f.write_str("block|")?;
                subject(f, of)?;
                write!(f, "|{slot}|{chunk}")
            }
        }
    }
}

/// A model: what all its tracks share.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelState {
    /// Its name.
    pub model: Arc<str>,
    /// Every cohort with a target up to here is closed.
    pub closed: Option<Micros>,
    /// Partitions of `predictions` that have shown it and have not left, with how far they have come.
    pub participants: Vec<(i32, Micros)>,
    /// The guards, as [`super::trigger::Guards::numbers`].
    pub guards: Vec<f64>,
    /// How many ends of requests the guards have been told of.
    pub ends: u64,
    /// Offsets of outcomes that came after their cohort was closed, since the tracks were sealed.
    pub late: Vec<i64>,
}

/// A track: one model version at one horizon, up to its seal.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackState {
    /// Whose.
    pub subject: Subject,
    /// Every cohort with a target up to here is in these figures.
    pub sealed: Micros,
    /// The next offset when it was sealed: late rows before it are counted here.
    pub sealed_at: i64,
    /// Cohorts since the first.
    pub cohorts_total: u64,
    /// Late rows since the first.
    pub late: u64,
    /// The detector, as [`super::trigger::Detector::numbers`].
    pub detector: Vec<f64>,
    /// The baselines, as [`super::accuracy::Trailing::numbers`].
    pub trailing: Vec<f64>,
    /// Index and chunks of each block, the oldest first.
    pub blocks: Vec<(u64, u32)>,
}

/// A part of a block.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockState {
    /// Whose.
    pub subject: Subject,
    /// Running number of the block.
    pub index: u64,
    /// Which part of its symbols.
    pub chunk: u32,
    /// Target time of its first cohort.
    pub from: Micros,
    /// Target time of its last cohort.
    pub to: Micros,
    /// How many cohorts.
    pub cohorts: u32,
    /// Outcomes that could not be scored.
    pub unscorable: u64,
    /// Over all symbols; in every chunk, so that each can be checked by itself.
    pub all: Vec<f64>,
    /// Some of its symbols.
    pub symbols: Vec<(Symbol, Vec<f64>)>,
}

/// An item of the judge's state.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A model.
    Model(ModelState),
    /// A track.
    Track(TrackState),
    /// A part of a block.
    Block(BlockState),
}

impl Item {
    /// Its key.
    pub fn key(&self) -> Key {
        match self {
            Self::Model(model) => Key::Model(model.model.clone()),
            Self::Track(track) => Key::Track(track.subject.clone()),
            Self::Block(block) => {
                Key::Block { subject: block.subject.clone(), slot: block.index % u64::from(BLOCKS), chunk: block.chunk }
            }
        }
    }
}
