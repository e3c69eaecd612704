//! The market is what it says: its returns, its trades, its optimum.

use proptest::prelude::*;

use super::*;
use crate::flow::tick::Side;

const START: Micros = 1_700_000_005_000_000;

fn spec() -> MarketSpec {
    MarketSpec {
        symbols: 3,
        interval: Interval::from_seconds(10).unwrap(),
        start: START,
        bars: Some(50),
        seed: 7,
        ticks_per_bar: 10.0,
        regime: Regime::default(),
    }
}

#[test]
fn the_same_seed_gives_the_same_trades() {
    let trades: Vec<_> = Market::new(&spec()).collect();
    assert_eq!(trades, Market::new(&spec()).collect::<Vec<_>>());
    assert_ne!(trades, Market::new(&MarketSpec { seed: 8, ..spec() }).collect::<Vec<_>>());
}

#[test]
fn a_symbol_does_not_depend_on_the_others() {
    let of = |symbols| -> Vec<_> {
        Market::new(&MarketSpec { symbols, ..spec() }).filter(|t| t.symbol.as_str() == "SIM-1.TICKCAST").collect()
    };
    assert_eq!(of(1), of(3));
}

#[test]
fn closes_follow_the_path() {
    let spec = MarketSpec { symbols: 1, ..spec() };
    let mut path = Path::new(spec.seed, 1, spec.regime);
    path.next();
    let trades: Vec<_> = Market::new(&spec).collect();
    let closes: Vec<f64> = trades
        .chunk_by(|a, b| spec.interval.open_of(a.event_time) == spec.interval.open_of(b.event_time))
        .map(|bar| bar.last().unwrap().price)
        .collect();
    assert_eq!(closes.len(), 50);
    for (pair, expected) in closes.windows(2).zip(path) {
        let step = (pair[1] / pair[0]).ln();
        // Two roundings of half a unit at a price above 50: no coarser than 1e-4 of a deviation, by far.
        assert!((step - expected).abs() < 4e-10, "{step} {expected}");
    }
}

#[test]
fn signals_know_closed_bars_only() {
    let mut path = Path::new(1, 1, Regime::default());
    assert_eq!(path.signal(), 0.0);
    let first = path.next().unwrap();
    assert_eq!(path.signal().signum(), first.signum());
    let reversed = Path::new(1, 1, Regime { direction: -1.0, strength: 0.2 }).take(1).next().unwrap();
    assert_eq!(first, reversed, "without history there is no drift");
}

#[test]
fn takers_lean_with_the_price_and_no_further() {
    let trades: Vec<_> = Market::new(&MarketSpec { symbols: 1, bars: Some(20_000), ..spec() }).collect();
    let mut agree = 0;
    for pair in trades.windows(2) {
        agree += usize::from((pair[1].price > pair[0].price) == (pair[1].side == Side::Buy));
    }
    let share = agree as f64 / (trades.len() - 1) as f64;
    assert!((share - 0.8).abs() < 0.01, "{share}");
}

/// 58.07, 65.07 and 67.92% for trends with k = 0.2, 62.22 and 68.10% for reversals with k = 0.8 (twelve million bars each).
#[test]
fn the_optimum_is_as_stated() {
    let close = |got: Vec<f64>, expected: &[f64]| {
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() < 0.005, "{got} is not {expected}");
        }
    };
    close(optimum(Regime::default(), &[1, 5, 15], 600_000, 1), &[0.5807, 0.6507, 0.6792]);
    close(optimum(Regime { direction: -1.0, strength: 0.8 }, &[1, 5], 600_000, 2), &[0.6222, 0.6810]);
    close(optimum(Regime { direction: 1.0, strength: 0.0 }, &[1, 5], 600_000, 3), &[0.5, 0.5]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_trade_is_good_and_in_its_place(
        symbols in 1_u32..5, seconds in prop::sample::select(vec![1_i64, 10, 60]), seed: u64, ticks in 1.0_f64..30.0,
    ) {
        let interval = Interval::from_seconds(seconds).unwrap();
        let spec = MarketSpec { symbols, interval, seed, ticks_per_bar: ticks, bars: Some(20), ..spec() };
        let trades: Vec<_> = Market::new(&spec).collect();
        prop_assert!(trades.is_sorted_by_key(|t| t.event_time));
        for tick in &trades {
            prop_assert_eq!(tick.trade().check(), Ok(()));
            prop_assert!(tick.event_time > interval.open_of(tick.event_time));
        }
        for number in 1..=symbols {
            let own: Vec<_> = trades.iter().filter(|t| t.symbol == name(number)).collect();
            prop_assert!(own.iter().zip(1..).all(|(tick, id)| tick.trade_id == id));
            let bars: Vec<_> =
                own.chunk_by(|a, b| interval.open_of(a.event_time) == interval.open_of(b.event_time)).collect();
            prop_assert_eq!(bars.len(), 20);
            for (i, bar) in bars.iter().enumerate() {
                let open = interval.open_of(START) + i as i64 * interval.micros();
                let last = bar.last().unwrap().event_time;
                prop_assert!(last >= open + interval.micros() / 100 * 99 && last < open + interval.micros());
            }
        }
    }
}
