//! The statistics of the last cohorts, in blocks: a window rolls by a block, not by a cohort, so it needs no old rows.
//!
//! A window of 1,000 cohorts is ten blocks of 100; the last one grows. When it is full and the next cohort comes, a new one
//! begins and the oldest of ten goes: the window holds the last 901 to 1,000.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::figures::Figures;
use super::row::Row;
use super::statistics::Statistics;
use crate::flow::symbol::Symbol;
use crate::flow::time::Micros;

/// Most blocks of a window.
pub const BLOCKS: u32 = 10;

/// The statistics of consecutive cohorts of one model and horizon.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// Running number.
    pub index: u64,
    /// Target time of the first cohort.
    pub from: Micros,
    /// Target time of the last cohort.
    pub to: Micros,
    /// How many cohorts.
    pub cohorts: u32,
    /// Outcomes that could not be scored.
    pub unscorable: u64,
    /// Over all symbols.
    pub all: Statistics,
    /// Symbol by symbol, those that have rows.
    pub symbols: HashMap<Symbol, Statistics>,
}

/// The figures of a window over all symbols.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowFigures {
    /// Target time of the first cohort.
    pub from: Micros,
    /// Target time of the last cohort.
    pub to: Micros,
    /// How many cohorts.
    pub cohorts: u64,
    /// Outcomes that could not be scored.
    pub unscorable: u64,
    /// What the rows say.
    pub figures: Figures,
}

/// The last cohorts of one model and horizon.
#[derive(Clone, Debug)]
pub struct Window {
    blocks: VecDeque<Block>,
    most_blocks: usize,
    cohorts_per_block: u32,
    /// Symbol by symbol, the sum of all blocks but the last: these no longer change, and are asked for with every report.
    older: HashMap<Symbol, Statistics>,
    /// Cleared statistics of blocks that went: a symbol's next block takes the room of an old one.
    spare: Vec<Statistics>,
}

impl Window {
    /// Over at most `cohorts` cohorts (at least 1): [`BLOCKS`] blocks of a tenth each, rounded down; below ten cohorts as
    /// many blocks of one.
    pub fn new(cohorts: u32) -> Self {
        let most_blocks = cohorts.clamp(1, BLOCKS);
        Self {
            blocks: VecDeque::new(),
            most_blocks: most_blocks as usize,
            cohorts_per_block: (cohorts / BLOCKS).max(1),
            older: HashMap::new(),
            spare: Vec::new(),
        }
    }

    /// A window that goes on from `blocks`, the oldest first.
    ///
    /// # Errors
    /// When these cannot be the blocks of one window over `cohorts` cohorts.
    pub fn from_blocks(cohorts: u32, blocks: impl IntoIterator<Item = Block>) -> Result<Self, BlocksError> {
        let mut window = Self::new(cohorts);
        window.blocks.extend(blocks);
        window.sum_older();
        let (held, most, full) = (window.blocks.len(), window.most_blocks, window.cohorts_per_block);
        if held > most {
            return Err(BlocksError(format!("there are {held}, and a window of {cohorts} cohorts has at most {most}")));
        }
        for (block, next) in window.blocks.iter().zip(window.blocks.iter().skip(1)) {
            if next.index != block.index + 1 || next.from <= block.to {
                return Err(BlocksError(format!("block {} does not follow block {}", next.index, block.index)));
            }
            if block.cohorts != full {
                return Err(BlocksError(format!(
                    "block {} has {} cohorts instead of {full}",
                    block.index, block.cohorts
                )));
            }
        }
        match window.blocks.back() {
            Some(last) if last.cohorts == 0 || last.cohorts > full => {
                Err(BlocksError(format!("block {} has {} cohorts instead of 1 to {full}", last.index, last.cohorts)))
            }
            _ => Ok(window),
        }
    }

    /// The blocks, the oldest first. Only the last one changes; its index tells when another has begun.
    pub fn blocks(&self) -> &VecDeque<Block> {
        &self.blocks
    }

