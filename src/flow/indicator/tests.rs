//! What holds of every indicator: it depends on its last bars only, does not know the currency, and is neutral on a flat
//! series.

use proptest::prelude::*;

use super::*;

const N: usize = 14;

/// high, low, close, volume, vwap, buy, sell.
type Columns = [Vec<f64>; 7];

type Call = fn(&Columns) -> f64;

/// How a value changes when all prices are multiplied by a factor.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scale {
    Free,
    Price,
}

use Scale::{Free, Price};

/// Name, bars it may look at (`None`: all), how it scales with prices, its value where every price is `P`, itself.
const ALL: [(&str, Option<usize>, Scale, Flat, Call); 25] = [
    ("last", Some(1), Price, Flat::Itself, |c| last(&c[2])),
    ("lag", Some(N + 1), Price, Flat::Itself, |c| lag(&c[2], N)),
    ("min", Some(N), Price, Flat::Itself, |c| min(&c[2], N)),
    ("max", Some(N), Price, Flat::Itself, |c| max(&c[2], N)),
    ("sma", Some(N), Price, Flat::Itself, |c| sma(&c[2], N)),
    ("ema", None, Price, Flat::Itself, |c| ema(&c[2], N)),
    ("wma", Some(N), Price, Flat::Itself, |c| wma(&c[2], N)),
    ("rsi", None, Free, Flat::Is(50.0), |c| rsi(&c[2], N)),
    ("roc", Some(N + 1), Free, Flat::Is(0.0), |c| roc(&c[2], N)),
    ("macd", None, Price, Flat::Is(0.0), |c| macd(&c[2], 6, N)),
    ("macd_hist", None, Price, Flat::Is(0.0), |c| macd_hist(&c[2], 6, N, 5)),
    ("stddev", Some(N), Price, Flat::Is(0.0), |c| stddev(&c[2], N)),
    ("bb_z", Some(N), Free, Flat::Is(0.0), |c| bb_z(&c[2], N)),
    ("realised_vol", Some(N + 1), Free, Flat::Is(0.0), |c| realised_vol(&c[2], N)),
    ("atr", None, Price, Flat::Is(0.0), |c| atr(&c[0], &c[1], &c[2], N)),
    ("parkinson", Some(N), Free, Flat::Is(0.0), |c| parkinson(&c[0], &c[1], N)),
    ("adx", None, Free, Flat::Is(0.0), |c| adx(&c[0], &c[1], &c[2], N)),
    ("plus_di", None, Free, Flat::Is(0.0), |c| plus_di(&c[0], &c[1], &c[2], N)),
    ("stoch_k", Some(N), Free, Flat::Is(50.0), |c| stoch_k(&c[0], &c[1], &c[2], N)),
    ("willr", Some(N), Free, Flat::Is(-50.0), |c| willr(&c[0], &c[1], &c[2], N)),
    ("cci", Some(N), Free, Flat::Is(0.0), |c| cci(&c[0], &c[1], &c[2], N)),
    ("mfi", Some(N + 1), Free, Flat::Is(50.0), |c| mfi(&c[0], &c[1], &c[2], &c[3], N)),
    ("obv_slope", Some(N), Free, Flat::Is(0.0), |c| obv_slope(&c[2], &c[3], N)),
    ("vwap_gap", Some(N), Free, Flat::Is(0.0), |c| vwap_gap(&c[2], &c[4], &c[3], N)),
    ("trade_imbalance", Some(N), Free, Flat::Is(0.0), |c| trade_imbalance(&c[5], &c[6], N)),
];

#[derive(Clone, Copy)]
enum Flat {
    Itself,
    Is(f64),
}

fn map(columns: &Columns, f: impl Fn(&[f64]) -> Vec<f64>) -> Columns {
    columns.each_ref().map(|column| f(column))
}

fn close_to(a: f64, b: f64, size: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()) + 1e-12 * size
}

prop_compose! {
    fn columns(bars: usize)(steps in prop::collection::vec((-0.02..0.02f64, 0.0..0.01f64, 0.0..0.01f64, 0.0..9.0f64, 0.0..1.0f64), bars)) -> Columns {
        let mut columns: Columns = Default::default();
        let mut price = 100.0;
        for (step, up, down, volume, share) in steps {
            let open = price;
            // A third of the bars do not move: equal neighbours are where indicators branch.
            price *= if share < 0.3 { 1.0 } else { 1.0 + step };
            let (high, low) = (open.max(price) * (1.0 + up), open.min(price) * (1.0 - down));
            let bar = [high, low, price, volume, (high + low) / 2.0, volume * share, volume * (1.0 - share)];
            columns.iter_mut().zip(bar).for_each(|(column, value)| column.push(value));
        }
        columns
    }
}

proptest! {
    #[test]
    fn earlier_bars_do_not_matter(columns in columns(80)) {
        for (name, reach, _, _, call) in ALL {
            if let Some(reach) = reach {
                let short = map(&columns, |column| column[column.len() - reach..].to_vec());
                prop_assert!(close_to(call(&columns), call(&short), 1.0), "{}: {} {}", name, call(&columns), call(&short));
                let shorter = map(&columns, |column| column[column.len() - reach + 1..].to_vec());
                prop_assert!(call(&shorter).is_nan(), "{} has a value with {} bars", name, reach - 1);
            }
        }
    }

    #[test]
    fn the_currency_does_not_matter(columns in columns(80), exponent in -30..30i32) {
        let factor = 10f64.powi(exponent);
        let mut scaled = columns.clone();
        for i in [0, 1, 2, 4] {
            scaled[i].iter_mut().for_each(|price| *price *= factor);
        }
        for (name, _, scale, _, call) in ALL {
            let (expected, size) = if scale == Price { (call(&columns) * factor, 100.0 * factor) } else { (call(&columns), 100.0) };
            prop_assert!(close_to(call(&scaled), expected, size), "{}: {} {}", name, call(&scaled), expected);
        }
    }

    #[test]
    fn flat_is_neutral(price in prop_oneof![1e-9..1e-3f64, 0.1..1e6f64], volume in prop_oneof![Just(0.0), 1e-3..1e3f64]) {
        let mut columns: Columns = std::array::from_fn(|_| vec![price; 80]);
        columns[3] = vec![volume; 80];
        (columns[5], columns[6]) = (vec![volume / 2.0; 80], vec![volume / 2.0; 80]);
        for (name, _, _, flat, call) in ALL {
            let found = call(&columns);
            match flat {
                Flat::Is(value) => prop_assert_eq!(found, value, "{}", name),
                Flat::Itself => prop_assert!((found / price - 1.0).abs() < 1e-14, "{}: {}", name, found),
            }
        }
    }
}

#[test]
fn too_few_bars_or_no_period_is_nan() {
    let none = map(&Columns::default(), <[f64]>::to_vec);
    assert!(ALL.iter().all(|(.., call)| call(&none).is_nan()));
    let x = [1.0, 2.0, 3.0];
    for value in [sma(&x, 0), ema(&x, 0), rsi(&x, 0), adx(&x, &x, &x, 0), atr(&x, &x, &x, 0), roc(&x, 0), bb_z(&x, 0)] {
        assert!(value.is_nan());
    }
    assert!(realised_vol(&x, 0).is_nan() && mfi(&x, &x, &x, &x, 0).is_nan() && obv_slope(&x, &x, 1).is_nan());
}
