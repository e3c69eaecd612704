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
        let spare = &mut self.spare;
        let block = Self::growing(&mut self.blocks, self.most_blocks, self.cohorts_per_block, spare, target_time);
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

    /// The block that takes the next cohort: the last one, or a new one where it is full.
    fn growing<'w>(
        blocks: &'w mut VecDeque<Block>,
        most_blocks: usize,
        cohorts_per_block: u32,
        spare: &mut Vec<Statistics>,
        from: Micros,
    ) -> &'w mut Block {
        let index = match blocks.back() {
            Some(last) if last.cohorts < cohorts_per_block => last.index,
            Some(last) => last.index + 1,
            None => 0,
        };
        if blocks.back().is_none_or(|last| last.index < index) {
            let gone = if blocks.len() >= most_blocks { blocks.pop_front() } else { None };
            let mut block = gone.unwrap_or_default();
            spare.clear();
            spare.extend(block.symbols.drain().map(|(_, statistics)| statistics));
            block.all.clear();
            spare.iter_mut().for_each(Statistics::clear);
            blocks.push_back(Block { index, from, to: from, cohorts: 0, unscorable: 0, ..block });
        }
        let last = blocks.len() - 1;
        &mut blocks[last]
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
        let mut symbols: Vec<&Symbol> = self.blocks.iter().flat_map(|block| block.symbols.keys()).collect();
        symbols.sort_unstable();
        symbols.dedup();
        let mut sum = Statistics::default();
        let of = |symbol: &Symbol| {
            sum.clear();
            // The oldest first: sums of doubles depend on their order.
            self.blocks.iter().filter_map(|block| block.symbols.get(symbol)).for_each(|own| sum.merge(own));
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
