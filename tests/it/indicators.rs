//! Every indicator against TA-Lib's value for the same bars, through the feature SQL as a model would ask for it.
//!
//! `tests/goldens/make_indicator_goldens.py` writes the goldens.

use std::collections::BTreeMap;

use arrow::array::{Array, Float64Array};
use tickcast::flow::bar::Bar;
use tickcast::flow::features::FeatureSet;
use tickcast::flow::features::functions::INDICATORS;
use tickcast::flow::symbol::Symbol;
use tickcast::flow::time::Interval;
use tickcast::flow::window::{WindowRow, Windows};

#[derive(serde::Deserialize)]
struct Goldens {
    series: Vec<Series>,
}

#[derive(serde::Deserialize)]
struct Series {
    name: String,
    columns: BTreeMap<String, Vec<f64>>,
    expected: BTreeMap<String, f64>,
}

fn goldens() -> Vec<Series> {
    let text = include_str!("../goldens/indicators.json");
    serde_json::from_str::<Goldens>(text).expect("goldens").series
}

fn bars(series: &Series) -> Vec<Bar> {
    let column = |name: &str| &series.columns[name];
    (0..column("close").len())
        .map(|i| Bar {
            symbol: Symbol::new("A").expect("a symbol"),
            interval: Interval::from_seconds(1).expect("an interval"),
            open_time: 0,
            close_time: 0,
            open: column("open")[i],
            high: column("high")[i],
            low: column("low")[i],
            close: column("close")[i],
            volume: column("volume")[i],
            vwap: column("vwap")[i],
            trades: 1,
            buy_volume: column("buy_volume")[i],
            sell_volume: column("sell_volume")[i],
            complete: true,
            synthetic: false,
            last_event_time: 0,
        })
        .collect()
}

#[test]
fn equal_talib_on_the_same_bars() {
    let mut failures = Vec::new();
    for series in goldens() {
        let bars = bars(&series);
        let mut windows = Windows::new(bars.len(), 1);
        let slot = windows.insert();
        // Other bars before them: a window's values depend on the window alone.
        bars.iter().rev().chain(&bars).for_each(|bar| windows.push(slot, bar));
        let calls: Vec<String> =
            series.expected.keys().enumerate().map(|(i, call)| format!("{call} AS f{i}")).collect();
        let set = FeatureSet::plan(&format!("SELECT {} FROM window", calls.join(", "))).expect("a plan");
        let row = WindowRow { slot, back: 0, symbol: "A", close_time: 0 };
        let features = windows.view([row], |batch| set.evaluate(batch)).expect("a view").expect("features");
        for ((call, &expected), feature) in series.expected.iter().zip(features) {
            let found = feature.as_any().downcast_ref::<Float64Array>().expect("f64").value(0);
            let error = (found - expected).abs();
            if !(error <= 1e-9 * expected.abs() || error <= 1e-12) {
                failures.push(format!("{}: {call} is {found:e}, TA-Lib says {expected:e}", series.name));
            }
        }
    }
    assert!(failures.is_empty(), "{} values differ:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_function_has_a_golden() {
    let series = goldens();
    for indicator in INDICATORS {
        let call = format!("{}(", indicator.name);
        assert!(series[0].expected.keys().any(|key| key.starts_with(&call)), "{call}...) has no golden");
    }
}
