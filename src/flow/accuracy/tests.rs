//! Sums, windows and trailing counts against recomputations from the raw rows ([`super::naive`]).

use proptest::prelude::*;

use super::naive::{Cohort, assert_equal, figures};
use super::*;
use crate::flow::symbol::Symbol;
use crate::flow::time::Micros;

/// Probabilities where they crowd, where they repeat, at the ends, and anywhere.
fn probability() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => 0.45..0.55,
        2 => (0..8_u8).prop_map(|i| f64::from(i) / 7.0),
        1 => prop_oneof![Just(0.003), Just(0.5), Just(0.999)],
        2 => 0.0..1.0,
    ]
    .prop_map(clip)
}

fn baseline() -> impl Strategy<Value = BaselineForecast> {
    (probability(), any::<bool>()).prop_map(|(probability_up, up)| BaselineForecast { probability_up, up })
}

prop_compose! {
    fn row()(
        probability_up in probability(),
        moved in prop::option::weighted(0.8, any::<bool>()),
        (hit, class_hit) in any::<(bool, bool)>(),
        class_probability in prop_oneof![4 => 0.0..1.0, 1 => Just(0.0), 1 => Just(1.0)],
        trade in prop::option::of((prop::option::weighted(0.9, prop_oneof![4 => -50.0..50.0, 1 => Just(0.0)]), 0.0..5.0)),
        baselines in [baseline(), baseline(), baseline()],
    ) -> Row {
        let (pnl_bps, fee_bps) = trade.map_or((None, 2.0), |(gross, fee): (Option<f64>, f64)| (gross.map(|g| g - fee), fee));
        Row { probability_up, moved, hit, class_probability, class_hit, trades: trade.is_some(), pnl_bps, fee_bps, baselines }
    }
}

/// A cohort of symbols 0 to 5, in order, with gaps.
#[derive(Clone, Debug)]
struct Settled {
    non_overlapping: bool,
    unscorable: u32,
    rows: Vec<(Symbol, Row)>,
}

fn settled(most: usize) -> impl Strategy<Value = Vec<Settled>> {
    let cohort = (any::<bool>(), 0..3_u32, prop::collection::vec(prop::option::weighted(0.7, row()), 0..6));
    let cohort = cohort.prop_map(|(non_overlapping, unscorable, rows)| Settled {
        non_overlapping,
        unscorable,
        rows: rows.into_iter().enumerate().filter_map(|(i, row)| Some((symbol(i), row?))).collect(),
    });
    prop::collection::vec(cohort, 0..most)
}

fn symbol(i: usize) -> Symbol {
    Symbol::new(&format!("S{i}")).unwrap()
}

fn target_time(cohort: usize) -> Micros {
    1_700_000_000_000_000 + 60_000_000 * cohort as Micros
}

fn fold(window: &mut Window, from: usize, cohorts: &[Settled]) {
    for (i, cohort) in cohorts.iter().enumerate() {
        let rows = cohort.rows.iter().map(|(symbol, row)| (symbol, row));
        window.fold(target_time(from + i), cohort.non_overlapping, rows, cohort.unscorable);
    }
}

/// The rows of all symbols, or of one.
fn raw<'a>(cohorts: &'a [Settled], only: Option<&Symbol>) -> Vec<Cohort<'a>> {
    let of = |cohort: &'a Settled| {
        let rows = cohort.rows.iter().filter(|(symbol, _)| only.is_none_or(|only| only == symbol));
        (cohort.non_overlapping, rows.map(|(_, row)| row).collect())
    };
    cohorts.iter().map(of).collect()
}

fn assert_window_is(window: &Window, from: usize, cohorts: &[Settled]) {
    let Some(whole) = window.figures() else { return assert!(cohorts.is_empty()) };
    assert_eq!((whole.from, whole.to), (target_time(from), target_time(from + cohorts.len() - 1)));
    assert_eq!(whole.cohorts, cohorts.len() as u64);
    assert_eq!(whole.unscorable, cohorts.iter().map(|cohort| u64::from(cohort.unscorable)).sum::<u64>());
    assert_equal(&whole.figures, &figures(&raw(cohorts, None)));
    let by_symbol = window.symbol_figures();
    let named = |symbol: &Symbol| cohorts.iter().flat_map(|cohort| &cohort.rows).any(|(name, _)| name == symbol);
    let expected: Vec<Symbol> = (0..6).map(symbol).filter(named).collect();
    assert_eq!(by_symbol.iter().map(|(symbol, _)| symbol.clone()).collect::<Vec<_>>(), expected);
    for (symbol, own) in &by_symbol {
        assert_equal(own, &figures(&raw(cohorts, Some(symbol))));
    }
}

