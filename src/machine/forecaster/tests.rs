//! The forecaster over a fake model and random streams: equal to a naive computation, and the same when it is cut anywhere.

mod fake;
mod naive;

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use self::fake::{NAMES, fake};
use super::{Champion, Cycle, Forecaster, Position};
use crate::flow::bad_ratio::BadRatio;
use crate::flow::bar::Bar;
use crate::flow::prediction::{AbstainReason, Prediction};
use crate::flow::rules::Rules;
use crate::flow::tick::{Gap, Record, Side, Trade, TradeId};
use crate::flow::time::{Interval, Micros, SECOND};
use crate::machine::checkpoint::{Checkpoint, MAX_LEN};

const BEGIN: Micros = 1_700_000_000 * SECOND;
/// When Kafka wrote every record: only trades that are meant to be in the future are.
const KAFKA_TIME: Micros = BEGIN + 1_000_000 * SECOND;
const LATENESS: Micros = SECOND;
const MAX_FILL: u32 = 5;
const SKEW: Micros = 60 * SECOND;

/// A record before it has a place in the log; symbols are indices of [`NAMES`].
#[derive(Clone, Debug)]
enum Event {
    Trade { symbol: usize, time: Micros, price: f64, size: f64, id: Option<u64> },
    Gap { symbol: usize, from: Micros, to: Micros },
    Watermark(Micros),
}

impl Event {
    fn record(&self) -> Record<'static> {
        match *self {
            Self::Trade { symbol, time, price, size, id } => Record::Trade(Trade {
                symbol: NAMES[symbol].into(),
                price,
                size,
                side: if time % 2 == 0 { Side::Buy } else { Side::Unknown },
                trade_id: id.map(TradeId::Number),
                event_time: time,
            }),
            Self::Gap { symbol, from, to } => Record::Gap(Gap { symbol: NAMES[symbol].into(), from, to }),
            Self::Watermark(time) => Record::Watermark(time),
        }
    }
}

/// An empty forecaster that holds at most `max_symbols`.
pub(super) fn forecaster_of(max_symbols: usize) -> Forecaster {
    Forecaster::new(Rules { max_symbols, ..rules() }, &fake())
}

fn interval() -> Interval {
    Interval::from_seconds(1).unwrap()
}

fn rules() -> Rules {
    Rules {
        interval: interval(),
        lateness: LATENESS,
        max_fill: MAX_FILL,
        future_skew: SKEW,
        max_symbols: 100,
        assets: None,
        max_staleness: None,
        min_confidence: 0.0,
        max_model_age: None,
    }
}

/// Streams with stragglers, late and future trades, duplicates, gaps, jumps of the watermark, quiet and silent symbols.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let one = (0_u8..100, 0_usize..4, -2_000_i64..1_500, 1_u32..200, 0_u64..12);
    proptest::collection::vec(one, 1..250).prop_map(|raw| {
        let mut cursor = BEGIN;
        let build = raw.into_iter().enumerate().map(|(index, (kind, symbol, millis, price, small))| {
            // The last one trades rarely, and falls silent.
            let symbol = if symbol == 3 && price % 6 != 0 { 0 } else { symbol };
            let near = cursor + millis * 1_000 + small as i64;
            let ahead = cursor + small as i64 * SECOND + 1;
            let trade = |time, id| Event::Trade {
                symbol,
                time,
                price: f64::from(price) / 7.0,
                size: f64::from(price % 13 + 1) / 3.0,
                id,
            };
            let unique = Some(1_000 + index as u64);
            let event = match kind {
                0..72 => trade(near, unique),
                72..76 => trade(near, None),
                76..83 => trade(near, Some(small % 3)),
                83..86 => trade(ahead, unique),
                86..89 => Event::Gap { symbol, from: near, to: near + small as i64 * SECOND / 3 },
                89..95 => Event::Watermark(ahead),
                95..97 => trade(KAFKA_TIME + SKEW + 1 + small as i64, unique),
                _ => trade(cursor - 20 * SECOND, unique),
            };
            match &event {
                Event::Trade { time, .. } | Event::Watermark(time) if *time < KAFKA_TIME => cursor = cursor.max(*time),
                _ => {}
            }
            event
        });
        build.collect()
    })
}

