//! One model version at one horizon: cohorts in, reports and alarms out.

use hashbrown::HashMap;

use super::Judged;
use crate::flow::accuracy::{Block, Report, Row, Standing, Statistics, Subject, Trailing, Window, window};
use crate::flow::judge_state::{BlockState, Item, Key, SYMBOLS_PER_CHUNK, TrackState};
use crate::flow::symbol::Symbol;
use crate::flow::time::Micros;
use crate::flow::trigger::{CohortScore, Detector, WindowHit};

use super::Settings;

/// Rows folded since the seal before another is made: a restore folds them again.
const SEAL_AFTER: u64 = 20_000;

/// One symbol's part in a cohort.
pub struct Entry {
    pub symbol: Symbol,
    /// None where it could not be settled.
    pub row: Option<Row>,
    pub prior_return_bps: Option<f64>,
}

/// An open cohort.
pub struct Cohort {
    pub entries: Vec<Entry>,
    /// Offset of its first outcome.
    pub first_offset: i64,
}

/// What a cohort brought.
#[derive(Default)]
pub struct Folded {
    pub reports: Vec<Report>,
    pub alarm: Option<crate::flow::trigger::Alarm>,
}

pub struct Track {
    pub subject: Subject,
    window: Window,
    trailing: Trailing,
    detector: Detector,
    pub cohorts_total: u64,
    pub late: u64,
    /// Every cohort up to here is written down.
    pub sealed: Micros,
    /// The next offset when that was done.
    pub sealed_at: i64,
    /// Target time of the newest cohort.
    pub newest: Micros,
    /// Offset of the first outcome that is folded and not written down.
    pub unsealed_from: Option<i64>,
    unsealed_rows: u64,
    unsealed_cohorts: u64,
    /// Whether a block has ended since the seal.
    block_ended: bool,
}

impl Track {
    pub fn new(subject: Subject, settings: &Settings, sealed: Micros) -> Self {
        let known = settings.known(&subject);
        Self {
            window: Window::new(settings.window),
            trailing: Trailing::new(settings.window),
            detector: Detector::new(&settings.trigger, known.0, known.1),
            cohorts_total: 0,
            late: 0,
            sealed,
            sealed_at: 0,
            newest: Micros::MIN,
            unsealed_from: None,
            unsealed_rows: 0,
            unsealed_cohorts: 0,
            // Known from the first commit on: what comes late for it is told apart after a restore.
            block_ended: true,
            subject,
        }
    }

    /// Folds a cohort whose target is later than every one before. With `silent` it makes no reports (it is folded again).
    pub fn fold(&mut self, target: Micros, mut cohort: Cohort, settings: &Settings, silent: bool) -> Folded {
        let step = self.subject.interval.micros();
        let horizon = i64::from(self.subject.horizon);
        self.trailing.promote(target - horizon * step);
        // Partitions reach the log in any order; sums of doubles depend on theirs.
        cohort.entries.sort_by(|a, b| a.symbol.cmp(&b.symbol));
        cohort.entries.dedup_by(|later, first| later.symbol == first.symbol);
        let (mut unscorable, mut ups, mut moved, mut hits, mut right, mut with_prior) = (0, 0, 0, 0, 0, 0);
        for entry in &mut cohort.entries {
            let Some(row) = &mut entry.row else {
                unscorable += 1;
                continue;
            };
            row.baselines = self.trailing.forecasts(entry.prior_return_bps);
            let Some(up) = row.moved else { continue };
            moved += 1;
            ups += u32::from(up);
            hits += u32::from(row.hit);
            if let Some(prior) = entry.prior_return_bps.filter(|prior| *prior != 0.0) {
                with_prior += 1;
                right += u32::from((prior > 0.0) == up);
            }
        }
        let apart = (target / step).rem_euclid(horizon) == 0;
        let before = self.window.blocks().back().map(|block| block.index);
        let rows = cohort.entries.iter().filter_map(|entry| Some((&entry.symbol, entry.row.as_ref()?)));
        self.window.fold(target, apart, rows, unscorable);
        self.trailing.push(target, ups, moved, right, with_prior);
        self.cohorts_total += 1;
        self.newest = target;
        self.note_unsealed(&cohort, before);
        let step = if apart && moved > 0 {
            let window = self.window.figures().and_then(|w| {
                let (low, high) = w.figures.hit_low.zip(w.figures.hit_high)?;
                Some(WindowHit { n_effective: w.figures.n_effective, low, high })
            });
            self.detector.observe(CohortScore { target_time: target, rows: moved, hits }, window)
        } else {
            Default::default()
        };
        let regular = self.cohorts_total.is_multiple_of(u64::from(settings.report_every));
        let mut folded = Folded { reports: Vec::new(), alarm: step.alarm };
        if !silent && (regular || step.changed) {
            folded.reports.extend(self.report());
            if regular {
                folded.reports.extend(self.symbol_reports());
            }
        }
        folded
    }