/// How the queue and the forgetting counts could be done with all cohorts at hand.
fn trailing_of(window: u32, cohorts: &[(Micros, [u32; 4])], as_of: Micros) -> [f64; 4] {
    let known: Vec<_> = cohorts.iter().filter(|(target_time, _)| *target_time <= as_of).collect();
    let keep = 1.0 - 1.0 / f64::from(window);
    let total = |part: usize| {
        let aged = known.iter().rev().enumerate();
        aged.map(|(age, (_, counts))| f64::from(counts[part]) * keep.powi(age as i32)).sum::<f64>()
    };
    [0, 1, 2, 3].map(total)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn merged_blocks_equal_a_recomputation(
        cohorts in settled(30), cuts in prop::collection::vec(0.0..1.0_f64, 0..6), swaps in any::<bool>(),
    ) {
        let mut blocks = vec![Statistics::default(); cuts.len() + 1];
        for (i, cohort) in cohorts.iter().enumerate() {
            let place = cuts.iter().filter(|cut| **cut < i as f64 / cohorts.len() as f64).count();
            cohort.rows.iter().for_each(|(_, row)| blocks[place].add(row));
            if cohort.non_overlapping {
                let moved = || cohort.rows.iter().filter(|(_, row)| row.moved.is_some());
                blocks[place].add_cluster(moved().count() as u32, moved().filter(|(_, row)| row.hit).count() as u32);
            }
        }
        if swaps {
            blocks.reverse();
        }
        let mut whole = Statistics::default();
        for block in &blocks {
            let again = Statistics::from_numbers(&block.numbers()).unwrap();
            assert_eq!(&again, block);
            whole.merge(&again);
        }
        assert_equal(&whole.figures(), &figures(&raw(&cohorts, None)));
    }

    #[test]
    fn numbers_cut_short_are_refused(rows in prop::collection::vec(row(), 0..20), cut in 0.0..1.0_f64) {
        let mut statistics = Statistics::default();
        rows.iter().for_each(|row| statistics.add(row));
        let numbers = statistics.numbers();
        let bits = |numbers: &[f64]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&Statistics::from_numbers(&numbers).unwrap().numbers()), bits(&numbers));
        // What is left of the cells may be whole; the sums before them may not be short.
        let short = &numbers[..(31.0 * cut) as usize];
        assert_eq!(Statistics::from_numbers(short), None);
    }

    #[test]
    fn a_window_holds_its_last_blocks(cohorts in settled(70), size in 0..45_u32, stop in 0.0..1.0_f64) {
        let mut window = Window::new(size);
        let stop = (stop * cohorts.len() as f64) as usize;
        fold(&mut window, 0, &cohorts[..stop]);
        // Half-way through it is taken up by another process.
        let kept: Vec<Block> = window.blocks().iter().cloned().collect();
        let mut window = Window::from_blocks(size, kept).unwrap();
        fold(&mut window, stop, &cohorts[stop..]);
        let (per_block, most) = ((size as usize / 10).max(1), (size as usize).clamp(1, 10));
        let first = match cohorts.len() {
            0 => 0,
            n => ((n - 1) / per_block + 1).saturating_sub(most) * per_block,
        };
        assert!(cohorts.len() - first <= (size as usize).max(1));
        assert_window_is(&window, first, &cohorts[first..]);
    }

    #[test]
    fn a_restored_window_equals_the_one_that_never_stopped(cohorts in settled(40), size in 1..30_u32) {
        let mut whole = Window::new(size);
        let mut halves = Window::new(size);
        for (i, cohort) in cohorts.iter().enumerate() {
            fold(&mut whole, i, std::slice::from_ref(cohort));
            halves = Window::from_blocks(size, halves.blocks().iter().cloned()).unwrap();
            fold(&mut halves, i, std::slice::from_ref(cohort));
            assert_eq!(halves.blocks(), whole.blocks());
        }
        assert_eq!((halves.figures(), halves.symbol_figures()), (whole.figures(), whole.symbol_figures()));
    }

    #[test]
    fn trailing_counts_know_nothing_of_the_future(
        cohorts in prop::collection::vec((1..4_i64, 0..9_u32, 0..9_u32, 0..9_u32, 0..9_u32), 0..60),
        window in 1..20_u32, horizon in 1..12_i64, prior in -1.0..1.0_f64,
    ) {
        let mut trailing = Trailing::new(window);
        let mut past: Vec<(Micros, [u32; 4])> = Vec::new();
        for (step, a, b, c, d) in cohorts {
            let target_time = past.last().map_or(target_time(0), |(last, _)| last + step);
            let as_of = target_time - horizon;
            trailing.promote(as_of);
            trailing = Trailing::from_numbers(window, &trailing.numbers()).unwrap();
            let [ups, moved, right, with_prior] = trailing_of(window, &past, as_of);
            let (majority, goes_on) = ((ups + 1.0) / (moved + 2.0), (right + 1.0) / (with_prior + 2.0));
            let follow = if prior > 0.0 { goes_on } else { 1.0 - goes_on };
            let said = trailing.forecasts(Some(prior));
            for (forecast, expected) in said.iter().zip([majority, follow, follow]) {
                assert!((forecast.probability_up - expected).abs() < 1e-9, "{forecast:?} is not {expected}");
            }
            assert_eq!((said[1].up, said[2].up), (prior > 0.0, prior <= 0.0));
            if (2.0 * ups - moved).abs() > 1e-9 {
                assert_eq!(said[0].up, 2.0 * ups > moved);
            }
            assert!(trailing.pending() <= horizon as usize);
            let counts = [a.min(b), a.max(b), c.min(d), c.max(d)];
            trailing.push(target_time, counts[0], counts[1], counts[2], counts[3]);
            past.push((target_time, counts));
        }
    }
}

