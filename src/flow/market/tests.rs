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
        schedule: Schedule::default(),
        correlation: 0.0,
    }
}

fn plain(seed: u64, number: u32, regime: Regime) -> Path {
    Path::new(seed, number, &regime.into(), 0.0)
}

#[test]
fn the_same_seed_gives_the_same_trades() {
    let trades: Vec<_> = Market::new(&spec()).collect();
    assert_eq!(trades, Market::new(&spec()).collect::<Vec<_>>());
    assert_ne!(trades, Market::new(&MarketSpec { seed: 8, ..spec() }).collect::<Vec<_>>());
}

/// The reference model was trained on these trades: what is added to the generator must not move a digit of them.
#[test]
fn the_plain_market_is_the_one_that_the_reference_model_was_trained_on() {
    let mut text = String::new();
    for tick in Market::new(&spec()) {
        let (side, id) = (tick.side.as_str(), tick.trade_id);
        text += &format!("{},{},{},{},{side},{id}\n", tick.event_time, tick.symbol, tick.price, tick.size);
    }
    assert_eq!(format!("{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes())), "643a95948a6a2269");
}

#[test]
fn closes_follow_the_path() {
    let spec = MarketSpec { symbols: 1, ..spec() };
    let mut path = plain(spec.seed, 1, Regime::default());
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
    let mut path = plain(1, 1, Regime::default());
    assert_eq!(path.signal(), 0.0);
    let first = path.next().unwrap();
    assert_eq!(path.signal().signum(), first.signum());
    let reversed = plain(1, 1, Regime { direction: -1.0, strength: 0.2 }).take(1).next().unwrap();
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

#[test]
fn the_optimum_is_as_stated() {
    let noise = Regime { direction: 1.0, strength: 0.0 };
    assert_eq!(known(Regime::default()), [0.5807, 0.6507, 0.6792], "what the documents say");
    for (seed, (regime, stated)) in (1..).zip([
        (Regime::TREND, known(Regime::TREND)),
        (Regime::REVERSAL, known(Regime::REVERSAL)),
        (noise, [0.5; 3]),
    ]) {
        let got = optimum(regime, &HORIZONS, 600_000, seed);
        for (got, stated) in got.iter().zip(stated) {
            assert!((got - stated).abs() < 0.005, "{got} is not {stated} under {regime:?}");
        }
    }
}

/// Up to the flip nothing knows of it; the first return behind it is made by the new rule from the state that was there.
#[test]
fn the_rule_flips_at_its_bar_and_the_state_carries_on() {
    let flip = 40;
    let schedule = Schedule::flipping(&[flip]).unwrap();
    let (mut old, mut flipped) = (plain(3, 1, Regime::TREND), Path::new(3, 1, &schedule, 0.0));
    for _ in 0..flip {
        assert_eq!(old.signal(), flipped.signal());
        assert_eq!(old.next(), flipped.next());
    }
    assert_eq!((old.x(), old.signal()), (flipped.x(), -flipped.signal()));
    assert!(old.x().abs() > 0.1, "a state that tells the rules apart");
    // The same normal, 2k tanh(x/2) added with k = 0.2, or taken away with k = 0.8.
    let (pull, step) = ((old.x() / 2.0).tanh(), flipped.next().unwrap() - old.next().unwrap());
    assert!((step / 8e-4 + 2.0 * (0.2 + 0.8) * pull).abs() < 1e-12, "{step} {pull}");
    let spec = MarketSpec { schedule: Schedule::flipping(&[flip, 45]).unwrap(), ..spec() };
    let flips: Vec<_> = spec.flip_times().collect();
    assert_eq!(flips, [1_700_000_400_000_000, 1_700_000_450_000_000]);
    let trades = |spec: &MarketSpec, until| Market::new(spec).filter(move |t| t.event_time < until).collect::<Vec<_>>();
    let plain = MarketSpec { schedule: Schedule::default(), ..spec.clone() };
    assert_eq!(trades(&spec, flips[0]), trades(&plain, flips[0]));
    assert_ne!(trades(&spec, flips[0] + 10_000_000), trades(&plain, flips[0] + 10_000_000));
}

/// Along one path through both rules, the sign of x is right as often as [`optimum`] says before the flip, and as [`frozen`]
/// says behind it.
#[test]
fn a_frozen_forecast_falls_from_the_optimum_to_what_is_stated() {
    let (flip, bars, horizons) = (300_000, 600_000, [1, 5, 15]);
    let schedule = Schedule::flipping(&[flip as u64]).unwrap();
    let mut path = Path::new(11, 4, &schedule, 0.3);
    let (mut calls, mut closes) = (Vec::new(), vec![0.0]);
    for _ in 0..bars {
        calls.push(path.x());
        closes.push(closes.last().unwrap() + path.next().unwrap());
    }
    let hit = |from: usize, until: usize, ahead: usize| {
        let hits = (from..until - ahead).filter(|&t| (closes[t + ahead] - closes[t]) * calls[t] > 0.0).count();
        hits as f64 / (until - ahead - from) as f64
    };
    let before = optimum(Regime::TREND, &horizons, 600_000, 1);
    let after = optimum(Regime::REVERSAL, &horizons, 600_000, 1);
    for ((ahead, before), after) in horizons.into_iter().zip(before).zip(after) {
        let (was, is) = (hit(1, flip, ahead), hit(flip, bars, ahead));
        let stated = frozen(Regime::TREND, Regime::REVERSAL, after);
        assert!(
            (was - before).abs() < 0.007 && (is - stated).abs() < 0.007,
            "{ahead}: {was} {is}, not {before} {stated}"
        );
        assert!(is < 0.4, "{is}");
    }
    assert_eq!(frozen(Regime::TREND, Regime { direction: 1.0, strength: 0.8 }, 0.6), 0.6);
}

#[test]
fn symbols_are_correlated_as_stated() {
    let measured = |stated: f64, regime: Regime, seed| {
        let bars = 50_000;
        let path = |number| Path::new(seed, number, &regime.into(), stated).take(bars);
        let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
        for (x, y) in path(1).zip(path(2)) {
            (xy, xx, yy) = (xy + x * y, xx + x * x, yy + y * y);
        }
        xy / f64::sqrt(xx * yy)
    };
    let noise = Regime { direction: 1.0, strength: 0.0 };
    for (seed, stated) in (1..).zip([0.0, 0.3, 0.6, 0.99]) {
        let got = measured(stated, noise, seed);
        assert!((got - stated).abs() < 0.015, "{got} is not {stated}");
        // The drift depends on states that are correlated a little less.
        for regime in [Regime::TREND, Regime::REVERSAL] {
            let got = measured(stated, regime, seed);
            assert!((got - stated).abs() < 0.05, "{got} is not {stated} under {regime:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_symbol_does_not_depend_on_how_many_there_are(
        seed: u64, correlation in prop::sample::select(vec![0.0, 0.5, 0.99]), flip in 1_u64..60, symbols in 1_u32..4,
    ) {
        let schedule = Schedule::flipping(&[flip]).unwrap();
        let of = |symbols| {
            let spec = MarketSpec { symbols, seed, correlation, schedule: schedule.clone(), ..spec() };
            Market::new(&spec).filter(|t| t.symbol.as_str() == "SIM-1.TICKCAST").collect::<Vec<_>>()
        };
        prop_assert_eq!(of(symbols), of(4));
    }

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