    fn note_unsealed(&mut self, cohort: &Cohort, block_before: Option<u64>) {
        self.unsealed_from = Some(self.unsealed_from.map_or(cohort.first_offset, |from| from.min(cohort.first_offset)));
        self.unsealed_rows += cohort.entries.len() as u64;
        self.unsealed_cohorts += 1;
        // The block before can no longer change: with the one that has begun it is to be written.
        self.block_ended |=
            block_before.is_some() && self.window.blocks().back().map(|block| block.index) != block_before;
    }

    /// The report over all symbols; none before the first cohort.
    pub fn report(&self) -> Option<Report> {
        let window = self.window.figures()?;
        Some(Report {
            subject: self.subject.clone(),
            symbol: None,
            as_of: window.to,
            window_start: window.from,
            cohorts: window.cohorts,
            cohorts_total: self.cohorts_total,
            unscorable: window.unscorable,
            late: self.late,
            figures: window.figures,
            standing: Some(Standing {
                state: self.detector.state(),
                // Before the first cohort that it could look at, the detector knows no time.
                since: if self.detector.since() > 0 { self.detector.since() } else { window.from },
                reason: self.detector.reason(),
            }),
        })
    }

    fn symbol_reports(&self) -> Vec<Report> {
        let blocks = self.window.blocks();
        let (Some(first), Some(last)) = (blocks.front(), blocks.back()) else { return Vec::new() };
        let cohorts = blocks.iter().map(|block| u64::from(block.cohorts)).sum();
        let of = |(symbol, figures)| Report {
            subject: self.subject.clone(),
            symbol: Some(symbol),
            as_of: last.to,
            window_start: first.from,
            cohorts,
            cohorts_total: self.cohorts_total,
            unscorable: 0,
            late: 0,
            figures,
            standing: None,
        };
        self.window.symbol_figures().into_iter().map(of).collect()
    }

    /// Whether it is time to write it down.
    pub fn wants_seal(&self) -> bool {
        self.block_ended || self.unsealed_rows >= SEAL_AFTER || self.unsealed_cohorts >= 1_000
    }

    /// Writes it down, every cohort up to `closed` included, when `next` is the next offset: the track, and the blocks that may
    /// have changed since the last seal.
    pub fn seal(&mut self, closed: Micros, next: i64) -> Vec<Item> {
        let changed_from = self.sealed;
        self.sealed = closed.max(self.newest);
        self.sealed_at = next;
        (self.unsealed_from, self.unsealed_rows, self.unsealed_cohorts) = (None, 0, 0);
        self.block_ended = false;
        let mut items = vec![self.item()];
        // A block that ended before the last seal is there already.
        let changed = self.window.blocks().iter().filter(|block| block.to > changed_from);
        changed.for_each(|block| items.extend(self.chunks(block)));
        items
    }

    /// The same with every block, also those that are there already: for whoever moves what is written nearer to the end.
    pub fn seal_whole(&mut self, closed: Micros, next: i64) -> Vec<Item> {
        self.sealed = Micros::MIN;
        self.seal(closed, next)
    }

    fn item(&self) -> Item {
        Item::Track(TrackState {
            subject: self.subject.clone(),
            sealed: self.sealed,
            sealed_at: self.sealed_at,
            cohorts_total: self.cohorts_total,
            late: self.late,
            detector: self.detector.numbers(),
            trailing: self.trailing.numbers(),
            blocks: self.window.blocks().iter().map(|block| (block.index, chunks_of(block))).collect(),
        })
    }

