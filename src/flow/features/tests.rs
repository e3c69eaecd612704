//! What a feature set accepts, computes and refuses.

use super::*;
use crate::flow::bar::Bar;
use crate::flow::symbol::Symbol;
use crate::flow::time::Interval;
use crate::flow::window::{Slot, WindowRow, Windows};

/// Bars of a walk that every indicator has a value on.
fn walk(i: u32) -> Bar {
    let close = 100.0 + 5.0 * f64::from(i).sin() + f64::from(i % 7);
    Bar {
        symbol: Symbol::new("A").unwrap(),
        interval: Interval::from_seconds(1).unwrap(),
        open_time: 0,
        close_time: 0,
        open: close - 0.5,
        high: close + 1.0 + f64::from(i % 3),
        low: close - 1.0 - f64::from(i % 2),
        close,
        volume: f64::from(i % 11),
        vwap: close + 0.1,
        trades: u64::from(i),
        buy_volume: f64::from(i % 11) / 4.0,
        sell_volume: f64::from(i % 11) * 0.75,
        complete: true,
        synthetic: false,
        last_event_time: 0,
    }
}

/// The features of windows with as many bars as `bars` says.
fn features(sql: &str, bars: &[u32]) -> Vec<Vec<f64>> {
    let set = FeatureSet::plan(sql).unwrap_or_else(|error| panic!("{error}"));
    let mut windows = Windows::new(64, 1);
    let slots: Vec<_> = bars.iter().map(|_| windows.insert()).collect();
    for (&slot, &bars) in slots.iter().zip(bars) {
        (0..bars).for_each(|i| windows.push(slot, &walk(i)));
    }
    let rows = slots.iter().map(|&slot| WindowRow { slot, back: 0, symbol: "A", close_time: 60_000_000 });
    let columns = windows.view(rows, |batch| set.evaluate(batch)).unwrap().unwrap();
    assert_eq!(columns.len(), set.names().len());
    columns.iter().map(|column| column.as_primitive::<Float64Type>().values().to_vec()).collect()
}

