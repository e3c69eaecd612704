//! What goes wrong on the way from a venue: trades that come twice, trades that come too late, records that nobody can use.
//!
//! All of it comes on top: the trades themselves, their order and their numbers stay as they are.

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::{MarketTick, rng, streams};
use crate::flow::time::{Interval, Micros};

/// Late trades are numbered from here on: no market reaches it.
const LATE_IDS: u64 = 1 << 62;
/// Late trades are of the bar that was closed last, or of one of this many before it.
const BARS_BACK: i64 = 3;

/// How many records come on top of the trades, as shares of them: each trade brings one with this probability.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// Trades that are sent once more.
    pub duplicates: f64,
    /// Trades of bars that have closed.
    pub late: f64,
    /// Records that cannot be used.
    pub bad: f64,
}

/// One record that is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// The trade; of a bad record, the one that it is a spoilt copy of.
    pub tick: MarketTick,
    /// As what.
    pub kind: SentAs,
}

/// What a record is sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentAs {
    /// A trade of the market.
    Trade,
    /// The same trade again.
    Duplicate,
    /// A trade of its own whose bar has closed.
    Late,
    /// What cannot be used.
    Bad(Flaw),
}

/// What is wrong with a bad record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It breaks off in the middle.
    Malformed,
    /// The price is negative.
    Price,
    /// The price is not a number.
    Type,
    /// It is a quote.
    Kind,
    /// Nanoseconds where microseconds should be.
    Time,
}

impl Flaw {
    /// Every flaw.
    pub const ALL: [Self; 5] = [Self::Malformed, Self::Price, Self::Type, Self::Kind, Self::Time];
}

/// Trades, each followed by what its delivery adds: first its duplicate, then a late trade, then a bad record.
#[derive(Debug)]
pub struct Disturbed<I> {
    trades: I,
    faults: Faults,
    interval: Interval,
    lateness: Micros,
    /// One stream each: the share of one does not move the others.
    duplicates: StdRng,
    late: StdRng,
    bad: StdRng,
    late_ids: u64,
    /// What follows the last trade, last one first.
    next: Vec<Sent>,
}

impl<I: Iterator<Item = MarketTick>> Disturbed<I> {
    /// Adds `faults`, as `seed` picks them, to trades in time order. A late trade is late for a reader that makes bars of
    /// `interval` and closes them `lateness` behind the newest trade.
    pub fn new(trades: I, faults: Faults, seed: u64, interval: Interval, lateness: Micros) -> Self {
        Self {
            trades,
            faults,
            interval,
            lateness,
            duplicates: rng(seed, 0, streams::DUPLICATES),
            late: rng(seed, 0, streams::LATE),
            bad: rng(seed, 0, streams::BAD),
            late_ids: LATE_IDS,
            next: Vec::with_capacity(3),
        }
    }

    fn late(&mut self, tick: &MarketTick) -> MarketTick {
        // The newest trade has moved the watermark of its partition at least so far that everything before this is closed.
        let closed = self.interval.open_of(tick.event_time - self.lateness);
        let back = self.late.random_range(1..=BARS_BACK * self.interval.micros());
        self.late_ids += 1;
        MarketTick { event_time: closed - back, trade_id: self.late_ids, ..tick.clone() }
    }
}

impl<I: Iterator<Item = MarketTick>> Iterator for Disturbed<I> {
    type Item = Sent;

    fn next(&mut self) -> Option<Sent> {
        if let Some(sent) = self.next.pop() {
            return Some(sent);
        }
        let tick = self.trades.next()?;
        if self.bad.random_bool(self.faults.bad) {
            let flaw = Flaw::ALL[self.bad.random_range(0..Flaw::ALL.len())];
            self.next.push(Sent { tick: tick.clone(), kind: SentAs::Bad(flaw) });
        }
        if self.late.random_bool(self.faults.late) {
            let tick = self.late(&tick);
            self.next.push(Sent { tick, kind: SentAs::Late });
        }
        if self.duplicates.random_bool(self.faults.duplicates) {
            self.next.push(Sent { tick: tick.clone(), kind: SentAs::Duplicate });
        }
        Some(Sent { tick, kind: SentAs::Trade })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::market::{Market, MarketSpec, Schedule};
    use crate::flow::time::SECOND;

    fn spec() -> MarketSpec {
        MarketSpec {
            symbols: 3,
            interval: Interval::from_seconds(10).unwrap(),
            start: 1_700_000_000 * SECOND,
            bars: Some(400),
            seed: 5,
            ticks_per_bar: 10.0,
            schedule: Schedule::default(),
            correlation: 0.0,
        }
    }

    fn sent(faults: Faults) -> Vec<Sent> {
        let spec = spec();
        Disturbed::new(Market::new(&spec), faults, spec.seed, spec.interval, 2 * SECOND).collect()
    }

    const SOME: Faults = Faults { duplicates: 0.1, late: 0.05, bad: 0.02 };

    #[test]
    fn the_trades_are_those_of_the_market() {
        let trades: Vec<_> = Market::new(&spec()).collect();
        let of = |faults| sent(faults).into_iter().filter(|s| s.kind == SentAs::Trade).map(|s| s.tick).collect();
        let with: Vec<_> = of(SOME);
        assert_eq!(with, trades);
        assert_eq!(sent(Faults::default()).len(), trades.len(), "nothing else unless asked for");
        assert_eq!(sent(SOME), sent(SOME));
    }

    #[test]
    fn extras_are_as_many_as_told_and_do_not_move_each_other() {
        let all = sent(SOME);
        let trades = all.iter().filter(|s| s.kind == SentAs::Trade).count() as f64;
        let share = |of: fn(&SentAs) -> bool| all.iter().filter(|s| of(&s.kind)).count() as f64 / trades;
        let shares =
            [share(|k| *k == SentAs::Duplicate), share(|k| *k == SentAs::Late), share(|k| matches!(k, SentAs::Bad(_)))];
        for (share, wanted) in shares.into_iter().zip([0.1, 0.05, 0.02]) {
            assert!((share - wanted).abs() < 0.01, "{share} is not {wanted}");
        }
        for flaw in Flaw::ALL {
            assert!(all.iter().any(|s| s.kind == SentAs::Bad(flaw)), "{flaw:?}");
        }
        let late = |faults| sent(faults).into_iter().filter(|s| s.kind == SentAs::Late).collect::<Vec<_>>();
        assert_eq!(late(SOME), late(Faults { late: 0.05, ..Faults::default() }));
    }

    #[test]
    fn duplicates_come_right_after_and_late_ones_in_closed_bars() {
        let spec = spec();
        let all = sent(Faults { duplicates: 1.0, late: 1.0, bad: 1.0 });
        for four in all.chunks(4) {
            let tick = &four[0].tick;
            assert_eq!(four[1], Sent { tick: tick.clone(), kind: SentAs::Duplicate });
            let late = &four[2].tick;
            assert_eq!((four[2].kind, &late.symbol), (SentAs::Late, &tick.symbol));
            assert!(spec.interval.close_of(late.event_time) <= tick.event_time - 2 * SECOND, "{late:?} after {tick:?}");
            assert!(late.event_time >= tick.event_time - 2 * SECOND - 4 * spec.interval.micros());
            assert!(late.trade_id > LATE_IDS && late.trade().check().is_ok());
            assert_eq!((&four[3].tick, matches!(four[3].kind, SentAs::Bad(_))), (tick, true));
        }
    }
}
