//! What one record does: to its bar, to the gaps, to the watermark.

use super::Forecaster;
use crate::flow::dead_letter::Reason;
use crate::flow::gaps::Gaps;
use crate::flow::symbol::Symbol;
use crate::flow::tick::{Gap, Record, Trade};
use crate::flow::time::Micros;

/// Where a record stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Its offset.
    pub offset: i64,
    /// Its Kafka timestamp (LogAppendTime): what the future guard measures against.
    pub kafka_time: Micros,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It counts.
    Used,
    /// Its trade id is in its bar already; it changes nothing.
    Duplicate,
    /// It belongs to the dead letters.
    Dead(Reason),
    /// It would bring one symbol more than the partition may hold; it was not applied.
    Full,
}

impl Forecaster {
    /// Applies a checked record. Run the cycles that are due before the next one.
    pub fn apply(&mut self, at: Position, record: &Record<'_>) -> Verdict {
        match record {
            Record::Trade(trade) => self.trade(at, trade),
            Record::Gap(gap) => self.gap(at, gap),
            Record::Watermark(time) => self.mark(at, *time),
        }
    }

    fn trade(&mut self, at: Position, trade: &Trade<'_>) -> Verdict {
        let place = self.book.find(&trade.symbol);
        if place.is_none() && !self.rules.wants(&trade.symbol) {
            return Verdict::Dead(Reason::UnknownSymbol);
        }
        if trade.event_time > at.kafka_time.saturating_add(self.rules.future_skew) {
            return Verdict::Dead(Reason::Future);
        }
        let close_time = self.rules.interval.close_of(trade.event_time);
        if self.watermark.is_some_and(|watermark| close_time <= watermark) {
            return Verdict::Dead(Reason::Late);
        }
        let place = match place {
            Some(place) => place,
            None if self.book.len() >= self.rules.max_symbols => return Verdict::Full,
            None => match Symbol::new(&trade.symbol) {
                Ok(symbol) => self.book.insert(symbol),
                Err(_) => return Verdict::Dead(Reason::BadSymbol),
            },
        };
        if !self.book.entry(place).add(close_time, at.offset, trade) {
            return Verdict::Duplicate;
        }
        self.advance(trade.event_time - self.rules.lateness);
        Verdict::Used
    }

    fn gap(&mut self, at: Position, gap: &Gap<'_>) -> Verdict {
        if !self.rules.wants(&gap.symbol) {
            return Verdict::Dead(Reason::UnknownSymbol);
        }
        if gap.to > at.kafka_time.saturating_add(self.rules.future_skew) {
            return Verdict::Dead(Reason::Future);
        }
        // Late is measured as for trades, against the watermark.
        let closed = self.watermark.unwrap_or(Micros::MIN);
        if Gaps::last_touched(gap, self.rules.interval) <= closed {
            return Verdict::Dead(Reason::Late);
        }
        if self.gaps.len() >= self.rules.max_symbols && !self.gaps.know(&gap.symbol) {
            return Verdict::Full;
        }
        self.gaps.add(gap, self.rules.interval, closed, at.offset);
        Verdict::Used
    }

    fn mark(&mut self, at: Position, time: Micros) -> Verdict {
        // Sources end a replay at the end of the running bar, which may lie an interval ahead.
        let bound = at.kafka_time.saturating_add(self.rules.future_skew).saturating_add(self.rules.interval.micros());
        if time > bound {
            return Verdict::Dead(Reason::Future);
        }
        self.advance(time);
        Verdict::Used
    }

    /// Applies a record from before the committed offset again: only its part in bars that are still open, and nothing is
    /// emitted. Every cycle up to a record's watermark had run before the next record was applied, so whatever belongs to a
    /// bar that ends after W was on time.
    pub fn reapply(&mut self, at: Position, record: &Record<'_>) {
        let closed = self.closed.unwrap_or(Micros::MIN);
        let guard = at.kafka_time.saturating_add(self.rules.future_skew);
        match record {
            Record::Trade(trade) => {
                let close_time = self.rules.interval.close_of(trade.event_time);
                if close_time <= closed || trade.event_time > guard || !self.rules.wants(&trade.symbol) {
                    return;
                }
                let place = match self.book.find(&trade.symbol) {
                    Some(place) => place,
                    None => match Symbol::new(&trade.symbol) {
                        Ok(symbol) => self.book.insert(symbol),
                        Err(_) => return,
                    },
                };
                self.book.entry(place).add(close_time, at.offset, trade);
            }
            Record::Gap(gap) if gap.to <= guard && self.rules.wants(&gap.symbol) => {
                self.gaps.add(gap, self.rules.interval, closed, at.offset);
            }
            Record::Gap(_) | Record::Watermark(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::time::SECOND;
    use crate::machine::forecaster::tests::forecaster_of;

    #[test]
    fn a_full_book_of_gaps_still_takes_known_symbols_and_late_gaps() {
        let mut forecaster = forecaster_of(1);
        let now = 1_700_000_000 * SECOND;
        let at = |offset| Position { offset, kafka_time: now };
        let gap = |symbol: &'static str, from| Record::Gap(Gap { symbol: symbol.into(), from, to: from + 1 });
        forecaster.apply(at(0), &Record::Watermark(now - 10 * SECOND));
        assert_eq!(forecaster.apply(at(1), &gap("A", now)), Verdict::Used);
        assert_eq!(forecaster.apply(at(2), &gap("A", now)), Verdict::Used);
        assert_eq!(forecaster.apply(at(3), &gap("B", now - 60 * SECOND)), Verdict::Dead(Reason::Late));
        assert_eq!(forecaster.apply(at(4), &gap("B", now)), Verdict::Full);
    }
}