/// What is done at a place where a lane may commit: after a record, and between two cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    GoOn,
    Commit,
    CommitAndDie,
    Die,
}

#[derive(Debug, Default, PartialEq)]
struct Emitted {
    bars: Vec<Bar>,
    predictions: Vec<Prediction>,
}

/// The topics: what is committed, and where bars stand. Transactions that die leave holes, all of them leave markers.
struct Log {
    bars: Vec<(i64, Bar)>,
    predictions: Vec<Prediction>,
    end: i64,
    next: usize,
    checkpoint: String,
}

impl Log {
    fn commit(&mut self, forecaster: &mut Forecaster, next: usize, pending: &mut Emitted) {
        for bar in pending.bars.drain(..) {
            forecaster.bar_written(bar.close_time, self.end);
            self.bars.push((self.end, bar));
            self.end += 1;
        }
        self.end += 1;
        self.predictions.append(&mut pending.predictions);
        let bad = BadRatio { seen: next as u32, bad: 1 };
        self.checkpoint = forecaster.checkpoint(next as i64, 7, bad).to_string();
        assert!(self.checkpoint.len() <= MAX_LEN);
        self.next = next;
    }

    fn restore(&self, events: &[Event], champion: &Champion) -> Forecaster {
        let checkpoint: Checkpoint = self.checkpoint.parse().unwrap();
        let mut forecaster = Forecaster::resume(rules(), champion, &checkpoint);
        let (begin, end) = checkpoint.bars;
        for (offset, bar) in self.bars.iter().filter(|(offset, _)| (begin..end).contains(offset)) {
            forecaster.restore_bar(bar.clone(), *offset).unwrap();
        }
        forecaster.bars_restored(champion).unwrap();
        for offset in checkpoint.resume..self.next as i64 {
            forecaster.reapply(at(offset as usize), &events[offset as usize].record());
        }
        let bad = BadRatio { seen: checkpoint.seen, bad: checkpoint.bad };
        assert_eq!(forecaster.checkpoint(self.next as i64, 7, bad), checkpoint, "what was restored says the same");
        forecaster
    }
}

fn at(index: usize) -> Position {
    Position { offset: index as i64, kafka_time: KAFKA_TIME }
}

/// Runs `events` as a lane does. `fate` is asked at every place where a lane may commit; after a death the committed state is
/// restored and what was not committed is done again.
fn run(events: &[Event], champion: &mut Champion, mut fate: impl FnMut() -> Fate) -> Emitted {
    let mut forecaster = Forecaster::new(rules(), champion);
    let mut log = Log { bars: Vec::new(), predictions: Vec::new(), end: 0, next: 0, checkpoint: String::new() };
    let (mut pending, mut cycle, mut next) = (Emitted::default(), Cycle::default(), 0);
    log.commit(&mut forecaster, 0, &mut pending);
    loop {
        if let Some(end) = forecaster.next_cycle() {
            forecaster.close(end, champion, &mut cycle);
            assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
            pending.bars.append(&mut cycle.bars);
            pending.predictions.append(&mut cycle.predictions);
        } else if next < events.len() {
            forecaster.apply(at(next), &events[next].record());
            next += 1;
        } else {
            break;
        }
        let fate = fate();
        if matches!(fate, Fate::Commit | Fate::CommitAndDie) {
            log.commit(&mut forecaster, next, &mut pending);
        }
        if matches!(fate, Fate::Die | Fate::CommitAndDie) {
            log.end += pending.bars.len() as i64 + 1;
            pending = Emitted::default();
            forecaster = log.restore(events, champion);
            next = log.next;
        }
    }
    log.commit(&mut forecaster, next, &mut pending);
    Emitted { bars: log.bars.into_iter().map(|(_, bar)| bar).collect(), predictions: log.predictions }
}

