//! What is known to be missing: bars that a gap record touches are incomplete when they close.

use std::collections::HashMap;

use super::symbol::Symbol;
use super::tick::Gap;
use super::time::{Interval, Micros};

/// The gaps over bars that are still open, by symbol. A gap creates no symbol, and holds for one that appears later: what a
/// bar is must not depend on whether its symbol was known when the gap was read.
#[derive(Clone, Debug, Default)]
pub struct Gaps {
    by_symbol: HashMap<Symbol, Vec<Span>>,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    /// Ends of the first and the last bar that is touched.
    first: Micros,
    last: Micros,
    /// Where the record stands in the log.
    offset: i64,
}

impl Gaps {
    /// End of the last bar that `gap` touches.
    pub fn last_touched(gap: &Gap<'_>, interval: Interval) -> Micros {
        interval.close_of(gap.to.saturating_sub(1).max(gap.from))
    }

    /// Whether a gap of `symbol` is held.
    pub fn know(&self, symbol: &str) -> bool {
        self.by_symbol.contains_key(symbol)
    }

    /// Notes a gap read at `offset`; `false` when every bar it touches ends at or before `closed`.
    pub fn add(&mut self, gap: &Gap<'_>, interval: Interval, closed: Micros, offset: i64) -> bool {
        let first = interval.close_of(gap.from);
        let last = Self::last_touched(gap, interval);
        if last <= closed {
            return false;
        }
        // The symbol was checked when the record was decoded.
        let Ok(symbol) = Symbol::new(&gap.symbol) else { return false };
        let spans = self.by_symbol.entry(symbol).or_default();
        // A repeated gap adds nothing: its first record stands for it.
        if !spans.iter().any(|span| span.first <= first.max(closed) && last <= span.last) {
            spans.push(Span { first, last, offset });
        }
        true
    }

    /// Whether trades are missing in the bar of `symbol` that ends at `close_time`.
    pub fn touch(&self, symbol: &Symbol, close_time: Micros) -> bool {
        !self.by_symbol.is_empty()
            && self
                .by_symbol
                .get(symbol)
                .is_some_and(|spans| spans.iter().any(|span| span.first <= close_time && close_time <= span.last))
    }

    /// Forgets what touches no bar that ends after `closed`.
    pub fn forget_until(&mut self, closed: Micros) {
        self.by_symbol.retain(|_, spans| {
            spans.retain(|span| span.last > closed);
            !spans.is_empty()
        });
    }

    /// Offset of the earliest record that still matters.
    pub fn first_offset(&self) -> Option<i64> {
        self.by_symbol.values().flatten().map(|span| span.offset).min()
    }

    /// How many symbols have one.
    pub fn len(&self) -> usize {
        self.by_symbol.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_symbol.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::time::SECOND;

    fn gap(from: Micros, to: Micros) -> Gap<'static> {
        Gap { symbol: "A".into(), from, to }
    }

    #[test]
    fn touches_the_bars_it_overlaps() {
        let (second, a) = (Interval::from_seconds(1).unwrap(), Symbol::new("A").unwrap());
        let mut gaps = Gaps::default();
        assert!(gaps.add(&gap(SECOND + 5, 3 * SECOND), second, 0, 7));
        let touched: Vec<_> = (0..6).filter(|n| gaps.touch(&a, n * SECOND)).collect();
        assert_eq!(touched, [2, 3]);
        assert!(!gaps.touch(&Symbol::new("B").unwrap(), 2 * SECOND));
        assert_eq!(gaps.first_offset(), Some(7));
        gaps.forget_until(3 * SECOND);
        assert!(gaps.is_empty());
    }

    #[test]
    fn an_instant_touches_its_bar_and_closed_bars_are_refused() {
        let (second, a) = (Interval::from_seconds(1).unwrap(), Symbol::new("A").unwrap());
        let mut gaps = Gaps::default();
        assert!(!gaps.add(&gap(5, SECOND), second, SECOND, 1));
        assert!(gaps.add(&gap(SECOND, SECOND), second, SECOND, 2));
        assert!(gaps.touch(&a, 2 * SECOND) && !gaps.touch(&a, SECOND));
    }

    #[test]
    fn repeated_gaps_take_no_room() {
        let second = Interval::from_seconds(1).unwrap();
        let mut gaps = Gaps::default();
        for offset in 0..1_000 {
            assert!(gaps.add(&gap(SECOND, 2 * SECOND), second, 0, offset));
        }
        assert_eq!(gaps.by_symbol.values().flatten().count(), 1);
        assert_eq!(gaps.first_offset(), Some(0));
    }
}