fn refusal(sql: &str) -> String {
    match FeatureSet::plan(sql) {
        Ok(set) => panic!("accepted: {sql} as {:?}", set.names()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn computes_over_the_window() {
    let found = features(
        "SELECT last(close) AS c, last(close) / sma(close, 4) - 1 AS gap, ln(last(close)/lag(close, 1)) AS r, 1 AS one,
         close_time % 60000000 AS phase FROM window",
        &[10, 3, 0],
    );
    let close = |i: u32| walk(i).close;
    assert_eq!(found[0][..2], [close(9), close(2)]);
    assert!((found[1][0] - (close(9) / ((6..10).map(close).sum::<f64>() / 4.0) - 1.0)).abs() < 1e-12);
    assert!(found[1][1].is_nan() && found[0][2].is_nan());
    assert!((found[2][1] - (close(2) / close(1)).ln()).abs() < 1e-15);
    assert_eq!((found[3][2], found[4][2]), (1.0, 0.0));
}

/// Whether the program computes `sql`; if so, both ways give the same bits on windows of all lengths.
fn program_equals_plan(sql: &str) -> bool {
    let set = FeatureSet::plan(sql).unwrap_or_else(|error| panic!("{error}"));
    let mut windows = Windows::new(256, 1);
    let slots: Vec<_> = (0..=256).step_by(7).map(|bars| (windows.insert(), bars)).collect();
    for &(slot, bars) in &slots {
        // The first ones are flat.
        (0..bars).for_each(|i| windows.push(slot, &walk(if bars < 100 { 0 } else { i })));
    }
    let rows = slots.iter().map(|&(slot, _)| WindowRow { slot, back: 0, symbol: "A", close_time: 60_000_000 });
    let (both, plan) = windows.view(rows, |batch| (set.evaluate(batch), set.evaluate_plan(batch))).unwrap();
    let bits = |columns: Vec<ArrayRef>| -> Vec<Vec<u64>> {
        let bits =
            |column: &ArrayRef| column.as_primitive::<Float64Type>().values().iter().map(|x| x.to_bits()).collect();
        columns.iter().map(bits).collect()
    };
    assert_eq!(bits(both.unwrap()), bits(plan.unwrap()), "{sql}");
    set.plan.program().is_some()
}

#[test]
fn the_program_computes_what_the_plan_computes() {
    assert!(program_equals_plan(include_str!("../../../onnx/features/reference.sql")));
    for indicator in functions::INDICATORS {
        let columns = indicator.columns.iter().map(|c| if *c == "x" { "close" } else { c });
        let periods = ["5", "9", "4"].into_iter().take(indicator.parameters.len());
        let call = format!("{}({})", indicator.name, columns.chain(periods).collect::<Vec<_>>().join(", "));
        assert!(program_equals_plan(&format!(
            "SELECT {call} AS a, least({call} / 3.0 - 2.5, {call} * 2.0) AS b FROM window"
        )));
    }
    assert!(program_equals_plan(
        "SELECT greatest(0.0 / (last(close) - last(close)), 1.0, last(close)) AS a FROM window"
    ));
    assert!(!program_equals_plan("SELECT last(close) AS a, close_time % 7 AS b FROM window"));
    assert!(!program_equals_plan("SELECT sqrt(last(close)) AS a, nullif(last(close), 100.0) AS b FROM window"));
}

#[test]
fn every_indicator_has_a_value_and_a_reach() {
    for indicator in functions::INDICATORS {
        let columns = indicator.columns.iter().map(|c| if *c == "x" { "close" } else { c });
        let periods = ["5", "9", "4"].into_iter().take(indicator.parameters.len());
        let call = format!("{}({})", indicator.name, columns.chain(periods).collect::<Vec<_>>().join(", "));
        let sql = format!("SELECT {call} AS f FROM window");
        let set = FeatureSet::plan(&sql).unwrap();
        let bars = set.reach().unwrap().bars as u32;
        let found = &features(&sql, &[64, bars, bars - 1])[0];
        assert!(found[0].is_finite() && found[1].is_finite(), "{call}: {found:?}");
        assert!(found[2].is_nan(), "{call} has a value with {} bars: {found:?}", bars - 1);
        assert!(set.check_window(bars as usize - 1).is_err() && set.check_window(bars as usize).is_ok());
    }
}

#[test]
fn names_come_from_aliases_or_expressions() {
    let set = FeatureSet::plan("SELECT close_time, last(close), rsi(close, 14) AS momentum FROM window").unwrap();
    assert_eq!(set.names(), ["close_time", "last(close)", "momentum"]);
}

#[test]
fn with_and_nested_queries_are_projections_too() {
    let sql = "WITH base AS (SELECT last(close) AS c, sma(close, 5) AS m, close FROM window)
               SELECT c - m AS d, (c - m) / stddev(close, 5) AS z FROM base";
    let found = features(sql, &[20]);
    let direct = features("SELECT last(close) - sma(close, 5) AS d, bb_z(close, 5) AS z FROM window", &[20]);
    assert!((found[0][0] - direct[0][0]).abs() < 1e-12 && (found[1][0] - direct[1][0]).abs() < 1e-12);
}

#[test]
fn the_same_bits_live_in_a_batch_and_looked_back_at() {
    let calls = ["ema(close, 5)", "adx(high, low, close, 5)", "macd_hist(close, 3, 7, 4)", "cci(high, low, close, 6)"];
    let sql = format!("SELECT {} FROM \"window\" AS w", calls.join(", "));
    let set = FeatureSet::plan(&sql).unwrap();
    let bits = |windows: &mut Windows, rows: &[(Slot, usize)]| -> Vec<Vec<u64>> {
        let rows = rows.iter().map(|&(slot, back)| WindowRow { slot, back, symbol: "A", close_time: 0 });
        let columns = windows.view(rows, |batch| set.evaluate(batch)).unwrap().unwrap();
        columns.iter().map(|c| c.as_primitive::<Float64Type>().values().iter().map(|v| v.to_bits()).collect()).collect()
    };
    let mut windows = Windows::new(40, 8);
    let (slot, other) = (windows.insert(), windows.insert());
    let mut live = Vec::new();
    for i in 0..150 {
        windows.push(slot, &walk(i));
        windows.push(other, &walk(2 * i + 1));
        live.push(bits(&mut windows, &[(slot, 0)]));
    }
    let rows: Vec<_> = (0..8).rev().map(|back| (slot, back)).chain([(other, 0)]).collect();
    let together = bits(&mut windows, &rows);
    for (i, live) in live[142..].iter().enumerate() {
        for (feature, live) in live.iter().enumerate() {
            assert_eq!(together[feature][i], live[0], "{} {} bars back", calls[feature], 7 - i);
        }
    }
}

#[test]
fn what_is_not_finite_is_nan() {
    let sql = "SELECT ln(last(volume) - 100) AS a, 1 / (last(volume) - last(volume)) AS b, nullif(last(close), last(close)) AS c,
               CASE WHEN last(close) > 0 THEN 1 END AS d FROM window";
    let found = features(sql, &[20]);
    assert!(found[..3].iter().all(|column| column[0].is_nan()), "{found:?}");
    assert_eq!(found[3][0], 1.0);
}

#[test]
fn a_failing_row_leaves_its_neighbours() {
    let found = features(
        "SELECT 10 / CAST(last(close) - lag(close, 1) AS BIGINT) AS a, last(close) AS c FROM window",
        &[3, 1, 5],
    );
    assert!(found[0][0].is_finite() && found[1][0].is_finite());
}

#[test]
fn refuses_what_is_not_one_select_of_the_window() {
    for (sql, part) in [
        ("SELECT last(close) AS c FROM window WHERE close_time > 0", "WHERE"),
        ("SELECT last(close) AS c FROM window ORDER BY 1", "ORDER BY"),
        ("SELECT last(close) AS c FROM window LIMIT 1", "LIMIT"),
        ("SELECT DISTINCT last(close) AS c FROM window", "DISTINCT"),
        ("SELECT last(close) AS c FROM window GROUP BY 1", "GROUP BY"),
        ("SELECT last(a.close) AS c FROM window a, window b", "JOIN"),
        ("SELECT last(close) AS c FROM window UNION ALL SELECT 1 FROM window", "UNION"),
        ("SELECT last(close) AS c FROM w15", "reserved for later"),
        ("SELECT last(close) AS c FROM context", "reserved for later"),
        ("SELECT last(close) AS c FROM prices", "`prices` is not a table"),
        ("SELECT last(close) AS c FROM other.window", "is not a table"),
        ("SELECT 1 AS one", "FROM window is missing"),
        ("SELECT random() AS r FROM window", "random()"),
        ("SELECT last(close) * now() AS r FROM window", "now()"),
        ("SELECT current_timestamp AS r FROM window", "current_timestamp"),
        ("SELECT sum(last(close), 3) OVER () AS r FROM window", "OVER"),
        ("SELECT (SELECT 1) AS r FROM window", "subquery"),
        ("SELECT * FROM window", "symbol"),
        ("SELECT close FROM window", "`close` is a whole window"),
        ("SELECT symbol FROM window", "`symbol` is a Utf8"),
        ("SELECT last(close) > 1 AS up FROM window", "`up` is a Boolean"),
        ("SELECT last(close) AS c, last(open) AS c FROM window", "c"),
        ("SELECT last(close) AS c FROM window; SELECT 1", "2 statements"),
        ("", "0 statements"),
        ("DROP TABLE window", "not a SELECT"),
        ("CREATE VIEW v AS SELECT 1", "not a SELECT"),
        ("SELECT sma(close, 0) AS c FROM window", "no usable `n`"),
        ("SELECT sma(close, -3) AS c FROM window", "no usable `n`"),
        ("SELECT sma(close, close_time) AS c FROM window", "no usable `n`"),
        ("SELECT sma(close, 2.5) AS c FROM window", "`n` must be a whole number"),
        ("SELECT sma(close) AS c FROM window", "write sma(x, n)"),
        ("SELECT sma(close_time, 3) AS c FROM window", "`x` must be a column"),
        ("SELECT smma(close, 3) AS c FROM window", "smma"),
        ("SELECT last(clos) AS c FROM window", "clos"),
        ("SELECT last(CASE WHEN close_time > 3 THEN close ELSE open END) AS c FROM window", "whole window"),
        ("SELECT macd(close, 26, 12) AS c FROM window", "fast period"),
        ("SELEC last(close)", "SELEC"),
    ] {
        let message = refusal(sql);
        assert!(message.contains(part), "{sql}: {message}");
    }
}

#[test]
fn every_function_has_its_row_in_the_table_of_neutral_values() {
    let table = include_str!("../indicator/README.md");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let documented: Vec<&str> = rows.map(|(call, _)| call).collect();
    let registered: Vec<String> = functions::INDICATORS.iter().map(functions::Indicator::usage).collect();
    assert_eq!(documented, registered);
}