fn check_against_naive(events: &[Event], emitted: &Emitted) -> Result<(), TestCaseError> {
    let naive = naive::compute(events);
    for (found, expected) in emitted.bars.iter().zip(&naive.bars) {
        prop_assert_eq!(found, expected);
    }
    prop_assert_eq!(emitted.bars.len(), naive.bars.len());
    let mut said: Vec<_> = emitted.predictions.iter().map(naive::Said::from).collect();
    prop_assert!(said.is_sorted_by_key(|said| said.as_of), "cycles run in the order of bar ends");
    said.sort_by(naive::Said::order);
    for (found, expected) in said.iter().zip(&naive.said) {
        prop_assert_eq!(found, expected);
    }
    prop_assert_eq!(said.len(), naive.said.len());
    Ok(())
}

thread_local! {
    /// Planning the features takes longer than a case does.
    static CHAMPION: RefCell<Champion> = RefCell::new(fake());
}

fn uncut(events: &[Event]) -> Emitted {
    CHAMPION.with_borrow_mut(|champion| run(events, champion, || Fate::GoOn))
}

fn cut(events: &[Event], fate: impl FnMut() -> Fate) -> Emitted {
    CHAMPION.with_borrow_mut(|champion| run(events, champion, fate))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Bars, and one record per symbol, closed bar and horizon until `silent`, equal a computation without any state machine.
    #[test]
    fn equals_a_naive_computation(events in events()) {
        check_against_naive(&events, &uncut(&events))?;
    }

    /// Commits and deaths at random places change nothing.
    #[test]
    fn deaths_change_nothing(events in events(), fates in proptest::collection::vec(0_u8..10, 1..2_000)) {
        let mut fates = fates.into_iter();
        let fate = || match fates.next() {
            Some(0) => Fate::Die,
            Some(1) => Fate::CommitAndDie,
            Some(2 | 3) => Fate::Commit,
            _ => Fate::GoOn,
        };
        prop_assert_eq!(cut(&events, fate), uncut(&events));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Restored at every place where a lane may commit, between any two cycles of a jump included.
    #[test]
    fn a_death_at_every_place_changes_nothing(events in events()) {
        prop_assert_eq!(cut(&events, || Fate::CommitAndDie), uncut(&events));
    }
}

/// The streams hold what they are said to hold; a strategy that lost it would make the tests above pass for nothing.
#[test]
fn the_streams_are_worth_testing() {
    let mut runner = TestRunner::deterministic();
    let (mut synthetic, mut incomplete, mut scored, mut silent, mut anew, mut jumps) = (0, 0, 0, 0, 0, 0);
    for _ in 0..40 {
        let events = events().new_tree(&mut runner).unwrap().current();
        let mut boundaries = Vec::new();
        let emitted = cut(&events, || {
            boundaries.push(());
            Fate::GoOn
        });
        let ends: std::collections::BTreeSet<_> = emitted.bars.iter().map(|bar| bar.close_time).collect();
        jumps += usize::from(boundaries.len() > events.len() && ends.len() > 5);
        synthetic += emitted.bars.iter().filter(|bar| bar.synthetic).count();
        incomplete += emitted.bars.iter().filter(|bar| !bar.complete && bar.synthetic).count();
        scored += emitted.predictions.iter().filter(|said| said.probabilities.is_some()).count();
        silent += emitted.predictions.iter().filter(|p| p.abstain_reasons == [AbstainReason::Silent]).count();
        // A symbol that comes back after its silence starts anew: incomplete, and warming up.
        for p in emitted.predictions.iter().filter(|p| p.abstain_reasons == [AbstainReason::Silent]) {
            let Some(first) = emitted.bars.iter().find(|b| b.symbol == p.symbol && b.close_time > p.as_of) else {
                continue;
            };
            anew += 1;
            assert!(!first.complete && !first.synthetic);
            let said =
                emitted.predictions.iter().find(|q| q.symbol == p.symbol && q.as_of == first.close_time).unwrap();
            assert_eq!(said.abstain_reasons, [AbstainReason::WarmingUp, AbstainReason::GapInWindow]);
        }
    }
    for (what, count) in [
        ("synthetic bars", synthetic),
        ("synthetic bars within a gap", incomplete),
        ("scored predictions", scored),
        ("silent symbols", silent),
        ("symbols that came back", anew),
        ("streams of several cycles a record", jumps),
    ] {
        assert!(count >= 10, "{what}: {count}");
    }
}