    fn chunks(&self, block: &Block) -> Vec<Item> {
        let mut symbols: Vec<_> = block.symbols.iter().collect();
        symbols.sort_unstable_by(|a, b| a.0.cmp(b.0));
        let part = |chunk: u32| {
            let begin = (chunk as usize * SYMBOLS_PER_CHUNK).min(symbols.len());
            let end = (begin + SYMBOLS_PER_CHUNK).min(symbols.len());
            Item::Block(BlockState {
                subject: self.subject.clone(),
                index: block.index,
                chunk,
                from: block.from,
                to: block.to,
                cohorts: block.cohorts,
                unscorable: block.unscorable,
                all: block.all.numbers(),
                symbols: symbols[begin..end].iter().map(|(symbol, own)| ((*symbol).clone(), own.numbers())).collect(),
            })
        };
        (0..chunks_of(block)).map(part).collect()
    }

    /// The chunk of a finished block as it was written, to be written again; none where it is gone, or still grows.
    pub fn finished_chunk(&self, slot: u64, chunk: u32) -> Option<Item> {
        let block = self.window.blocks().iter().find(|block| block.index % u64::from(window::BLOCKS) == slot)?;
        let last = self.window.blocks().back().is_some_and(|last| last.index == block.index);
        if last { None } else { self.chunks(block).into_iter().nth(chunk as usize) }
    }

    /// Keys under which it is written.
    pub fn keys(&self) -> Vec<Key> {
        let subject = &self.subject;
        let blocks = self.window.blocks().iter().flat_map(|block| {
            (0..chunks_of(block)).map(|chunk| Key::Block { subject: subject.clone(), slot: slot(block.index), chunk })
        });
        std::iter::once(Key::Track(subject.clone())).chain(blocks).collect()
    }

    /// A track as it was written down. What does not fit the present settings begins anew, and is named.
    pub fn restore(
        state: TrackState,
        parts: &mut HashMap<Key, BlockState>,
        settings: &Settings,
    ) -> (Self, Vec<String>) {
        let mut problems = Vec::new();
        let mut track = Self::new(state.subject.clone(), settings, state.sealed);
        let blocks: Option<Vec<Block>> =
            state.blocks.iter().map(|&(index, chunks)| join(&state.subject, index, chunks, parts)).collect();
        match blocks.map(|blocks| Window::from_blocks(settings.window, blocks)) {
            Some(Ok(window)) => track.window = window,
            Some(Err(error)) => problems.push(error.to_string()),
            None => problems.push("a block of the window is missing".to_owned()),
        }
        match Trailing::from_numbers(settings.window, &state.trailing) {
            Some(trailing) => track.trailing = trailing,
            None => problems.push("the baselines' counts do not fit".to_owned()),
        }
        let known = settings.known(&state.subject);
        match Detector::restore(&settings.trigger, known.0, known.1, &state.detector) {
            Some(detector) => track.detector = detector,
            None => problems.push("the detector was of another kind".to_owned()),
        }
        track.block_ended = false;
        (track.cohorts_total, track.late, track.sealed_at) = (state.cohorts_total, state.late, state.sealed_at);
        track.newest = track.window.blocks().back().map_or(Micros::MIN, |block| block.to);
        (track, problems)
    }

    /// What is to be said when a cohort asks for a retrain.
    pub fn judged(&self, alarm: crate::flow::trigger::Alarm, at: Micros) -> Option<Judged> {
        Some(Judged::Alarm { subject: self.subject.clone(), alarm, at, evidence: Box::new(self.report()?) })
    }
}

fn slot(index: u64) -> u64 {
    index % u64::from(window::BLOCKS)
}

fn chunks_of(block: &Block) -> u32 {
    u32::try_from(block.symbols.len().div_ceil(SYMBOLS_PER_CHUNK)).unwrap_or(u32::MAX).max(1)
}

/// The block of some chunks; none where one is missing, belongs to another block or does not fit.
fn join(subject: &Subject, index: u64, chunks: u32, parts: &mut HashMap<Key, BlockState>) -> Option<Block> {
    let mut block = Block::default();
    for chunk in 0..chunks {
        let part = parts.remove(&Key::Block { subject: subject.clone(), slot: slot(index), chunk })?;
        if part.index != index {
            return None;
        }
        block.index = index;
        (block.from, block.to, block.cohorts, block.unscorable) = (part.from, part.to, part.cohorts, part.unscorable);
        block.all = Statistics::from_numbers(&part.all)?;
        for (symbol, numbers) in part.symbols {
            block.symbols.insert(symbol, Statistics::from_numbers(&numbers)?);
        }
    }
    Some(block)
}