    /// Adds the cohort that settled at `target_time`, which is later than that of the last one.
    ///
    /// `rows` are its scorable outcomes in order of symbol, one a symbol: sums of doubles depend on their order.
    /// `non_overlapping` says that no other cohort so called overlaps it in time: only such count for the effective number.
    pub fn fold<'a>(
        &mut self,
        target_time: Micros,
        non_overlapping: bool,
        rows: impl IntoIterator<Item = (&'a Symbol, &'a Row)>,
        unscorable: u32,
    ) {
        if self.blocks.back().is_none_or(|last| last.cohorts >= self.cohorts_per_block) {
            self.begin_block(target_time);
        }
        let (spare, last) = (&mut self.spare, self.blocks.len() - 1);
        let block = &mut self.blocks[last];
        block.to = target_time;
        block.cohorts += 1;
        block.unscorable += u64::from(unscorable);
        let (mut moved, mut hits) = (0, 0);
        for (symbol, row) in rows {
            block.all.add(row);
            let own = match block.symbols.get_mut(symbol) {
                Some(own) => own,
                None => block.symbols.entry(symbol.clone()).or_insert(spare.pop().unwrap_or_default()),
            };
            own.add(row);
            if non_overlapping && row.moved.is_some() {
                let hit = u32::from(row.hit);
                own.add_cluster(1, hit);
                moved += 1;
                hits += hit;
            }
        }
        block.all.add_cluster(moved, hits);
    }

    /// Begins the block that takes the cohorts from `from` on; the oldest goes where there are too many.
    fn begin_block(&mut self, from: Micros) {
        let index = self.blocks.back().map_or(0, |last| last.index + 1);
        let gone = if self.blocks.len() >= self.most_blocks { self.blocks.pop_front() } else { None };
        let mut block = gone.unwrap_or_default();
        self.spare.clear();
        self.spare.extend(block.symbols.drain().map(|(_, statistics)| statistics));
        block.all.clear();
        self.spare.iter_mut().for_each(Statistics::clear);
        self.blocks.push_back(Block { index, from, to: from, cohorts: 0, unscorable: 0, ..block });
        self.sum_older();
    }

    /// The oldest block first: sums of doubles depend on their order.
    fn sum_older(&mut self) {
        // Those that are there keep their memory; a symbol that is in no block any more goes.
        self.older.values_mut().for_each(Statistics::clear);
        let last = self.blocks.len().saturating_sub(1);
        self.older.retain(|symbol, _| self.blocks.iter().take(last).any(|block| block.symbols.contains_key(symbol)));
        for (symbol, own) in self.blocks.iter().take(last).flat_map(|block| &block.symbols) {
            match self.older.get_mut(symbol) {
                Some(sum) => sum.merge(own),
                None => self.older.entry(symbol.clone()).or_default().merge(own),
            }
        }
    }

    /// What the window says over all symbols; none before the first cohort.
    pub fn figures(&self) -> Option<WindowFigures> {
        let (first, last) = (self.blocks.front()?, self.blocks.back()?);
        let mut all = Statistics::default();
        self.blocks.iter().for_each(|block| all.merge(&block.all));
        Some(WindowFigures {
            from: first.from,
            to: last.to,
            cohorts: self.blocks.iter().map(|block| u64::from(block.cohorts)).sum(),
            unscorable: self.blocks.iter().map(|block| block.unscorable).sum(),
            figures: all.figures(),
        })
    }

    /// What the window says of each symbol that has rows in it, in order of symbol.
    pub fn symbol_figures(&self) -> Vec<(Symbol, Figures)> {
        let Some(last) = self.blocks.back() else { return Vec::new() };
        let mut symbols: Vec<&Symbol> = self.older.keys().chain(last.symbols.keys()).collect();
        symbols.sort_unstable();
        symbols.dedup();
        let mut sum = Statistics::default();
        let of = |symbol: &Symbol| {
            sum.clear();
            [self.older.get(symbol), last.symbols.get(symbol)].into_iter().flatten().for_each(|own| sum.merge(own));
            (symbol.clone(), sum.figures())
        };
        symbols.into_iter().map(of).collect()
    }
}

/// Blocks that are not those of a window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the blocks of an accuracy window do not fit: {0}; they were kept by a window of another size or are not complete"
)]
pub struct BlocksError(String);
