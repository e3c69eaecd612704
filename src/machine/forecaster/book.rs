//! The symbols of one partition, in order of name, with their windows.

use hashbrown::HashMap;

use crate::flow::bar::{Bar, OpenBar};
use crate::flow::feature_rows::FeatureRows;
use crate::flow::symbol::Symbol;
use crate::flow::tick::Trade;
use crate::flow::time::{Interval, Micros};
use crate::flow::window::{Slot, Windows};

/// One symbol.
pub(super) struct Entry {
    pub symbol: Symbol,
    pub slot: Slot,
    /// Bars that still take trades, by ascending end: the current one, and those that early trades opened.
    pub open: Vec<OpenBar>,
    /// The last closed bar; none before the first one and after `silent`.
    pub last: Option<Bar>,
    /// Synthetic bars in a row, up to the last one.
    pub fills: u32,
    /// End of the latest incomplete bar.
    pub last_incomplete: Micros,
    pub rows: FeatureRows,
}

impl Entry {
    /// Adds a trade to the bar that ends at `close_time`; `false` for a duplicate.
    pub fn add(&mut self, close_time: Micros, offset: i64, trade: &Trade<'_>) -> bool {
        match self.open.binary_search_by_key(&close_time, |bar| bar.close_time) {
            Ok(found) => self.open[found].apply(trade),
            Err(place) => {
                self.open.insert(place, OpenBar::new(close_time, offset, trade));
                true
            }
        }
    }

    /// Takes the bar that ends at `close_time`, if a trade opened it. Earlier ones have been taken.
    pub fn take_open(&mut self, close_time: Micros) -> Option<OpenBar> {
        if self.open.first()?.close_time == close_time { Some(self.open.remove(0)) } else { None }
    }
}

pub(super) struct Book {
    pub windows: Windows,
    width: usize,
    sequence: usize,
    index: HashMap<Symbol, u32>,
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    /// Places of the entries, sorted by symbol.
    order: Vec<u32>,
}

impl Book {
    pub fn new(window: usize, sequence: usize, width: usize) -> Self {
        Self {
            windows: Windows::new(window, sequence),
            width,
            sequence,
            index: HashMap::new(),
            entries: Vec::new(),
            free: Vec::new(),
            order: Vec::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Places of all symbols, in order of name.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    pub fn find(&self, symbol: &str) -> Option<u32> {
        self.index.get(symbol).copied()
    }

    pub fn entry(&mut self, place: u32) -> &mut Entry {
        self.entries[place as usize].as_mut().expect("places in use come from this book")
    }

    pub fn get(&self, place: u32) -> &Entry {
        self.entries[place as usize].as_ref().expect("places in use come from this book")
    }

    /// The windows to lend, and beside them the entries by place.
    pub fn windows_and_entries(&mut self) -> (&mut Windows, &[Option<Entry>]) {
        (&mut self.windows, &self.entries)
    }

    /// Makes an entry for a symbol that has none.
    pub fn insert(&mut self, symbol: Symbol) -> u32 {
        let entry = Entry {
            symbol: symbol.clone(),
            slot: self.windows.insert(),
            open: Vec::new(),
            last: None,
            fills: 0,
            last_incomplete: Micros::MIN,
            rows: FeatureRows::new(self.sequence, self.width),
        };
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                self.entries.push(None);
                // A partition holds at most `max_symbols` of them, far fewer than fit.
                u32::try_from(self.entries.len() - 1).expect("fewer than 4 billion symbols")
            }
        };
        let rank = self.order.partition_point(|&other| self.get(other).symbol < symbol);
        self.entries[place as usize] = Some(entry);
        self.order.insert(rank, place);
        self.index.insert(symbol, place);
        place
    }

    /// Forgets the symbols at `places`.
    pub fn remove(&mut self, places: &[u32]) {
        if places.is_empty() {
            return;
        }
        self.order.retain(|place| !places.contains(place));
        for &place in places {
            if let Some(entry) = self.entries[place as usize].take() {
                self.index.remove(&entry.symbol);
                self.windows.remove(entry.slot);
                self.free.push(place);
            }
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.order.iter().map(|&place| self.get(place))
    }

    /// Whether any symbol has a closed bar.
    pub fn any_live(&self) -> bool {
        self.iter().any(|entry| entry.last.is_some())
    }

    /// End of the earliest bar that still takes trades.
    pub fn first_open_end(&self) -> Option<Micros> {
        self.iter().filter_map(|entry| entry.open.first()).map(|bar| bar.close_time).min()
    }

    /// Offset of the earliest record in an open bar.
    pub fn first_open_offset(&self) -> Option<i64> {
        self.iter().flat_map(|entry| &entry.open).map(|bar| bar.first_offset).min()
    }

    /// End of the oldest bar in the window of a live symbol.
    pub fn oldest_bar_needed(&self, interval: Interval) -> Option<Micros> {
        self.iter()
            .filter_map(|entry| {
                let held = i64::try_from(self.windows.len(entry.slot)).unwrap_or(i64::MAX);
                entry.last.as_ref().map(|bar| bar.close_time - (held - 1) * interval.micros())
            })
            .min()
    }
}