#[test]
fn blocks_that_do_not_fit_are_refused() {
    let block = |index, from, cohorts| Block { index, from, to: from + 1, cohorts, ..Block::default() };
    let fits = |cohorts, blocks: &[Block]| Window::from_blocks(cohorts, blocks.iter().cloned()).map(|_| ());
    let good = [block(7, 10, 2), block(8, 20, 2), block(9, 30, 1)];
    assert_eq!(fits(20, &good), Ok(()));
    assert_eq!(fits(20, &[]), Ok(()));
    for (bad, what) in [
        (vec![block(7, 10, 2), block(9, 20, 2)], "block 9 does not follow block 7"),
        (vec![block(7, 10, 2), block(8, 11, 2)], "block 8 does not follow block 7"),
        (vec![block(7, 10, 1), block(8, 20, 2)], "block 7 has 1 cohorts instead of 2"),
        (vec![block(7, 10, 3)], "block 7 has 3 cohorts instead of 1 to 2"),
        (vec![block(7, 10, 0)], "block 7 has 0 cohorts instead of 1 to 2"),
        ((0..11).map(|i| block(i, 10 * i as Micros, 2)).collect(), "there are 11"),
    ] {
        let error = fits(20, &bad).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}

/// The room of a symbol is taken over from the block that went: no allocation in the steady state, and no old rows in it.
#[test]
fn a_symbol_that_went_leaves_nothing_behind() {
    let mut window = Window::new(2);
    let rows: Vec<(Symbol, Row)> = (0..3).map(|i| (symbol(i), naive::row())).collect();
    for i in 0..6 {
        window.fold(target_time(i), true, rows.iter().map(|(symbol, row)| (symbol, row)), 1);
    }
    let one = &rows[..1];
    for i in 6..8 {
        window.fold(target_time(i), true, one.iter().map(|(symbol, row)| (symbol, row)), 0);
    }
    let names: Vec<_> = window.symbol_figures().into_iter().map(|(symbol, own)| (symbol, own.scored)).collect();
    assert_eq!(names, [(symbol(0), 2)]);
    let whole = window.figures().unwrap();
    assert_eq!((whole.from, whole.to, whole.cohorts, whole.unscorable), (target_time(6), target_time(7), 2, 0));
    assert_eq!(window.blocks().iter().map(|block| block.index).collect::<Vec<_>>(), [6, 7]);
}
